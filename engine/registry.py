"""The registry: things with a namespace, a name and a version, as folders below `ENGINE_HOME/registry`.

A version never changes once it is there. What is on disk is described in `engine.data.entries`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.data.content import CHUNK_BYTES
from engine.data.entries import (
    Entry,
    all_entries,
    is_part,
    matching,
    parse_version,
    pick_version,
    read_entry,
    references,
    registry_folder,
)
from engine.data.files import split_name
from engine.data.source import listed, near
from engine.errors import UsageError

__all__ = ["Entry", "find", "list_entries", "put", "upload"]

METADATA = "metadata.json"
TAG = re.compile(r"[a-zA-Z0-9_\-]+")
LEFT_OUT = frozenset({".git", "__pycache__", ".DS_Store", ".env"})


def upload(
    path: Path,
    *,
    home: Path,
    namespace: str | None = None,
    name: str | None = None,
    version: str | None = None,
    category: str | None = None,
) -> Entry:
    """The new entry with a copy of a folder or a data file; see `put`."""
    return put(path, home=home, namespace=namespace, name=name, version=version, category=category)[0]


def put(
    path: Path,
    *,
    home: Path,
    namespace: str | None = None,
    name: str | None = None,
    version: str | None = None,
    category: str | None = None,
) -> tuple[Entry, bool]:
    """The entry with a copy of a folder or a data file, and whether it is new.

    What is not given comes from metadata.json in the folder, else: namespace `local`, the folder's name,
    version `1.0.0`, category `dataset`. The copy appears whole or not at all, and its metadata.json holds
    the hash of every file. The same content under the same version again is the entry that is there.

    Raises:
        UsageError: there is nothing to copy, a name or version cannot be one, a file leads out of the
            folder, or the version is there with another content.
    """
    path = path.expanduser().absolute()
    files = _files(path)
    metadata = _metadata(path, {"namespace": namespace, "name": name, "version": version, "category": category})
    root = registry_folder(home)
    if root.resolve().is_relative_to(path.resolve()):
        raise UsageError(f"{path}: the registry itself lies below this folder", hint="upload a folder of its own")
    place = root / metadata.pop("namespace") / metadata["name"] / metadata["version"]
    try:
        root.mkdir(parents=True, exist_ok=True)
        incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=root))
        try:
            metadata["files"] = {relative: _copy(file, incoming / relative) for relative, file in files.items()}
            text = json.dumps(metadata, indent=2, ensure_ascii=False)
            (incoming / METADATA).write_text(text + "\n", encoding="utf-8")
            there = pick_version(place.parent, place.name) or _move(incoming, place)
            return (_same(there, metadata, path), False) if there else (read_entry(place), True)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be copied to {place}, {error}", hint="check space and permissions") from error


def find(reference: str, *, home: Path) -> Entry:
    """The entry that `ns/name/version`, `ns/name` (the newest) or a name that is unique stands for.

    Raises:
        UsageError: there is none, or a bare name stands for several.
    """
    found = matching(reference, home=home)
    if len(found) > 1:
        names = listed(entry.reference for entry in found)
        raise UsageError(f"entry {reference!r} can be any of {names}", hint="name it in full")
    if not found:
        known = references(all_entries(home))
        raise UsageError(
            f"entry {reference!r} is not in {registry_folder(home)}",
            hint=near(reference, known) or "engine registry list shows what is there",
        )
    return found[0]


def list_entries(*, home: Path, category: str = "", namespace: str = "", tags: Collection[str] = ()) -> list[Entry]:
    """Entries by namespace and name, newest version first; those of the category, with all of the tags."""
    return [
        entry
        for entry in all_entries(home)
        if category in ("", entry.category) and namespace in ("", entry.namespace) and set(tags) <= set(entry.tags)
    ]


def _files(path: Path) -> dict[str, Path]:
    """What is to be copied, by its path in the entry; metadata.json is written apart."""
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise UsageError(f"{path}: is not there", hint="give a folder or a data file")
    found = {file.relative_to(path).as_posix(): file for file in _walk(path)}
    found.pop(METADATA, None)
    if not found:
        raise UsageError(f"{path}: holds no files", hint="give a folder with something in it")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    inside = folder.resolve()
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in folders:
            if Path(place, name).is_symlink():
                raise UsageError(f"{Path(place, name)}: is a link to a folder", hint="put the folder itself there")
        for name in sorted(names):
            file = Path(place, name)
            if name in LEFT_OUT or name.endswith("~"):
                continue
            if not file.resolve().is_relative_to(inside):
                raise UsageError(f"{file}: is a link that leads out of {folder}", hint="put the file itself there")
            if not file.is_file():
                raise UsageError(f"{file}: is no plain file", hint="take it away")
            yield file


def _raise(error: OSError) -> None:
    raise UsageError(f"{error.filename}: cannot be listed, {error.strerror}", hint="check its permissions") from error


def _metadata(path: Path, given: Mapping[str, str | None]) -> dict[str, Any]:
    """metadata.json as it will be kept, checked."""
    source = path / METADATA
    found = _read(source) if path.is_dir() and source.is_file() else {}
    name = path.name if path.is_dir() else split_name(path)
    standard: dict[str, Any] = {"namespace": "local", "name": name, "version": "1.0.0", "category": "dataset"}
    standard |= {"description": "", "tags": [], "details": {}, "show_entry": True}
    metadata = {**standard, **found, **{key: value for key, value in given.items() if value is not None}}
    metadata.pop("files", None)
    for key in ("namespace", "name", "version"):
        if not isinstance(metadata[key], str) or not is_part(metadata[key]):
            raise UsageError(
                f"{path}: the {key} {metadata[key]!r} cannot be one",
                hint=f"letters, digits and _ - . that begin with no dot: give --{key}",
            )
    if parse_version(metadata["version"]) is None:
        raise UsageError(f"{path}: the version {metadata['version']!r} is none", hint="use one as 1.0.0 (PEP 440)")
    _check_kinds(source, metadata)
    return metadata


def _check_kinds(source: Path, metadata: Mapping[str, Any]) -> None:
    kinds: dict[str, type] = {"category": str, "description": str, "tags": list, "details": dict, "show_entry": bool}
    for key, kind in kinds.items():
        if not isinstance(metadata[key], kind):
            raise UsageError(f"{source}: {key} is {metadata[key]!r}", hint=f"it must be of type {kind.__name__}")
    for tag in metadata["tags"]:
        if not isinstance(tag, str) or not TAG.fullmatch(tag):
            raise UsageError(f"{source}: the tag {tag!r} cannot be one", hint="use letters, digits, _ and -")


def _read(source: Path) -> dict[str, Any]:
    try:
        found = json.loads(source.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: cannot be read, {error}", hint="mend it, or take it away") from error
    if not isinstance(found, dict):
        raise UsageError(f"{source}: is not an object", hint='write {"name": ..., "version": ..., "category": ...}')
    return found


def _copy(file: Path, target: Path) -> str:
    """Copy a file; the hash of what was copied."""
    digest = blake2b(digest_size=16)
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as source, target.open("wb") as copy:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()


def _move(incoming: Path, place: Path) -> Path | None:
    """Put the finished copy in its place; the place where somebody else was faster."""
    incoming.chmod(0o755)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        incoming.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        return place
    return None


def _same(there: Path, metadata: Mapping[str, Any], path: Path) -> Entry:
    """The entry that is there, where it is what would have been written."""
    entry = read_entry(there)
    try:
        kept = json.loads((there / METADATA).read_bytes())
    except (OSError, ValueError):
        kept = None
    if kept is None or {**kept, "version": ""} != {**metadata, "version": ""}:
        raise UsageError(
            f"{path}: {entry.reference} is there with another content, and a version never changes",
            hint="raise the version: --version NEW, or in metadata.json",
        )
    return entry
