"""SimpleQA: short questions of fact, graded by another model as correct, incorrect or not attempted.

Source: Wei et al. 2024, arXiv 2411.04368; the judge's prompt is that of OpenAI's simple-evals, `simpleqa_eval.py`
    (MIT License, Copyright (c) 2024 OpenAI), word for word.
Differs: the judge is always named by option; a grade that is not on the menu is unparsed, where upstream counts it
    as not attempted; the last grade in the judge's reply counts, where upstream takes the first letter A, B or C of any
    word; several judges vote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import SolverError
from engine.records import Outcome, Score
from engine.scoring.judge import read_verdict, vote
from engine.scoring.thoughts import spoken
from solvers.rows import text_of
from solvers.simpleqa_grader import GRADER
from solvers.strategy import SolverStrategy

CORRECT, INCORRECT, NOT_ATTEMPTED = "correct", "incorrect", "not_attempted"
MENU = {
    "A": CORRECT,
    "B": INCORRECT,
    "C": NOT_ATTEMPTED,
    "CORRECT": CORRECT,
    "INCORRECT": INCORRECT,
    "NOT_ATTEMPTED": NOT_ATTEMPTED,
    "NOT ATTEMPTED": NOT_ATTEMPTED,
}
LONGEST = 20_000
"""Characters of an answer that a judge is shown; the rest is cut, and the info says so."""


class SimpleQASolverStrategy(SolverStrategy):
    """Asks each question once, and another model for its grade.

    Args:
        dataset_ref: rows with `problem` and `answer`.
        model: the model's name.
        agent: the agent's folder.
        judge: the model that grades, as `provider::model`; several, separated by commas, vote.
    """

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "", *, judge: str = "") -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.judges = [name.strip() for name in judge.split(",") if name.strip()]
        if not self.judges:
            raise SolverError(
                f"solver {self.name!r}: no judge is named", hint="pass --judge provider::model; none is chosen for you"
            )

    def evaluation_name(self) -> str:
        """As `simpleqa_judged_by_provider::model`."""
        return f"simpleqa_judged_by_{'+'.join(self.judges)}"

    def compatible_datasets(self) -> list[str]:
        """`simpleqa`, `simple_qa`."""
        return ["simpleqa", "simple_qa", "simple-qa"]

    def other_models(self) -> list[str]:
        """The judges."""
        return list(self.judges)

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the grade is correct; unparsed where the judges give none, or none wins the vote.

        The metrics `correct`, `incorrect` and `not_attempted` are shares of graded tasks, `correct_given_attempted`
        is among those that were attempted.

        Raises:
            SolverError: the row lacks `problem` or `answer`.
        """
        problem = text_of(datum, "problem", "question", solver=self.name)
        target = text_of(datum, "answer", solver=self.name)
        answer = spoken(await self.start_inference_session(problem[:60]).run_task(problem))
        if not answer.strip():
            return Score(value=0.0, outcome=Outcome.UNPARSED)
        asked = GRADER.format(question=problem, target=target, predicted_answer=answer[:LONGEST])
        said = [await self._ask(judge, asked) for judge in self.judges]
        grades = [read_verdict(spoken(text), MENU) for text in said]
        grade = vote(grades)
        info = {"judges": dict(zip(self.judges, grades, strict=True)), "expected": target, "cut": len(answer) > LONGEST}
        if grade is None:
            looked_at = [text[-200:] for text in said]
            return Score(
                value=0.0, outcome=Outcome.UNPARSED, answer=answer[:200], info={**info, "looked_at": looked_at}
            )
        metrics = {each: float(grade == each) for each in (CORRECT, INCORRECT, NOT_ATTEMPTED)}
        if grade != NOT_ATTEMPTED:
            metrics["correct_given_attempted"] = float(grade == CORRECT)
        return Score(value=float(grade == CORRECT), answer=answer[:200], metrics=metrics, info=info)

    def further_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """`f1`: the harmonic mean of `correct` and `correct_given_attempted`, as the paper has it."""
        correct, attempted = means.get(CORRECT, 0.0), means.get("correct_given_attempted", 0.0)
        return {"f1": 2 * correct * attempted / (correct + attempted) if correct + attempted else 0.0}

    async def _ask(self, judge: str, asked: str) -> str:
        return str(await self.start_inference_session("judge", model=judge).run_task(asked))
