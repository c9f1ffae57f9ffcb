"""Parquet files, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from engine.data.content import GZIP_MAGIC, hash_content, read_content
from engine.data.rows import Row, Seen, Summary, Wanted, pick
from engine.errors import DatasetError

BATCH_ROWS = 512


class Parquet:
    """`.parquet`; one that was gzipped as well is unpacked in memory, as its end must be read first."""

    name = "parquet"

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for all rows."""
        hash_content(path, seen)
        with _open(path) as file:
            index = 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    yield index, row
                    index += 1

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """The wanted rows; row groups without any are not touched."""
        del summary
        with _open(path) as file:
            start = 0
            for group in range(file.metadata.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                if wanted.head is None:
                    return
                if wanted.head < stop:
                    yield from pick(_pieces(file, group, start), wanted)
                start = stop

    def where(self, path: Path, place: int) -> str:
        """`path row INDEX`."""
        return f"{path} row {place}"


def _pieces(file: Any, group: int, start: int) -> Iterator[tuple[int, list[Row]]]:
    for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
        yield start, batch.to_pylist()
        start += batch.num_rows


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
        source: Any = BytesIO(read_content(path, Seen())) if packed else path
        with ParquetFile(source) as opened:
            yield opened
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{path}: is not a sound Parquet file, {reason}", hint="fetch the file again") from error
