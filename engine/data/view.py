"""The lazy view of a dataset that a run walks through and solvers get as `dataset_ref`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, overload

from engine.data.ids import datum_id
from engine.data.rows import Row, Rows
from engine.data.source import Source

HF_ONLY = frozenset(
    """
    add_column cast cast_column class_encode_column data dataset_size features filter flatten format info iter map
    remove_columns rename_column rename_columns repeat reset_format select select_columns set_format set_transform
    shard shuffle skip sort split take to_csv to_dict to_iterable_dataset to_json to_list to_pandas to_parquet
    train_test_split unique with_format with_transform
    """.split()  # noqa: SIM905 - a paragraph of names reads better than forty strings
)
"""What only a Hugging Face dataset has; asking for one of these makes the view one."""


class DatasetView:
    """Rows of one split in their order, read as they are asked for; the other splits are an index away.

    It is `engine.ports.Dataset`. `view[3]` is a row, `view["train"]` another split, `view["question"]` a
    column and `view[2:5]` columns, as a Hugging Face dataset has them.

    Attributes:
        name: how it was asked for.
        path: the resolved file or folder; None for hub and generated datasets.
        subset: the split that was chosen; empty where a file or a plain dataset was taken as it is.
        fingerprint: covers the content and order of all rows of this split.
        metadata: what metadata.json says.
    """

    def __init__(self, source: Source, rows: Rows, *, subset: str = "") -> None:
        self._source = source
        self._rows = rows
        self.name: str = source.name
        self.path: Path | None = source.path
        self.subset: str = subset
        self.fingerprint: str = rows.summary.fingerprint
        self.metadata: Mapping[str, Any] = source.metadata

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits; none for a dataset that has no such thing."""
        return tuple(self._source.splits)

    @property
    def column_names(self) -> list[str]:
        """All fields that rows have, in the order they first came."""
        return list(self._rows.summary.columns)

    @property
    def num_rows(self) -> int:
        """How many rows this split has."""
        return self._rows.summary.rows

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for the ascending `indices`, or for all rows; blocking, reads as it goes.

        Raises:
            DatasetError: the file is not the one that was checked.
            IndexError: there is no such row.
        """
        return self._rows.read(indices)

    def wrapped(self, wrap: Callable[[str, Rows], Rows]) -> DatasetView:
        """The same view with each split's rows behind `wrap(name, rows)`; the chosen split has the name ""."""

        def other(name: str) -> Rows:
            return wrap(name, self._source.split(name))

        splits = {name: partial(other, name) for name in self._source.splits}
        return DatasetView(replace(self._source, splits=splits), wrap("", self._rows), subset=self.subset)

    def datum_id(self, row: Mapping[str, Any]) -> str:
        """How the dataset names a row; empty where it does not."""
        details = self.metadata.get("details")
        field = details.get("id_field") if isinstance(details, Mapping) else None
        return datum_id(row, field=field if isinstance(field, str) and field else None)

    def to_hf(self) -> Any:
        """The same rows as a `datasets.Dataset`, made once.

        Raises:
            DatasetError: Arrow cannot keep them, as where a column holds numbers and texts.
        """
        return self._hf

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self.read())

    def __contains__(self, item: object) -> bool:
        return item in self._source.splits if isinstance(item, str) else any(row == item for row in self)

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> Any: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, slice):
            return self._hf[key]
        if isinstance(key, str):
            if key not in self._source.splits and key in self._rows.summary.columns:
                return self._hf[key]
            return DatasetView(self._source, self._source.split(key), subset=key)
        index = key.__index__()
        return next(self.read([index + len(self) if index < 0 else index]))[1]

    def __getattr__(self, name: str) -> Any:
        if name in HF_ONLY:
            return getattr(self._hf, name)
        raise AttributeError(f"a dataset has no attribute {name!r}; to_hf() makes it a Hugging Face dataset")

    def __repr__(self) -> str:
        split = f", subset={self.subset!r}" if self.subset else ""
        return f"<dataset {self.name!r}{split}: {len(self)} rows>"

    @cached_property
    def _hf(self) -> Any:
        return self._rows.to_hf()
