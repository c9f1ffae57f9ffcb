"""Rows that are kept in files: checked once, then read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.data.check import stamp_of, summarise
from engine.data.rows import Form, Row, Wanted
from engine.errors import DatasetError

READ_AT_ONCE = 64


class FileRows:
    """The rows of one file or folder of files.

    Raises:
        DatasetError: a row is broken, a declared id comes twice, or there are no rows.
    """

    def __init__(
        self,
        form: Form,
        path: Path,
        *,
        cache: Path | None,
        id_field: str | None = None,
        files: Sequence[Path] = (),
        load_hf: Callable[[], Any] | None = None,
    ) -> None:
        self._form = form
        self._path = path
        self._files = list(files) or [path]
        self._load_hf = load_hf
        self._stamp = stamp_of(self._files)
        self.summary = summarise(form, path, files=self._files, id_field=id_field, cache=cache)

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows.

        Raises:
            DatasetError: the file is not the one that was checked.
            IndexError: there is no such row.
        """
        self._check_stamp()
        rows = self._form.read(self._path, Wanted(indices, self.summary.rows), self.summary)
        while some := list(islice(rows, READ_AT_ONCE)):
            self._check_stamp()  # before any of them is used: the file may have been written while it was read
            yield from some

    def _check_stamp(self) -> None:
        if stamp_of(self._files) != self._stamp:
            raise DatasetError(
                f"{self._path}: was changed after it had been checked", hint="start again: a new content is a new run"
            )

    def to_hf(self) -> Any:
        """The rows as a `datasets.Dataset`: as it was saved, else made in memory from all rows."""
        if self._load_hf is not None:
            return self._load_hf()
        return from_rows((row for _, row in self.read()), self.summary.columns, name=str(self._path))


def from_rows(rows: Iterable[Row], columns: Sequence[str], *, name: str) -> Any:
    """A `datasets.Dataset` in memory; a field that a row lacks is None.

    Raises:
        DatasetError: a column holds values of several kinds, which Arrow cannot keep.
    """
    import datasets
    import pyarrow as pa

    held = list(rows)
    try:
        return datasets.Dataset.from_dict({column: [row.get(column) for row in held] for column in columns})
    except (pa.ArrowException, OverflowError) as error:
        raise DatasetError(
            f"{name}: cannot become a Hugging Face dataset, {str(error).splitlines()[0]}",
            hint="use the rows themselves: iterate over dataset_ref, or index it",
        ) from error
