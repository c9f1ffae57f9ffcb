"""DROP: replies are read and scored as by its published scorers, from rows in any of the ways in which it is held."""

from __future__ import annotations

import time

import pytest
from solving import MODEL, solved

from engine.records import Outcome
from solvers.drop import DROPSolverStrategy, best_scores

DROP = {"passage": "A and B met.", "question": "Who met?", "answers": [["A"], ["A", "B"]]}


async def test_drop_is_scored_by_the_reference_that_fits_best():
    passage = {"passage": "Ann and Bob met.", "question": "Who met?", "answers": [["Ann"], ["Ann", "Bob"]]}
    score = await solved(DROPSolverStrategy(None, MODEL), passage, "They met.\n**Answer:** Ann")
    assert (score.value, score.metrics) == (1.0, {"exact_match": 1.0, "f1": 1.0})
    assert best_scores("Jo Smith", [["Mr Jo Smith"]]) == (0.0, 0.8)


async def test_drop_reads_a_reply_as_one_span_like_the_published_scorers_and_as_several_where_asked_for():
    passage = {"passage": "Ann and Bob met.", "question": "Who met?", "answers": [["Ann", "Bob"]]}
    reply = "They met.\nAnswer: Bob and Ann"
    assert (await solved(DROPSolverStrategy(None, MODEL), passage, reply)).value == 0.25
    assert (await solved(DROPSolverStrategy(None, MODEL, split_spans=True), passage, reply)).value == 1.0


async def test_the_answer_to_drop_may_stand_on_the_line_below():
    reply = "They met.\n**Answer:**\n\nAnn\n"
    assert (await solved(DROPSolverStrategy(None, MODEL), {**DROP, "answers": [["Ann"]]}, reply)).value == 1


async def test_all_of_a_long_reply_to_drop_counts_and_its_beginning_is_kept():
    score = await solved(DROPSolverStrategy(None, MODEL), {**DROP, "answers": [["B"]]}, "it was so " * 300 + "B.")
    assert (score.value, len(score.answer)) == (0.4, 2000)


async def test_a_blank_stretch_in_a_reply_to_drop_takes_no_time():
    began = time.process_time()
    best_scores("A" + " " * 100_000 + "B", [["A", "B"]], split_spans=True)
    assert time.process_time() - began < 5


async def test_a_reply_to_drop_without_an_answer_line_is_all_answer_unless_it_was_cut():
    reply = "Well.\nIt was\nB."
    assert (await solved(DROPSolverStrategy(None, MODEL), {**DROP, "answers": [["B"]]}, reply)).value == 0.4
    cut = await solved(DROPSolverStrategy(None, MODEL), {**DROP, "answers": [["B"]]}, reply, finish_reason="length")
    assert cut.outcome is Outcome.UNPARSED


@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ({"answers_spans": {"spans": ["Ann", "Bob"], "types": ["span", "span"]}}, "Answer: Bob"),
        ({"answer": {"number": "", "date": {"day": "1", "month": "May", "year": ""}, "spans": []}}, "Answer: 1 May"),
        ({"answer": {"number": "3", "spans": []}, "validated_answers": [{"number": "4", "spans": []}]}, "Answer: 4"),
        (
            {
                "answer": {"number": "3", "date": {}, "spans": []},
                "validated_answers": {"number": ["", ""], "date": [{}, {}], "spans": [["x"], ["Ann"]]},
            },
            "Answer: Ann",
        ),
    ],
)
async def test_drop_reads_the_ways_in_which_the_hub_holds_its_answers(fields, reply):
    row = {"passage": "Ann and Bob met.", "question": "Who met?", **fields}
    assert (await solved(DROPSolverStrategy(None, MODEL), row, reply)).value == 1
