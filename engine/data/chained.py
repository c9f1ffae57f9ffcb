"""Rows of several splits one after the other, and rows that get a field which says where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from engine.data.filerows import from_rows
from engine.data.rows import Row, Rows, Summary, Wanted


class MarkedRows:
    """The same rows with one more field, the same for all; a row that has it keeps its own."""

    def __init__(self, rows: Rows, field: str, value: str) -> None:
        self._rows = rows
        self._field = {field: value} if field else {}
        held = rows.summary
        columns = tuple(dict.fromkeys((*held.columns, *self._field)))
        mark = f" {field}={value}" if field else ""
        self.summary = Summary(held.rows, f"{held.fingerprint}{mark}", columns)

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows."""
        return ((index, {**self._field, **row}) for index, row in self._rows.read(indices))

    def to_hf(self) -> Any:
        """The rows as a `datasets.Dataset` in memory."""
        return from_rows((row for _, row in self.read()), self.summary.columns, name=self.summary.fingerprint)


class ChainedRows:
    """All rows of several parts in the order of the parts; an index counts on from part to part."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        held = [part.summary for part in parts]
        digest = blake2b(repr([each.fingerprint for each in held]).encode(), digest_size=16).hexdigest()
        columns = tuple(dict.fromkeys(column for each in held for column in each.columns))
        self.summary = Summary(sum(each.rows for each in held), digest, columns)

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows."""
        wanted = Wanted(indices, self.summary.rows)
        begin = 0
        for part in self._parts:
            end = begin + part.summary.rows
            here: list[int] = []
            while wanted.head is not None and wanted.head < end:
                here.append(wanted.head - begin)
                wanted.advance()
            if here:
                yield from ((begin + index, row) for index, row in part.read(here))
            begin = end

    def to_hf(self) -> Any:
        """The rows as a `datasets.Dataset` in memory."""
        return from_rows((row for _, row in self.read()), self.summary.columns, name=self.summary.fingerprint)
