"""Datasets that are computed: `generated:NAME` needs no file and gives the same rows on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from engine.data.filerows import from_rows
from engine.data.rows import Row, Seen, Summary, Wanted
from engine.data.saved import SavedArrow, hash_row
from engine.data.source import Source, listed, near
from engine.errors import DatasetError

SCHEME = "generated"


def three_digit_addition() -> Iterator[Row]:
    """1000 sums of two numbers below 1000: `input` as in `12 + 345`, `output` their sum, both text.

    Source: the tutorial "Implementing the 3 digit addition benchmark"; the rows are equal to those that its
    script draws with `random.seed(42)` from `list(product(range(1000), range(1000)))`.
    """
    # A sample of positions takes the same random numbers as a sample of the million pairs themselves.
    for position in Random(42).sample(range(1000 * 1000), 1000):
        a, b = divmod(position, 1000)
        yield {"input": f"{a} + {b}", "output": str(a + b)}


GENERATORS = {"3_digit_addition": three_digit_addition}


class GeneratedRows:
    """Rows made each time they are read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._make = GENERATORS[name]

    @cached_property
    def summary(self) -> Summary:
        """The fingerprint is that of the same rows in a saved dataset."""
        seen = Seen()
        seen.digest.update(SavedArrow.name.encode() + b"\0")
        columns: tuple[str, ...] = ()
        rows = 0
        for row in self._make():
            hash_row(row, seen)
            columns = columns or tuple(row)
            rows += 1
        return Summary(rows, seen.digest.hexdigest(), columns)

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows."""
        wanted = Wanted(indices, self.summary.rows)
        rows, position = self._make(), 0
        while wanted.head is not None:
            yield wanted.head, next(islice(rows, wanted.head - position, None))
            position = wanted.head + 1
            wanted.advance()

    def to_hf(self) -> Any:
        """The rows as a `datasets.Dataset` in memory."""
        return from_rows((row for _, row in self.read()), self.summary.columns, name=f"{SCHEME}:{self._name}")


def open_source(name: str, *, subset: str, cache: Path | None) -> tuple[Source, str]:
    """The generated dataset of this name, and the split that is asked for.

    Raises:
        DatasetError: nothing of this name is generated.
    """
    del cache
    if name not in GENERATORS:
        raise DatasetError(
            f"no dataset {name!r} is generated, there are {listed(GENERATORS)}",
            hint=near(name, GENERATORS) or "choose one of these, or give a file or a registry entry",
        )
    return Source(name=f"{SCHEME}:{name}", rows=lambda: GeneratedRows(name)), subset
