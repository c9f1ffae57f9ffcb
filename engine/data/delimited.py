"""CSV and TSV with a header row: every value stays the text it is, and quoted values may hold line ends."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.data.content import text_lines
from engine.data.rows import Row, Seen, Summary, Wanted
from engine.errors import DatasetError


class Delimited:
    """`.csv` and `.tsv`; nothing is inferred, so `None`, `nan` and `007` are text."""

    def __init__(self, name: str, delimiter: str) -> None:
        self.name = name
        self._delimiter = delimiter

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(line number, row)` for every record below the header, at the line where it begins."""
        header: list[str] = []
        for line, values in self._records(path, seen):
            if not header:
                header = _check_header(values, path, line)
            else:
                _check_width(values, header, f"{path}:{line}")
                yield line, dict(zip(header, values, strict=True))

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """The wanted rows; all before them are split, as a quoted value may hold line ends."""
        del summary
        records = self._records(path, Seen())
        _, header = next(records)
        for index, (_, values) in enumerate(records):
            if wanted.head is None:
                return
            if index == wanted.head:
                yield index, dict(zip(header, values, strict=True))
                wanted.advance()

    def where(self, path: Path, place: int) -> str:
        """`path:LINE`."""
        return f"{path}:{place}"

    def _records(self, path: Path, seen: Seen) -> Iterator[tuple[int, list[str]]]:
        # A setting of the whole process, and the only way to read a value above 128 KiB: it is never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), min(sys.maxsize, 2**31 - 1)))
        reader = csv.reader(text_lines(path, seen), delimiter=self._delimiter, strict=True)
        begins = 1
        try:
            for values in reader:
                if values:
                    yield begins, values
                begins = reader.line_num + 1
        except csv.Error as error:
            raise DatasetError(
                f"{path}:{begins}: broken {self.name.upper()}, {error}",
                hint='put values that hold the separator, quotes or line ends in quotes, and double the quotes: ""',
            ) from None


def _check_header(header: list[str], path: Path, line: int) -> list[str]:
    for name in header:
        if header.count(name) > 1:
            raise DatasetError(
                f"{path}:{line}: the header names {name!r} twice", hint="the first row must name each column once"
            )
    return header


def _check_width(values: list[str], header: list[str], where: str) -> None:
    if len(values) != len(header):
        raise DatasetError(
            f"{where}: has {len(values)} values where the header names {len(header)} columns: {values[0][:60]!r}",
            hint="put values that hold the separator in quotes; the first row must name the columns",
        )
