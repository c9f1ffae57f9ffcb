"""Options of a solver become what its constructor says it takes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from engine.errors import SolverError
from engine.load import build_solver
from engine.options import fitted


class Colour(Enum):
    RED = "red"


FITS = [
    ("3", int, 3),
    ("-3", int, -3),
    ("0.5", float, 0.5),
    (1, float, 1.0),
    ("3", str, "3"),
    ("true", bool, True),
    ("No", bool, False),
    ("3", int | None, 3),
    ("3", Optional[int], 3),  # noqa: UP045 - as it stands in many a solver
    ("none", Optional[int], None),  # noqa: UP045
    (None, int | None, None),
    ("3", Union[str, int], 3),  # noqa: UP007
    ("three", Union[str, int], "three"),  # noqa: UP007
    ("loud", Literal["loud", "quiet"], "loud"),
    ("2", Literal[1, 2], 2),
    ('["a", "b"]', list[str], ["a", "b"]),
    ('["a"]', tuple[str, ...], ("a",)),
    ('{"a": 1}', dict[str, int], {"a": 1}),
    ("text", Sequence[str], "text"),
    ('{"a": 1}', Mapping[str, int] | str, {"a": 1}),
    ("here/x", Path, Path("here/x")),
    ("red", Colour, Colour.RED),
    ("RED", Colour, Colour.RED),
    ("anything", Any, "anything"),
    ({"a": 1}, Any, {"a": 1}),
]
FITS_NOT = [
    ("many", int, "a whole number"),
    ("1.5", int, "a whole number"),
    (True, int, "a whole number"),
    ("maybe", bool, "true or false"),
    ("hot", float | None, "a number or nothing"),
    (3, str, "text"),
    ("laud", Literal["loud", "quiet"], "did you mean 'loud'? it takes 'loud' or 'quiet'"),
    ("a, b", list[str], "list in JSON"),
    ('{"a": 1}', list[str], "list in JSON"),
    ("blue", Colour, "'red'"),
]


@pytest.mark.parametrize(("given", "kind", "made"), FITS, ids=str)
def test_a_value_becomes_what_is_wanted(given, kind, made):
    found = fitted(given, kind, where="here")
    assert (found, type(found)) == (made, type(made))


@pytest.mark.parametrize(("given", "kind", "hint"), FITS_NOT, ids=str)
def test_what_is_no_such_value_is_told_with_what_is_wanted(given, kind, hint):
    with pytest.raises(SolverError) as told:
        fitted(given, kind, where="here")
    assert told.value.message == f"here is {given!r}"
    assert hint in told.value.hint


class Plain:
    """A solver as the seed writes them: without a word about types."""

    def __init__(self, dataset_ref, model="", shots=3, share=0.5, loud=False, rest=None):
        self.given = (shots, share, loud, rest)


class Unknown:
    def __init__(self, dataset_ref: NotThere, model: str = "", *, shots: int | None = None) -> None:  # type: ignore[name-defined]  # noqa: F821
        self.shots = shots


def test_a_default_says_what_an_option_takes_where_no_annotation_does():
    options = {"shots": "5", "share": "1", "loud": "true", "rest": "8"}
    built, whole = build_solver(Plain, dataset=None, model="m", agent="", options=options)
    assert built.given == (5, 1.0, True, "8")
    assert whole == {"shots": 5, "share": 1.0, "loud": True, "rest": "8"}
    with pytest.raises(SolverError, match="option 'shots' is 'many'"):
        build_solver(Plain, dataset=None, model="m", agent="", options={"shots": "many"})


def test_an_annotation_that_cannot_be_looked_up_hides_no_other():
    built, _ = build_solver(Unknown, dataset=None, model="m", agent="", options={"shots": "5"})
    assert built.shots == 5
