"""Folders of a format of their own: a path and a fingerprint, for a solver that makes its own tasks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.data.check import remember
from engine.data.content import CHUNK_BYTES
from engine.data.rows import Row, Seen, Summary
from engine.errors import DatasetError

IGNORED = frozenset({".git", "__pycache__", ".DS_Store"})


class CustomRows:
    """No rows; the fingerprint covers names and content of all files below the folder.

    Raises:
        DatasetError: a file cannot be read, or there is none.
    """

    def __init__(self, folder: Path, *, cache: Path | None) -> None:
        self._folder = folder
        files = _files(folder)
        if not files:
            raise DatasetError(f"{folder}: is an empty folder", hint="check the path")
        self.summary = remember(
            f"custom {folder}", folder, files=files, cache=cache, make=lambda: Summary(0, _hash(folder, files))
        )

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Row]]:
        """There is nothing to read.

        Raises:
            DatasetError: always; it says what the folder is for.
        """
        del indices
        raise self._no_rows()

    def to_hf(self) -> Any:
        """There is nothing to give.

        Raises:
            DatasetError: always.
        """
        raise self._no_rows()

    def _no_rows(self) -> DatasetError:
        return DatasetError(
            f"{self._folder}: is a folder of a custom format and holds no rows of its own",
            hint="use it with a solver that has get_custom_tasks, or name a data file below it",
        )


def _files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in IGNORED)
        found += [Path(place, name) for name in sorted(names) if name not in IGNORED]
    return [path for path in found if path.is_file()]


def _hash(folder: Path, files: Iterable[Path]) -> str:
    seen = Seen()
    for path in files:
        seen.digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    seen.digest.update(chunk)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read, {error.strerror}", hint="check its permissions") from error
    return str(seen.digest.hexdigest())
