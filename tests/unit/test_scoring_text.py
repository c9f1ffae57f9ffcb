"""Replies are judged as text: equal, included, or matching a pattern."""

from __future__ import annotations

import pytest

from engine.errors import SolverError
from engine.records import Outcome
from engine.scoring import exact, includes, pattern


def test_exact_is_equality_less_the_white_space_around():
    assert exact.judge(" Paris\n", "Paris").value == 1
    assert exact.judge("paris", "Paris").value == 0
    assert exact.judge("paris", "Paris").answer == "paris"
    assert exact.judge("Paris.", "Paris").value == 0


def test_a_blank_reply_is_no_answer():
    assert exact.judge(" \n", "Paris").outcome is Outcome.UNPARSED


def test_what_is_to_be_ignored_is_an_option():
    assert exact.same_text("paris", "Paris", ignore_case=True)
    assert exact.same_text("Paris.", "Paris", ignore_punctuation=True)
    assert exact.same_text("The cat", "cat", ignore_articles=True)
    assert not exact.same_text("The cat", "cat")
    squad = {"ignore_case": True, "ignore_punctuation": True, "ignore_articles": True}
    assert exact.same_text("“The   U.S.A.”", "usa", **squad)
    assert exact.normalise("Theatre and an Apple", ignore_case=True, ignore_articles=True) == "theatre and apple"


@pytest.mark.parametrize(
    ("text", "target", "found"),
    [
        ("It is Paris.", "paris", True),
        ("It is 15.", "5", False),
        ("It is 15 or 5.", "5", True),
        ("comparison", "paris", False),
        ("Preis: 5€", "5€", True),
        ("STRASSE", "straße", True),
        ("", "x", False),
    ],
)
def test_includes_finds_whole_words_in_any_case(text, target, found):
    assert includes.includes(text, target) is found
    assert includes.judge(text, target).value == float(found)


def test_includes_can_be_strict_about_case_and_lax_about_words():
    assert not includes.includes("It is Paris.", "paris", ignore_case=False)
    assert includes.includes("comparison", "paris", whole_words=False)


def test_a_blank_target_is_not_included_in_everything():
    with pytest.raises(SolverError, match="' '"):
        includes.judge("anything", " ")


def test_a_pattern_gives_its_first_group_or_the_whole_match():
    assert pattern.extract_pattern("x = 12, y = 3", r"y = (\d+)") == "3"
    assert pattern.extract_pattern("x = 12", r"\d+") == "12"
    assert pattern.extract_pattern("b", "(a)?b") == ""
    assert pattern.extract_pattern("x", r"\d+") is None
    assert pattern.judge("Yes, it is", "(?i)^yes").value == 1
    assert pattern.judge("No", "(?i)^yes").value == 0


def test_a_broken_pattern_is_named():
    with pytest.raises(SolverError, match=r"'\(a' is no regular expression"):
        pattern.judge("a", "(a")


def test_a_pattern_that_backtracks_without_end_is_given_up():
    with pytest.raises(SolverError, match=r"took more than 0\.05 s"):
        pattern.extract_pattern("a" * 5000 + "!", r"^(([a-z])+.)+[A-Z]([a-z])+$", timeout_s=0.05)
