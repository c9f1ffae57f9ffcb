"""MBPP: small Python functions from a sentence and three assertions, judged by those in the sandbox.

Source: Austin et al. 2021, arXiv 2108.07732; data, prompt and examples (tasks 2, 3 and 4 for three shots) as in
    github.com/google-research/google-research/tree/master/mbpp; nearai's `MBPPSolverStrategy` gave the name.
Differs: the prompt is one chat message; the reply ends at its first `[DONE]`, and fenced code is read too. The tests
    run apart from the solution, which has 10 s of CPU time; what they need of the reference's imports is there.
    nearai judged by the challenge tests too, and asked a second time for the code alone.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from engine.errors import SolverError
from engine.records import Score
from engine.scoring.code import extract_code, parses
from engine.scoring.code_judge import CPU_LIMIT_S, CodeJudge
from engine.scoring.thoughts import spoken
from solvers.rows import Row, example_rows, fingerprint, split_rows, text_of, texts_of, unread
from solvers.strategy import SolverStrategy

TASK = (
    "You are an expert Python programmer, and here is your task: {text} "
    "Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"
)
BEGIN, DONE = "[BEGIN]", "[DONE]"
EXAMPLE_ORDER = (2, 3, 4, 1, 5, 6, 7, 8, 9, 10)
"""Task ids for examples, the paper's three first; none of them is in the test split."""


class MBPPSolverStrategy(SolverStrategy):
    """Asks for each function once, after examples; the program in the reply must pass the row's tests."""

    def __init__(  # noqa: PLR0913 - a solver's options are its constructor
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        shots: int = 3,
        challenge_tests: bool = False,
        cpu_limit_s: float = CPU_LIMIT_S,
        unsafe_exec: bool = False,
        container: str = "",
        examples: str = "",
    ) -> None:
        if not 0 <= shots <= len(EXAMPLE_ORDER):
            raise SolverError(
                f"solver 'MBPPSolverStrategy': shots is {shots!r}", hint=f"there are 0 to {len(EXAMPLE_ORDER)} examples"
            )
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.challenge_tests = challenge_tests
        self.examples = [self.read(row) for row in _examples(dataset_ref, examples, self.name)] if shots else []
        self.shots = min(shots, len(self.examples))
        self.code = CodeJudge(unsafe_exec=unsafe_exec, container=container, cpu_limit_s=cpu_limit_s)

    def evaluation_name(self) -> str:
        """`mbpp_3shots`, with the number of examples that are really shown; marked where challenge tests count."""
        return f"mbpp_{self.shots}shots{'_challenge' if self.challenge_tests else ''}"

    def compatible_datasets(self) -> list[str]:
        """`mbpp`."""
        return ["mbpp"]

    def scorer_versions(self) -> dict[str, int]:
        """The examples, which may come from another split than the one that is run."""
        return {"examples": fingerprint(self.examples)} if self.examples else {}

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the program passes all tests of the row; unparsed where the reply holds none.

        Raises:
            SolverError: the row lacks a field, or there is no sandbox.
            TaskError: the sandbox failed.
        """
        problem = self.read(datum)
        await self.code.open()
        session = self.start_inference_session(problem.text[:60])
        text = await session.run_task(self.prompt(problem))
        names = problem.entry_points
        program = extract_code(read_reply(spoken(text)), entry_point=names[-1] if names else "")
        if program is None or (text.finish_reason == "length" and not parses(program)):
            return unread(text)
        return await self.code.score(program, tests=problem.judged, entry_points=names, setup=problem.setup)

    async def aclose(self) -> None:
        """End the sandbox's processes."""
        self.code.close()

    def read(self, datum: Row) -> Problem:
        """The problem of a row of the full or the sanitized set.

        Raises:
            SolverError: the row lacks a field.
        """
        tests = texts_of(datum, "test_list", solver=self.name)
        further = [str(each) for each in datum.get("challenge_test_list") or ()] if self.challenge_tests else []
        before = str(datum.get("test_setup_code") or "")
        code = text_of(datum, "code", solver=self.name).replace("\r\n", "\n")
        judged = [*([before] if before.strip() else []), *tests, *further]
        entry_points, imports = used_of(code, judged)
        return Problem(
            text=text_of(datum, "text", "prompt", solver=self.name),
            code=code.strip(),
            tests=tests,
            judged=judged,
            entry_points=entry_points,
            setup="\n".join([*(str(each) for each in datum.get("test_imports") or ()), *imports]),
        )

    def prompt(self, problem: Problem) -> str:
        """The examples, less one that is the problem itself, then the problem."""
        shown = [each for each in self.examples if each.text != problem.text][: self.shots]
        return "".join(f"{_task(each)}{each.code}\n{DONE}\n\n" for each in shown) + _task(problem)


class Problem(NamedTuple):
    """What a row says: what is asked, the reference, the tests shown, and what is judged by."""

    text: str
    code: str
    tests: Sequence[str]
    judged: Sequence[str]
    entry_points: Sequence[str]
    setup: str


def _examples(dataset: Any, given: str, solver: str) -> list[Row]:
    """Rows of tasks 1 to 10 in `EXAMPLE_ORDER`, of the split `prompt`, else of the rows that are run; or named ones."""
    if given:
        return list(example_rows(dataset, given=given, solver=solver))
    rows: Iterable[Row] = split_rows(dataset, "prompt") or dataset
    found: dict[int, Row] = {}
    for row in rows:
        if row.get("task_id") in EXAMPLE_ORDER:
            found[int(row["task_id"])] = row
        if len(found) == len(EXAMPLE_ORDER):
            break
    return [found[number] for number in EXAMPLE_ORDER if number in found]


def used_of(code: str, tests: Sequence[str]) -> tuple[list[str], list[str]]:
    """What the tests use: names that the solution has to define, and imports of the reference."""
    used = _loaded("\n".join(tests))
    own, imports = [], []
    for node in _body(code):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name in used:
            own.append(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound = {(each.asname or each.name).split(".")[0] for each in node.names}
            imports += [ast.unparse(node)] if bound & used.keys() else []
    if not own:
        own = [name for name in used if not hasattr(builtins, name)]
    return list(dict.fromkeys(own)), imports


def _loaded(source: str) -> dict[str, None]:
    """Names that the source reads and does not assign, in the order of the tree."""
    names = [node for statement in _body(source) for node in ast.walk(statement) if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    return dict.fromkeys(node.id for node in names if node.id not in assigned)


def _body(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError):
        return []


def _task(problem: Problem) -> str:
    return TASK.format(text=problem.text, tests="\n".join(problem.tests))


def read_reply(text: str) -> str:
    """The part of a reply that is the answer: before the first `[DONE]`, after the `[BEGIN]` before it."""
    return text.partition(DONE)[0].rpartition(BEGIN)[2]
