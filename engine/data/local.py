"""A path as a source: a data file with its siblings, a saved dataset, a folder of splits, or a custom folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from engine.data.adapters import adapted
from engine.data.custom import CustomRows
from engine.data.filerows import FileRows
from engine.data.files import data_files, form_of, split_name
from engine.data.rows import Rows
from engine.data.saved import is_saved, open_saved, saved_split_name, saved_splits
from engine.data.source import Source
from engine.errors import DatasetError

Splits = dict[str, Callable[[], Rows]]


def open_path(path: Path, *, name: str, cache: Path | None) -> Source:
    """What the file or folder at this path holds; nothing but names and metadata is read yet.

    Raises:
        DatasetError: metadata.json is broken, or the folder cannot be listed.
    """
    metadata = read_metadata(path if path.is_dir() else path.parent)
    id_field = _id_field(metadata)
    try:
        if (source := adapted(path, name=name, cache=cache)) is not None:
            return replace(source, metadata=metadata)
        if path.is_file():
            return _file(path, name, metadata, partial(_open_file, cache=cache, id_field=id_field))
        return _folder(path, name, metadata, cache=cache, id_field=id_field)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read, {error.strerror}", hint="check its permissions") from error


def read_metadata(folder: Path) -> dict[str, Any]:
    """What metadata.json in this folder says; empty where there is none, or where it is no object.

    Raises:
        DatasetError: it is not JSON.
    """
    path = folder / "metadata.json"
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read, {error}", hint="mend it, or take it away") from error
    return found if isinstance(found, dict) else {}


def _file(path: Path, name: str, metadata: Mapping[str, Any], opened: Callable[[Path], Rows]) -> Source:
    splits = _splits(data_files(path.parent), opened)
    splits[split_name(path)] = partial(opened, path)
    return Source(name=name, path=path, splits=splits, rows=partial(opened, path), metadata=metadata)


def _folder(path: Path, name: str, metadata: Mapping[str, Any], *, cache: Path | None, id_field: str | None) -> Source:
    saved = partial(open_saved, cache=cache, id_field=id_field)
    if is_saved(path):
        whole = partial(saved, path)
        called = saved_split_name(path)
        return Source(name=name, path=path, splits={called: whole} if called else {}, rows=whole, metadata=metadata)
    if named := saved_splits(path):
        splits: Splits = {split: partial(saved, path / split) for split in named}
        return Source(name=name, path=path, splits=splits, metadata=metadata)
    files = data_files(path)
    opened = partial(_open_file, cache=cache, id_field=id_field)
    if len(files) == 1:
        return _file(files[0], name, metadata, opened)
    if files:
        return Source(name=name, path=path, splits=_splits(files, opened), metadata=metadata)
    return Source(name=name, path=path, rows=partial(CustomRows, path, cache=cache), metadata=metadata)


def _splits(files: list[Path], opened: Callable[[Path], Rows]) -> Splits:
    by_name: dict[str, list[Path]] = {}
    for file in files:
        by_name.setdefault(split_name(file), []).append(file)
    return {
        name: partial(opened, same[0]) if len(same) == 1 else partial(_refuse, same) for name, same in by_name.items()
    }


def _open_file(path: Path, *, cache: Path | None, id_field: str | None) -> Rows:
    return FileRows(form_of(path), path, cache=cache, id_field=id_field)


def _refuse(same: list[Path]) -> Rows:
    raise DatasetError(
        f"{same[0].parent}: {' and '.join(file.name for file in same)} would be one split",
        hint="give the path of the file that is meant",
    )


def _id_field(metadata: Mapping[str, Any]) -> str | None:
    details = metadata.get("details")
    value = details.get("id_field") if isinstance(details, Mapping) else None
    return value if isinstance(value, str) else None
