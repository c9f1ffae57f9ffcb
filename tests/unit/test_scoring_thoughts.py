"""Thoughts that an endpoint left in a reply are no part of the answer."""

from __future__ import annotations

import time

import pytest
from solving import MODEL, solved

from engine.records import Outcome
from engine.scoring.thoughts import spoken
from solvers.gsm8k import GSM8KSolverStrategy
from solvers.mmlu import MMLUSolverStrategy

MMLU = {"question": "2 + 2?", "subject": "abstract_algebra", "choices": ["3", "4", "5", "6"], "answer": 1}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("B", "B"),
        ("<think>A?</think>\nB", "\nB"),
        ("A? no</think>B", "B"),
        ("<think>A", ""),
        ("B<think>C", "B"),
        ("<think>a</think>B<think>c</think>D", "BD"),
        ("", ""),
    ],
)
def test_what_is_said_is_what_is_not_thought(reply, said):
    assert spoken(reply) == said


def test_a_million_tags_take_no_time():
    began = time.monotonic()
    assert spoken("<think>" * 1_000_000) == ""
    assert spoken("</think>" * 1_000_000) == ""
    assert time.monotonic() - began < 5


async def test_solvers_judge_what_is_said():
    solver = MMLUSolverStrategy(None, MODEL)
    assert (await solved(solver, MMLU, "<think>The answer is A. No.</think>\n\nB")).value == 1
    problem = {"question": "2 + 2?", "answer": "#### 4"}
    assert (await solved(GSM8KSolverStrategy(None, MODEL), problem, "<think>#### 5?</think>It is 4.")).value == 1
    unfinished = await solved(solver, MMLU, "<think>The answer is B.", finish_reason="length")
    assert unfinished.outcome is Outcome.UNPARSED
