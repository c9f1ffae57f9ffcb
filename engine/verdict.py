"""What a solver says of a datum, as a checked score."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import Any

from engine.errors import SolverError
from engine.records import Outcome, Score


def verdict(given: Any) -> Score:
    """A `Score` from what `solve` returned.

    Raises:
        SolverError: it is neither a bool, nor `(bool, info)`, nor a `Score` with a value in 0-1.
    """
    if isinstance(given, Score):
        score = _of_plain_numbers(given)
        _check(score)
        return score
    solved, info = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    solved = _plain(solved)
    if isinstance(solved, (bool, int)) and solved in (0, 1):
        return Score(value=float(solved), info=info)
    raise SolverError(f"solve returned {given!r:.80}", hint="return a bool, (bool, info) or a Score")


def _check(score: Score) -> None:
    """Whether a solver's score says one thing.

    Raises:
        SolverError: it says two, or holds what no score is made of.
    """
    whole = {Outcome.PASSED: 1.0, Outcome.FAILED: 0.0}
    if not isinstance(score.value, (int, float)) or not 0.0 <= score.value <= 1.0:
        raise SolverError(f"solve returned a score of {score.value!r:.80}", hint="a Score's value is in 0-1")
    if score.outcome is not None and (not isinstance(score.outcome, Outcome) or not score.outcome.counted):
        raise SolverError(f"solve returned the outcome {score.outcome!r:.80}", hint="raise where there is no score")
    if score.outcome in whole and score.value != whole[score.outcome]:
        raise SolverError(f"solve returned {score.outcome} with the value {score.value!r}", hint="leave outcome unset")
    if not score.metrics and not score.tags:
        return
    tags: Any = score.tags
    named = not isinstance(tags, str) and all(isinstance(name, str) for name in (*score.metrics, *tags))
    if not named or not all(_is_finite(each) for each in score.metrics.values()):
        raise SolverError(
            "solve returned metrics or tags of a wrong type", hint="finite numbers by name, and a tuple of str"
        )
    if score.metrics and (both := score.metrics.keys() & set(tags)):
        raise SolverError(f"solve returned a score in which {min(both)!r} is a metric and a tag", hint="rename one")


def _of_plain_numbers(score: Score) -> Score:
    if isinstance(score.value, (int, float)) and all(type(each) in (int, float) for each in score.metrics.values()):
        return score
    metrics = {name: _plain(each) for name, each in score.metrics.items()}
    return replace(score, value=_plain(score.value), metrics=metrics)


def _plain(value: Any) -> Any:
    """The number of Python that an array library's number is."""
    return value.item() if type(value).__module__ == "numpy" and not getattr(value, "shape", None) else value


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False
