"""What the rows of one split look like to the rest of the engine, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """What one pass over all rows found.

    `columns` are the names of all fields in the order they first came; `marks` are byte offsets that a
    format may use to find a row quickly.
    """

    rows: int
    fingerprint: str
    columns: tuple[str, ...] = ()
    marks: tuple[int, ...] = ()


class Rows(Protocol):
    """The rows of one split, checked."""

    @property
    def summary(self) -> Summary:
        """What the check found."""
        ...

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows."""
        ...

    def to_hf(self) -> Any:
        """The same rows as a `datasets.Dataset`."""
        ...


@dataclass(slots=True)
class Seen:
    """What a scan leaves behind beside its rows: the hash of the content, and marks for later reads."""

    digest: Any = field(default_factory=lambda: blake2b(digest_size=16))
    marks: list[int] = field(default_factory=list)


class Form(Protocol):
    """One way to keep rows in a file or folder; an instance belongs to one path."""

    name: str

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(place, row)` for all rows, each checked, while the content goes into `seen`.

        Raises:
            DatasetError: a row is broken; it says where.
        """
        ...

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the wanted rows, of what was scanned before."""
        ...

    def where(self, path: Path, place: int) -> str:
        """A place for people: `path:LINE`."""
        ...


class Wanted:
    """Ascending indices with the next one in sight; `limit` is the number of rows there are."""

    def __init__(self, indices: Iterable[int] | None, limit: int) -> None:
        self._rest = iter(range(limit) if indices is None else indices)
        self._limit = limit
        self._last = -1
        self.head: int | None = None
        self.advance()

    def advance(self) -> None:
        """Go to the next index; `head` is None when there is none.

        Raises:
            IndexError: there is no such row.
            ValueError: the indices do not ascend.
        """
        self.head = next(self._rest, None)
        if self.head is None:
            return
        if not 0 <= self.head < self._limit:
            raise IndexError(f"row {self.head} is out of range: there are {self._limit} rows")
        if self.head <= self._last:
            raise ValueError(f"row {self.head} comes after row {self._last}: indices must ascend")
        self._last = self.head


def pick(pieces: Iterable[tuple[int, list[Row]]], wanted: Wanted) -> Iterator[tuple[int, Row]]:
    """The wanted rows out of pieces `(index of the first, rows)`, up to the end of either."""
    for start, rows in pieces:
        while wanted.head is not None and wanted.head < start + len(rows):
            index = wanted.head
            yield index, rows[index - start]
            wanted.advance()
        if wanted.head is None:
            return
