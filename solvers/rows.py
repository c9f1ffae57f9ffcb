"""What solvers read from rows and splits: fields with clear errors, and examples from another split."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.errors import SolverError
from engine.records import Outcome, Score

LOOKED_AT = 200
"""Characters at the end of a reply without an answer which are kept with the task."""
SHOWN_FIELDS = 20
Row = Mapping[str, Any]


def value_of(datum: Row, *names: str, solver: str) -> Any:
    """The value of the first of these fields that the row has, and that is not null.

    Raises:
        SolverError: it has none of them.
    """
    for name in names:
        if datum.get(name) is not None:
            return datum[name]
    fields = ", ".join([str(field) for field in datum][:SHOWN_FIELDS]) or "nothing"
    raise SolverError(
        f"solver {solver!r}: the row has no field {' or '.join(repr(name) for name in names)}",
        hint=f"it has: {fields}; is this the right dataset?",
    )


def text_of(datum: Row, *names: str, solver: str) -> str:
    """The same for a field that holds text; a number is taken as its digits.

    Raises:
        SolverError: it has none of them, or the first one holds something else.
    """
    value = value_of(datum, *names, solver=solver)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise wrong(datum, *names, solver=solver, wanted="text")


def texts_of(datum: Row, *names: str, solver: str) -> list[str]:
    """The same for a field that holds a list of texts, one or more.

    Raises:
        SolverError: it has none of them, or the first one holds something else.
    """
    value = value_of(datum, *names, solver=solver)
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [str(each) for each in value]
    raise wrong(datum, *names, solver=solver, wanted="a list of texts")


def wrong(datum: Row, *names: str, solver: str, wanted: str) -> SolverError:
    """What to say about the first of these fields, whose value cannot be used."""
    name = next(each for each in names if datum.get(each) is not None)
    return SolverError(f"solver {solver!r}: field {name!r} is {datum[name]!r:.120}", hint=f"it should be {wanted}")


def split_rows(dataset: Any, *names: str) -> list[dict[str, Any]]:
    """All rows of the first of these splits that the dataset has; none where it has none of them.

    The split that is being evaluated gives none: no example comes from it.
    """
    splits = dataset if isinstance(dataset, Mapping) else getattr(dataset, "splits", ())
    for name in names:
        if name in splits and getattr(dataset, "subset", "") != name:
            return [dict(row) for row in dataset[name]]
    return []


def example_rows(dataset: Any, *splits: str, given: str, solver: str) -> list[dict[str, Any]]:
    """Rows to make examples of: of the split or file that an option names, else of the first of these splits.

    Raises:
        SolverError: what is named is neither, holds no rows, or is the split that is evaluated.
    """
    if not given:
        return split_rows(dataset, *splits)
    known = list(dataset if isinstance(dataset, Mapping) else getattr(dataset, "splits", ()))
    if given in known:
        if getattr(dataset, "subset", "") == given:
            raise SolverError(
                f"solver {solver!r}: examples are {given!r}, which is what is evaluated", hint="name another split"
            )
        return split_rows(dataset, given)
    path = Path(given).expanduser()
    if not path.is_file():
        there = f"splits: {', '.join(known[:SHOWN_FIELDS])}" if known else "the dataset has no splits"
        raise SolverError(
            f"solver {solver!r}: examples are {given!r}, neither a split nor a file", hint=f"{there}; or a JSONL file"
        )
    return _file_rows(path, solver)


def _file_rows(path: Path, solver: str) -> list[dict[str, Any]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode("utf-8-sig")
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(x) for x in text.splitlines() if x.strip()]
        )
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise SolverError(
            f"solver {solver!r}: examples {str(path)!r} cannot be read: {error}", hint="it is JSON lines"
        ) from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise SolverError(f"solver {solver!r}: examples {str(path)!r} hold no rows", hint="a line is an object")
    return rows


def fingerprint(parts: Iterable[Any]) -> int:
    """A number that stands for these parts, for `scorer_versions`: what a run's identity must not miss."""
    return int.from_bytes(blake2b(repr(list(parts)).encode("utf-8", "surrogatepass"), digest_size=6).digest())


def unread(text: str, *, tags: tuple[str, ...] = ()) -> Score:
    """The score of a reply that holds no answer, with what was looked at."""
    return Score(value=0.0, outcome=Outcome.UNPARSED, tags=tags, info={"looked_at": str(text[-LOOKED_AT:])})
