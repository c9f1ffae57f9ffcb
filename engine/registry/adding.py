"""A folder or a data file -> an entry: copied aside, hashed, and placed under a version that nobody has."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from engine.data.content import CHUNK_BYTES
from engine.data.entries import Entry, parse_version, pick_version, read_entry, registry_folder
from engine.errors import UsageError
from engine.registry.folder import Content, content_of
from engine.registry.manifest import Mark, as_json, content_hash, mark_of
from engine.registry.metadata import metadata_of
from engine.registry.placing import disk_errors, incoming, locked, place

Bump = Literal["", "patch", "minor", "major"]
SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an upload says that metadata.json does not, or says otherwise; None leaves it as it is.

    `bump` is the part of the version to raise where the version is taken.
    """

    namespace: str | None = None
    name: str | None = None
    version: str | None = None
    category: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    details: Mapping[str, Any] | None = None
    bump: Bump = ""

    def as_metadata(self) -> dict[str, Any]:
        """What is said, by its key in metadata.json."""
        plain = {name: getattr(self, name) for name in ("namespace", "name", "version", "category", "description")}
        return {**plain, "tags": None if self.tags is None else list(self.tags), "details": self.details}


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """An entry, whether it is new, and what of the folder stayed behind.

    `differs` names what metadata.json says otherwise than the entry that was there already.
    """

    entry: Entry
    new: bool
    content: Content
    differs: tuple[str, ...] = ()


def upload(
    path: Path,
    *,
    home: Path,
    namespace: str | None = None,
    name: str | None = None,
    version: str | None = None,
    category: str | None = None,
) -> Entry:
    """The new entry with a copy of a folder or a data file; see `add`."""
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
    """The entry with a copy of a folder or a data file, and whether it is new; see `add`."""
    added = add(path, Wish(namespace=namespace, name=name, version=version, category=category), home=home)
    return added.entry, added.new


def add(path: Path, wish: Wish, *, home: Path) -> Added:
    """Copy a folder or a data file into the registry.

    What is not wished comes from metadata.json in the folder, else: namespace `local`, the folder's name,
    version `1.0.0`, category `dataset`. The copy appears whole or not at all, and its metadata.json holds
    size and hash of every file. The same content under the same version again is the entry that is there.

    Raises:
        UsageError: there is nothing to copy, a name or version cannot be one, a file leads out of the
            folder, or the version is there with another content.
        StorageError: the copy cannot be written.
    """
    path = path.expanduser().absolute()
    content = content_of(path)
    metadata = metadata_of(path, wish.as_metadata())
    root = registry_folder(home)
    if root.resolve().is_relative_to(path.resolve()):
        raise UsageError(f"{path}: the registry itself lies below this folder", hint="upload a folder of its own")
    names = root / metadata.pop("namespace") / metadata["name"]
    with disk_errors(root), incoming(root) as folder:
        marks = {relative: _copy(file, folder / relative) for relative, file in content.files.items()}
        metadata |= {"files": as_json(marks), "content_hash": content_hash(marks), "created_at": round(time.time(), 3)}
        with locked(root):
            there = pick_version(names, metadata["version"])
            if there is not None and not wish.bump:
                return _same(there, metadata, content, path)
            if there is not None:
                metadata["version"] = raised([each.name for each in names.iterdir()], wish.bump)
            elif metadata["category"] != "evaluation":
                _check_alike(names)
            place(folder, names / metadata["version"], metadata)
    return Added(entry=read_entry(names / metadata["version"]), new=True, content=content)


def raised(taken: list[str], bump: Bump) -> str:
    """The version after the newest of these, with this part of it raised and what follows it set to 0."""
    newest = max(parsed for parsed in map(parse_version, taken) if parsed is not None)
    major, minor, patch = (*newest.release, 0, 0)[:3]
    if bump == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if bump == "minor" else f"{major}.{minor}.{patch + 1}"


def _copy(file: Path, target: Path) -> Mark:
    """Copy a file, and wait until it is on disk; what was copied."""
    digest, size = sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as source, target.open("wb") as copy:
        before = os.fstat(source.fileno())
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            size += copy.write(chunk)
        after = os.fstat(source.fileno())
        copy.flush()
        os.fsync(copy.fileno())
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, size):
        raise UsageError(f"{file}: changed while it was being copied", hint="upload it when it is complete")
    return Mark(size, digest.hexdigest())


def _same(there: Path, metadata: Mapping[str, Any], content: Content, path: Path) -> Added:
    """The entry that is there, where its content is the one that would have been written."""
    entry = read_entry(there)
    if content_hash_of(entry) != metadata["content_hash"]:
        raise UsageError(
            f"{path}: {entry.reference} is there with another content, and a version never changes",
            hint="raise the version: --bump, --version NEW, or in metadata.json",
        )
    ours = {**metadata, "version": entry.version, "created_at": entry.metadata.get("created_at")}
    keys = ({*entry.metadata} | {*ours}) - {"show_entry", "hidden_reason"}
    differs = sorted(key for key in keys if ours.get(key) != entry.metadata.get(key))
    return Added(entry=entry, new=False, content=content, differs=tuple(differs))


def content_hash_of(entry: Entry) -> str:
    """The hash of an entry's content: as it was recorded, or of the files in a folder put there by hand."""
    recorded = entry.metadata.get("content_hash")
    if isinstance(recorded, str) and recorded:
        return recorded
    files = content_of(entry.path).files
    return content_hash({relative: mark_of(file) for relative, file in files.items()})


def _check_alike(names: Path) -> None:
    """Whether no other name of this namespace differs in case and separators alone, and is taken for it."""
    wanted, space = _canonical(names.name), names.parent
    if names.is_dir() or not space.is_dir():
        return
    for other in sorted(each.name for each in space.iterdir()):
        if _canonical(other) == wanted and pick_version(space / other, "") is not None:
            raise UsageError(
                f"the name {names.name!r} is too much like {space.name}/{other}, which is there",
                hint=f"upload it as {other!r}, or under a name that differs in more than case and - _ .",
            )


def _canonical(name: str) -> str:
    return SEPARATORS.sub("-", name).lower()
