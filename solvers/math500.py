r"""MATH and its part MATH-500: competition problems with an answer in `\boxed{}`, compared as mathematics.

Source: Hendrycks et al. 2021, arXiv 2103.03874; the 500 problems are those of Lightman et al. 2023, arXiv 2305.20050;
    prompt of Qwen2.5-Math (arXiv 2409.12122).
Differs: answers are compared by the `math-verify` library, see `engine.scoring.math`; Qwen's own scorer also takes
    floats within 1e-4, and percentages for fractions.
"""

from __future__ import annotations

from typing import Any

from engine.records import Score
from engine.scoring.apart import check_not_apart
from engine.scoring.math import extract_math, last_boxed, same_math_apart
from engine.scoring.thoughts import spoken
from solvers.rows import Row, text_of, unread
from solvers.strategy import SolverStrategy

STEPWISE = "{problem}\nPlease reason step by step, and put your final answer within \\boxed{{}}."
SECOND = "Write your final answer, and nothing else, within \\boxed{}."


class MATH500SolverStrategy(SolverStrategy):
    """Asks each problem once, and compares the reply's answer with the reference as mathematics.

    Args:
        dataset_ref: the dataset.
        model: the model's name.
        agent: the agent's folder.
        two_stage: ask a second time, for the answer alone, where the first reply holds none.
    """

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "", *, two_stage: bool = False) -> None:
        super().__init__(model, agent)
        check_not_apart()
        self.dataset_ref = dataset_ref
        self.two_stage = two_stage

    def evaluation_name(self) -> str:
        """`math500`, with a mark where a second call may be made."""
        return f"math500{'_two_stage' if self.two_stage else ''}"

    def compatible_datasets(self) -> list[str]:
        """`math`."""
        return ["math"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the answer is equivalent; metrics per subject and level.

        An answer that takes too long to compare is failed, with `gave_up` in its info: it is not the reference's text.

        Raises:
            SolverError: the row lacks `problem`, or both `answer` and a `solution` with a box.
        """
        problem = text_of(datum, "problem", solver=self.name)
        wanted = self.answer_of(datum)
        groups = {"subject": datum.get("subject") or datum.get("type"), "level": datum.get("level")}
        tags = tuple(
            f"{name}/{str(value).removeprefix('Level ').strip()}" for name, value in groups.items() if value is not None
        )
        session = self.start_inference_session(problem[:60])
        text = await session.run_task(STEPWISE.format(problem=problem))
        given = (last_boxed if text.finish_reason == "length" else extract_math)(spoken(text))
        if given is None and self.two_stage:
            text = await session.run_task(SECOND)
            given = extract_math(spoken(text))
        if given is None:
            return unread(text, tags=tags)
        same = await same_math_apart(given, wanted)
        info = {"expected": wanted, **({"gave_up": True} if same is None else {})}
        return Score(value=float(bool(same)), answer=given, tags=tags, info=info)

    def answer_of(self, datum: Row) -> str:
        """The row's `answer`; of the whole of MATH, which has none, what the box in its `solution` holds.

        Raises:
            SolverError: the row has neither.
        """
        boxed = last_boxed(str(datum.get("solution") or "")) if datum.get("answer") is None else None
        return boxed or text_of(datum, "answer", solver=self.name)
