"""DROP: questions about a passage whose answers are numbers, dates or spans, scored by F1.

Source: Dua et al. 2019, arXiv 1903.00161, scored as its `drop_eval.py`; the last sentence of the prompt is that of
    OpenAI's simple-evals, `drop_eval.py`.
Differs: no examples are shown, as simple-evals draws them at random; the last line `Answer:` counts, marks around it
    aside, where simple-evals takes the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.records import Score
from engine.scoring.f1 import drop_scores
from engine.scoring.thoughts import spoken
from solvers.rows import Row, text_of, unread, value_of, wrong
from solvers.strategy import SolverStrategy

PROMPT = (
    "You will be asked to read a passage and answer a question.\n\n# Your Task\n\n---\n{passage}\n"
    "Question: {question}\n"
    'Think step by step, then write a line of the form "Answer: $ANSWER" at the end of your response.'
)
SECOND = 'Write one line of the form "Answer: $ANSWER", and nothing else.'
ANSWER = re.compile(r"(?i:answer)[\s*_]{0,20}:[\s*_]{0,20}([^\n]+)")
PIECES = re.compile(r";|,|\band\b")
WORD = re.compile(r"\w")
LONGEST = 2000
"""Characters of an answer that are kept."""


class DROPSolverStrategy(SolverStrategy):
    """Asks each question once; the score is F1, the metric `exact_match` is beside it.

    Args:
        dataset_ref: rows with `passage`, `question` and `answers`; or `answer` and `validated_answers`, or
            `answers_spans`, as on the hub.
        model: the model's name.
        agent: the agent's folder.
        two_stage: ask a second time, for the answer alone, where the first reply has no line for it.
        split_spans: where a reference has several spans, also read a reply as its pieces between commas, semicolons
            and "and", if they are as many, and take what scores higher. The published scorers read one span.
    """

    def __init__(
        self,
        dataset_ref: Any,
        model: str = "",
        agent: str = "",
        *,
        two_stage: bool = False,
        split_spans: bool = False,
    ) -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.two_stage = two_stage
        self.split_spans = split_spans

    def evaluation_name(self) -> str:
        """`drop`, with marks where a second call may be made, and where a reply may be several spans."""
        return f"drop{'_two_stage' if self.two_stage else ''}{'_split_spans' if self.split_spans else ''}"

    def compatible_datasets(self) -> list[str]:
        """`drop`."""
        return ["drop"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """The best F1 over the reference answers, in 0-1; a reply without a line `Answer:` is all answer.

        Raises:
            SolverError: the row lacks a field, or one cannot be used.
        """
        passage = text_of(datum, "passage", "context", solver=self.name)
        question = text_of(datum, "question", solver=self.name)
        golds = read_golds(datum, solver=self.name)
        session = self.start_inference_session(question[:60])
        text = await session.run_task(PROMPT.format(passage=passage, question=question))
        answer = stated_answer(spoken(text))
        if answer is None and self.two_stage:
            text = await session.run_task(SECOND)
            answer = stated_answer(spoken(text))
        if answer is None and text.finish_reason != "length":
            answer = spoken(text).strip() or None
        if answer is None or not WORD.search(answer):
            return unread(text)
        exact, f1 = best_scores(answer, golds, split_spans=self.split_spans)
        metrics = {"exact_match": exact, "f1": f1}
        return Score(value=f1, answer=answer[:LONGEST], metrics=metrics, info={"expected": golds})


def stated_answer(text: str) -> str | None:
    """What the last line `Answer: ...` says, marks around it aside; None where there is none."""
    found = ANSWER.findall(text)
    return (str(found[-1]).strip().strip("*_$ ").strip() or None) if found else None


def read_golds(datum: Row, *, solver: str) -> list[list[str]]:
    """The reference answers of a row, each a list of spans.

    Raises:
        SolverError: there are none, or they are of another shape.
    """
    names = ("answers", "answers_spans", "ref_text", "answer")
    given = value_of(datum, *names, solver=solver)
    if isinstance(given, str):
        golds = [[each] for each in given.split("|")]
    elif isinstance(given, Mapping) and "types" in given:
        # The hub's `ucinlp/drop` has put the spans of all annotators into one list.
        spans = [str(span) for span in given.get("spans", ())]
        golds = [[span] for span in spans] + ([spans] if len(spans) > 1 else [])
    elif isinstance(given, Mapping):
        golds = [_spans_of(each) for each in (given, *_rows_of(datum.get("validated_answers")))]
    elif isinstance(given, Sequence):
        golds = [[str(span) for span in each] if isinstance(each, (list, tuple)) else [str(each)] for each in given]
    else:
        golds = []
    kept = [spans for spans in golds if spans and spans[0].strip()]
    if not kept:
        raise wrong(datum, *names, solver=solver, wanted="a list of lists of texts")
    return kept


def _spans_of(answer: Mapping[str, Any]) -> list[str]:
    """An annotator's answer as the paper's scorer reads it: its number, else its spans, else its date."""
    if str(answer.get("number") or "").strip():
        return [str(answer["number"])]
    if answer.get("spans"):
        return [str(span) for span in answer["spans"]]
    date = answer.get("date") or {}
    return [" ".join(str(date.get(part) or "") for part in ("day", "month", "year")).strip()]


def _rows_of(columns: Any) -> list[dict[str, Any]]:
    """Rows of what a Parquet file holds as columns; a list of rows as it is."""
    if isinstance(columns, Mapping):
        names = [name for name in ("number", "date", "spans") if name in columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=False)]
    return [dict(each) for each in columns or () if isinstance(each, Mapping)]


def best_scores(answer: str, golds: Sequence[Sequence[str]], *, split_spans: bool = False) -> tuple[float, float]:
    """Exact match and F1 of the answer against the reference that it fits best."""
    readings = [[answer]]
    pieces = [piece.strip() for piece in PIECES.split(answer) if piece.strip()] if split_spans else []
    if len(pieces) > 1 and any(len(pieces) == len(gold) for gold in golds):
        readings.append(pieces)
    scores = [drop_scores(reading, gold) for reading in readings for gold in golds]
    return max(exact for exact, _ in scores), max(f1 for _, f1 in scores)
