"""Scorers are found by the name of their file."""

from __future__ import annotations

import pytest

from engine.errors import SolverError
from engine.scoring import exact
from engine.scoring.judges import is_heavy, judge_named, judge_names, judge_version


def test_a_scorer_is_found_by_its_file_name():
    assert judge_named("exact") is exact.judge
    assert judge_version("exact") == exact.VERSION


def test_each_file_with_a_judge_is_a_scorer_and_has_a_version():
    assert {"exact", "includes", "number", "choice", "pattern"} <= set(judge_names())
    assert "judges" not in judge_names()
    assert all(judge_version(name) >= 1 for name in judge_names())


@pytest.mark.parametrize("name", ["exakt", "judges", "verdict", "../exact", ""])
def test_an_unknown_scorer_is_named_with_those_that_exist(name):
    with pytest.raises(SolverError) as caught:
        judge_named(name)
    assert repr(name) in caught.value.message
    assert "includes, " in caught.value.hint


def test_a_misspelt_scorer_gets_a_guess():
    with pytest.raises(SolverError, match="did you mean 'exact'"):
        judge_named("exakt")


def test_scorers_say_whether_they_belong_into_a_worker():
    assert is_heavy("math")
    assert not is_heavy("exact")
