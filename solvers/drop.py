"""DROP: questions about a passage whose answers are numbers, dates or spans, scored by F1.

Source: Dua et al. 2019, arXiv 1903.00161, scored as its `drop_eval.py`; the last sentence of the prompt is that of
    OpenAI's simple-evals, `drop_eval.py`.
Differs: no examples are shown, as simple-evals draws them at random; of a reference with several spans, a reply
    whose pieces between commas, semicolons and "and" are as many is read as those pieces, where that scores higher.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.records import Score
from engine.scoring.f1 import drop_scores
from solvers.rows import Row, text_of, unread, value_of, wrong
from solvers.strategy import SolverStrategy

PROMPT = (
    "You will be asked to read a passage and answer a question.\n\n# Your Task\n\n---\n{passage}\n"
    "Question: {question}\n"
    'Think step by step, then write a line of the form "Answer: $ANSWER" at the end of your response.'
)
SECOND = 'Write one line of the form "Answer: $ANSWER", and nothing else.'
ANSWER = re.compile(r"(?i:answer)[ \t*_]*:[ \t*_]*([^\n]+)")
PIECES = re.compile(r"\s*(?:;|,|\band\b)\s*")
LONGEST = 2000


class DROPSolverStrategy(SolverStrategy):
    """Asks each question once; the score is F1, the metric `exact_match` is beside it.

    Args:
        dataset_ref: rows with `passage`, `question` and `answers`.
        model: the model's name.
        agent: the agent's folder.
        two_stage: ask a second time, for the answer alone, where the first reply has no line for it.
    """

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "", *, two_stage: bool = False) -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.two_stage = two_stage

    def evaluation_name(self) -> str:
        """`drop`, with a mark where a second call may be made."""
        return f"drop{'_two_stage' if self.two_stage else ''}"

    def compatible_datasets(self) -> list[str]:
        """`drop`."""
        return ["drop"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """The best F1 over the reference answers, in 0-1; unparsed where the reply has no line `Answer:`.

        Raises:
            SolverError: the row lacks a field, or one cannot be used.
        """
        passage = text_of(datum, "passage", "context", solver=self.name)
        question = text_of(datum, "question", solver=self.name)
        golds = read_golds(datum, solver=self.name)
        session = self.start_inference_session(question[:60])
        text = await session.run_task(PROMPT.format(passage=passage, question=question))
        answer = read_answer(text, cut=text.finish_reason == "length")
        if answer is None and self.two_stage:
            text = await session.run_task(SECOND)
            answer = read_answer(text)
        if answer is None:
            return unread(text)
        exact, f1 = best_scores(answer, golds)
        return Score(value=f1, answer=answer, metrics={"exact_match": exact, "f1": f1}, info={"expected": golds})


def read_answer(text: str, *, cut: bool = False) -> str | None:
    """What the last line `Answer: ...` says; a reply of one line is its own answer; None where there is neither."""
    found = ANSWER.findall(text)
    if found:
        return str(found[-1]).strip().strip("*_$ ").strip()[:LONGEST] or None
    line = text.strip()
    return line if line and not cut and "\n" not in line and len(line) <= 200 else None


def read_golds(datum: Row, *, solver: str) -> list[list[str]]:
    """The reference answers of a row, each a list of spans.

    Raises:
        SolverError: there are none, or they are of another shape.
    """
    given = value_of(datum, "answers", "answers_spans", "ref_text", solver=solver)
    if isinstance(given, str):
        golds = [[each] for each in given.split("|")]
    elif isinstance(given, dict):
        golds = [[str(span) for span in given.get("spans", ())]]
    elif isinstance(given, Sequence):
        golds = [[str(span) for span in each] if isinstance(each, (list, tuple)) else [str(each)] for each in given]
    else:
        golds = []
    kept = [spans for spans in golds if any(span.strip() for span in spans)]
    if not kept:
        raise wrong(datum, "answers", "answers_spans", "ref_text", solver=solver, wanted="a list of lists of texts")
    return kept


def best_scores(answer: str, golds: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Exact match and F1 of the answer against the reference that it fits best."""
    readings = [[answer]]
    pieces = [piece for piece in PIECES.split(answer) if piece]
    if len(pieces) > 1 and any(len(pieces) == len(gold) for gold in golds):
        readings.append(pieces)
    scores = [drop_scores(reading, gold) for reading in readings for gold in golds]
    return max(exact for exact, _ in scores), max(f1 for _, f1 in scores)
