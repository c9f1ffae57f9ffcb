"""BIG-Bench Hard as it was published: a folder of task files, each an object with `canary` and `examples`.

Source: Suzgun et al. 2022, arXiv 2210.09261; `bbh/<task>.json`.
Differs: rows get an `id`, the name of their file as `task`, and carry the canary with them wherever they are copied to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from engine.data.filerows import FileRows
from engine.data.made import MadeForm
from engine.data.rows import Row, Rows
from engine.data.source import Source
from engine.errors import DatasetError

LOOKED_AT = 4096
FIELDS = ("input", "target")


def open_adapted(path: Path, *, name: str, cache: Path | None) -> Source | None:
    """All tasks of the folder in the order of their names; each is a split too. A file is its own task."""
    files = _task_files(path)
    if not files:
        return None
    splits = {each.stem: partial(_open, each, [each], cache) for each in files}
    whole = partial(_open, path, [path] if path.is_file() else files, cache)
    return Source(name=name, path=path, splits=splits, rows=whole)


def _task_files(path: Path) -> list[Path]:
    if path.is_file() and not _is_task(path):
        return []
    folder = path if path.is_dir() else path.parent
    return [each for each in sorted(folder.glob("*.json")) if _is_task(each)]


def _is_task(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    with path.open("rb") as stream:
        head = stream.read(LOOKED_AT)
    return head.lstrip().startswith(b"{") and b'"canary"' in head and b'"examples"' in head


def _open(path: Path, files: Sequence[Path], cache: Path | None) -> Rows:
    form = MadeForm("bbh", lambda: _rows(files))
    return FileRows(form, path, cache=cache, files=files)


def _rows(files: Sequence[Path]) -> Iterator[Row]:
    for path in files:
        try:
            document = json.loads(path.read_bytes())
        except ValueError as error:
            raise DatasetError(f"{path}: broken JSON, {error}", hint="fetch the file again") from error
        for index, example in enumerate(document["examples"]):
            if not isinstance(example, dict) or any(not isinstance(example.get(field), str) for field in FIELDS):
                raise DatasetError(f"{path} row {index}: {example!r:.80}", hint="an example has input and target")
            yield {
                "id": f"{path.stem}/{index}",
                "task": path.stem,
                "input": example["input"],
                "target": example["target"],
                "canary": str(document["canary"]),
            }
