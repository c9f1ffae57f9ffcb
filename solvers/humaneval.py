"""HumanEval: Python functions from signature and docstring, judged by their tests in the sandbox.

Source: Chen et al. 2021, arXiv 2107.03374, github.com/openai/human-eval; the instruction is that of OpenAI's
    simple-evals, `human_eval.py`.
Differs: upstream runs solution and tests in one process with a limit of 3 s by the clock; here the tests run apart
    from the solution, which has 10 s of CPU time, and helpers that the tests use come from the prompt, whatever
    the reply makes of them. A reply that is a whole function is run after the prompt, so that it has its imports.
"""

from __future__ import annotations

from typing import Any

from engine.records import Score
from engine.scoring.code import extract_code, parses
from engine.scoring.code_judge import CPU_LIMIT_S, CodeJudge
from engine.scoring.thoughts import spoken
from solvers.rows import text_of, unread
from solvers.strategy import SolverStrategy

INSTRUCTION = (
    "Read the following function signature and docstring, and fully implement the function described. "
    "Your response should only contain the code for this function.\n"
)


class HumanEvalSolverStrategy(SolverStrategy):
    """Asks for each function once; the program in the reply must pass the dataset's `check`."""

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        cpu_limit_s: float = CPU_LIMIT_S,
        unsafe_exec: bool = False,
        container: str = "",
    ) -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.code = CodeJudge(unsafe_exec=unsafe_exec, container=container, cpu_limit_s=cpu_limit_s)

    def evaluation_name(self) -> str:
        """`humaneval`."""
        return "humaneval"

    def compatible_datasets(self) -> list[str]:
        """`humaneval`, `human_eval`, `human-eval`."""
        return ["humaneval", "human_eval", "human-eval"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the program passes `check(candidate)`; unparsed where the reply holds none.

        Raises:
            SolverError: the row lacks a field, or there is no sandbox.
            TaskError: the sandbox failed.
        """
        names = ("prompt", "entry_point", "test")
        prompt, entry_point, test = (text_of(datum, name, solver=self.name) for name in names)
        await self.code.open()
        session = self.start_inference_session(entry_point)
        text = await session.run_task(INSTRUCTION + prompt)
        code = extract_code(spoken(text), entry_point=entry_point, prompt=prompt)
        if code is None or (text.finish_reason == "length" and not parses(code)):
            return unread(text)
        return await self.code.score(
            program_of(code, prompt),
            tests=[test, f"check({entry_point})"],
            entry_points=[entry_point],
            setup=prompt,
            answer=code,
        )

    async def aclose(self) -> None:
        """End the sandbox's processes."""
        self.code.close()


def program_of(code: str, prompt: str) -> str:
    """The code after the prompt, whose imports and helpers it may use."""
    if code.startswith(prompt) or "from __future__" in code:
        return code
    return f"{prompt}\n\n{code}"
