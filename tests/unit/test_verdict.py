"""What a solver may return, and what is refused with a sentence in place of a wrong figure."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import SolverError
from engine.records import Outcome, Score
from engine.verdict import verdict


@pytest.mark.parametrize("given", [True, 1, np.bool_(True), np.int64(1), (np.int64(1), {"a": 1}), (True, None)])
def test_right_is_right_in_every_number_type(given):
    assert verdict(given).value == 1.0


def test_numbers_of_an_array_library_become_plain_ones():
    score = verdict(Score(value=np.float32(0.5), metrics={"steps": np.int64(3), "share": 0.25}))
    assert (type(score.value), score.value) == (float, 0.5)
    assert [type(each) for each in score.metrics.values()] == [int, float]


@pytest.mark.parametrize(
    "given",
    [
        2,
        0.5,
        "yes",
        None,
        (True, 1, 2),
        Score(value=1.5),
        Score(value=float("nan")),
        Score(value=0.5, outcome=Outcome.PASSED),
        Score(value=0.0, outcome=Outcome.ERRORED),
        Score(value=1.0, tags="abc"),  # type: ignore[arg-type]
        Score(value=1.0, metrics={"m": 10**400}),
        Score(value=1.0, metrics={"m": float("inf")}),
        Score(value=1.0, metrics={"m": "3"}),  # type: ignore[dict-item]
    ],
)
def test_anything_else_is_the_solvers_error(given):
    with pytest.raises(SolverError, match="solve returned"):
        verdict(given)


def test_a_score_takes_its_fields_in_the_order_in_which_they_are_documented():
    named = Score(value=0.5, outcome=Outcome.SCORED, answer="B", metrics={"f1": 0.5}, tags=("law",), info=["x"])
    assert Score(0.5, Outcome.SCORED, "B", {"f1": 0.5}, ("law",), ["x"]) == named


def test_a_name_cannot_stand_for_a_metric_and_a_tag_at_once():
    with pytest.raises(SolverError, match="'law' is a metric and a tag"):
        verdict(Score(value=1.0, metrics={"law": 0.5}, tags=("law",)))
