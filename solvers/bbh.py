"""BIG-Bench Hard: 27 tasks that were hard for language models, after three published examples each.

Source: Suzgun et al. 2022, arXiv 2210.09261; examples from `cot-prompts/<task>.txt` of
    github.com/suzgunmirac/BIG-Bench-Hard, read from beside the task files: they are benchmark data and carry a canary,
    so no copy of them is in this file. The score over rows and `mean_over_tasks` are both reported.
Differs: none in `direct`, which shows the same examples without their reasoning and wants the target as the whole
    reply, white space around it aside. In `cot` the answer is read from the last "answer is", and marks around it and
    brackets around a letter do not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import SolverError
from engine.records import Score
from engine.scoring.exact import same_text
from engine.scoring.thoughts import spoken
from solvers.rows import fingerprint, text_of, unread
from solvers.strategy import SolverStrategy

MODES = ("direct", "cot")
STEPS = "A: Let's think step by step."
HEADER = re.compile(r"\A.*?canary.*?\n-----\n", re.DOTALL)
EXAMPLE = re.compile(r"(?:\A|\n)Q: ")
CONCLUDED = re.compile(r"[Aa]nswer is:?[ \t]*(.*)")
NEXT = re.compile(r"\nQ:")
LETTER = re.compile(r"\(?([A-Z])\)?")
BRACKETED = re.compile(r"\(([A-Z])\)")
LONGEST = 1000
"""Characters of an answer that are looked at; no target is nearly as long."""


class Example(NamedTuple):
    """A published example: a question, and its answer with the reasoning, as it stands behind `A:`."""

    question: str
    worked: str
    answer: str


class Prompt(NamedTuple):
    """The published prompt of a task: what it is about, and its examples."""

    about: str
    examples: tuple[Example, ...] = ()


class BBHSolverStrategy(SolverStrategy):
    """Asks each row once, after the examples of its task.

    Args:
        dataset_ref: the folder of task files; rows have `task`, `input` and `target`.
        model: the model's name.
        agent: the agent's folder.
        mode: `direct` asks for the answer, `cot` for reasoning first.
        prompts: the folder of the published prompts, where it is not `cot-prompts` beside the task files.
    """

    def __init__(
        self, dataset_ref: Any, model: str = "", agent: str = "", *, mode: str = "direct", prompts: str = ""
    ) -> None:
        super().__init__(model, agent)
        if mode not in MODES:
            raise SolverError(f"solver {self.name!r}: mode is {mode!r}", hint=f"it is one of {', '.join(MODES)}")
        self.dataset_ref = dataset_ref
        self.mode = mode
        self.prompts = _read_prompts(dataset_ref, prompts)

    def evaluation_name(self) -> str:
        """`bbh_direct_3shots`, `bbh_cot_3shots`; `0shots` where there are no published prompts to read."""
        shots = max((len(prompt.examples) for prompt in self.prompts.values()), default=0)
        return f"bbh_{self.mode}_{shots}shots"

    def compatible_datasets(self) -> list[str]:
        """`bbh`, `big-bench-hard`, `big_bench_hard`."""
        return ["bbh", "big-bench-hard", "big_bench_hard", "bigbenchhard"]

    def scorer_versions(self) -> dict[str, int]:
        """The published prompts, which are in no other part of a run's identity."""
        return {"prompts": fingerprint(sorted(self.prompts.items()))} if self.prompts else {}

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the answer is the target; metrics per task.

        Raises:
            SolverError: the row lacks `input`, `target` or `task`.
        """
        question = text_of(datum, "input", solver=self.name)
        target = text_of(datum, "target", solver=self.name)
        task = text_of(datum, "task", solver=self.name)
        tags = (f"task/{task}",)
        session = self.start_inference_session(f"{task} {question[:40]}")
        text = await session.run_task(self.prompt(task, question))
        said = spoken(text)
        if self.mode == "direct":
            answer: str | None = said[: LONGEST + 1].strip()
            solved = len(said) <= LONGEST * 2 and same_text(said, target)
        else:
            answer = read_conclusion(said)
            solved = answer is not None and _same_conclusion(answer, target)
        if not answer:
            return unread(text, tags=tags)
        return Score(value=float(solved), answer=answer, tags=tags, info={"expected": target})

    def prompt(self, task: str, question: str) -> str:
        """What the task is about, its examples less one that is the question itself, and the question."""
        about, examples = self.prompts.get(task, Prompt(""))
        parts = [about] if about else []
        for example in examples:
            if example.question.strip() != question.strip():
                shown = example.answer if self.mode == "direct" else example.worked
                parts.append(f"Q: {example.question}\nA: {shown}")
        parts.append(f"Q: {question}\nA:" if self.mode == "direct" else f"Q: {question}\n{STEPS}\n")
        return "\n\n".join(parts)

    def further_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """`mean_over_tasks`: each task counts the same, where the score counts each row."""
        values = [value for name, value in means.items() if name.startswith("task/")]
        return {"mean_over_tasks": sum(values) / len(values)} if values else {}


def read_prompt(text: str) -> Prompt:
    """A published prompt in its parts.

    Raises:
        SolverError: an example has no answer.
    """
    body = HEADER.sub("", text, count=1)
    about, *examples = EXAMPLE.split(body)
    return Prompt(about.strip(), tuple(_example(each) for each in examples))


def read_conclusion(text: str) -> str | None:
    """What follows the last "answer is" of the model's own reasoning, less marks around it; None without one."""
    own = NEXT.split(text, maxsplit=1)[0]
    found = CONCLUDED.findall(own)
    answer = found[-1][:LONGEST].strip() if found else ""
    return answer.rstrip(".").strip("*$_ ").rstrip(".").strip() or None


def _example(text: str) -> Example:
    question, _, worked = text.partition("\nA:")
    found = CONCLUDED.findall(worked)
    if not found:
        raise SolverError(
            f"the published example {question[:60]!r} has no answer", hint="fetch the folder cot-prompts again"
        )
    return Example(question.strip(), worked.strip(), found[-1].strip().removesuffix("."))


def _read_prompts(dataset_ref: Any, given: str) -> dict[str, Prompt]:
    if given:
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise SolverError(f"solver 'BBHSolverStrategy': there is no folder {given!r}", hint="check --prompts")
    else:
        path = getattr(dataset_ref, "path", None)
        path = Path(dataset_ref) if isinstance(dataset_ref, str) and dataset_ref else path
        if path is None:
            return {}
        folder = (path if path.is_dir() else path.parent) / "cot-prompts"
    return {each.stem: read_prompt(each.read_text(encoding="utf-8")) for each in sorted(folder.glob("*.txt"))}


def _same_conclusion(answer: str, target: str) -> bool:
    if same_text(answer, target):
        return True
    ours, theirs = BRACKETED.search(answer) or LETTER.match(answer), LETTER.fullmatch(target.strip())
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return False
    return ours[0].startswith("(") or not (answer[1:2].isalnum() or answer[1:2].isspace())
