"""Rows noted as they are read, and rows that were kept from elsewhere: what a proof carries of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.data.rows import Row, Rows, Summary, Wanted
from engine.data.source import Source
from engine.data.view import DatasetView
from engine.errors import DatasetError

Note = Callable[[str, int, Row], None]
"""Told `(split, index, row)` of each row that is read; the chosen split has the name ""."""


class NotedRows:
    """The rows of a split; each that somebody reads is noted."""

    def __init__(self, split: str, rows: Rows, note: Note) -> None:
        self._split = split
        self._rows = rows
        self._note = note

    @property
    def summary(self) -> Summary:
        """That of the rows themselves."""
        return self._rows.summary

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)`, each noted before it is given."""
        for index, row in self._rows.read(indices):
            self._note(self._split, index, row)
            yield index, row

    def to_hf(self) -> Any:
        """All rows as a `datasets.Dataset`, all of them noted."""
        for _ in self.read():
            pass
        return self._rows.to_hf()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSplit:
    """A split of which some rows were kept; `fetch` gives one by its index, None where it was not."""

    summary: Summary
    fetch: Callable[[int], Row | None]


class KeptRows:
    """The rows of a split as far as they were kept."""

    def __init__(self, name: str, kept: KeptSplit) -> None:
        self._name = name
        self._kept = kept

    @property
    def summary(self) -> Summary:
        """That of the whole split, also where few of its rows were kept."""
        return self._kept.summary

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows.

        Raises:
            DatasetError: the row was not kept.
        """
        wanted = Wanted(indices, self.summary.rows)
        while wanted.head is not None:
            index = wanted.head
            row = self._kept.fetch(index)
            if row is None:
                raise DatasetError(
                    f"row {index} of split {self._name!r} was not kept", hint="give the dataset itself with --dataset"
                )
            yield index, row
            wanted.advance()

    def to_hf(self) -> Any:
        """All rows as a `datasets.Dataset`.

        Raises:
            DatasetError: not all of them were kept.
        """
        import datasets

        return datasets.Dataset.from_list([row for _, row in self.read()])


def noted_view(view: DatasetView, note: Note) -> DatasetView:
    """The same view; each row that is read through it, of any split, is noted."""
    return view.wrapped(lambda split, rows: NotedRows(split, rows, note))


def kept_view(name: str, subset: str, splits: Mapping[str, KeptSplit], metadata: Mapping[str, Any]) -> DatasetView:
    """A view of what was kept of a dataset; `splits` has the chosen one under ""."""
    others = {each: partial(KeptRows, each, kept) for each, kept in splits.items() if each}
    return DatasetView(Source(name=name, splits=others, metadata=metadata), KeptRows("", splits[""]), subset=subset)
