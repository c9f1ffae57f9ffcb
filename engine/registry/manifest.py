"""What an entry is made of: size and hash of each file, and which paths a file may have."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.data.content import CHUNK_BYTES
from engine.errors import UsageError

METADATA = "metadata.json"
MOST_FILES = 100_000
LONGEST_PATH = 1_000
LONGEST_NAME_BYTES = 255
HASH = re.compile(r"[0-9a-f]{64}")
DRIVE = re.compile(r"[a-zA-Z]:")


@dataclass(frozen=True, slots=True)
class Mark:
    """By what the content of a file is known: its size in bytes and its SHA-256."""

    size: int
    sha256: str


def marks_of(metadata: Mapping[str, Any], *, where: str) -> dict[str, Mark] | None:
    """The files of an entry by path, as its metadata lists them, checked; None where it lists none.

    Raises:
        UsageError: the list is malformed, or holds a path that no file of an entry may have.
    """
    listed = metadata.get("files")
    if listed is None:
        return None
    if not isinstance(listed, dict) or len(listed) > MOST_FILES:
        raise UsageError(f"{where}: files is no list of up to {MOST_FILES} files", hint="upload the entry again")
    marks = {}
    for path, value in listed.items():
        size, digest = (value.get("bytes"), value.get("sha256")) if isinstance(value, dict) else (None, None)
        if not isinstance(size, int) or size < 0 or not isinstance(digest, str) or not HASH.fullmatch(digest):
            raise UsageError(f"{where}: the file {path!r} has no size and SHA-256", hint="upload the entry again")
        marks[path] = Mark(size, digest)
    check_paths(marks, where=where)
    return marks


def check_paths(paths: Mapping[str, Any], *, where: str) -> None:
    """Whether these can be the files of one entry, on any file system.

    Raises:
        UsageError: a path leads out of the entry, is none, or two of them are in each other's way.
    """
    seen: dict[str, str] = {}
    for path in paths:
        wrong = path_fault(path)
        if wrong:
            raise UsageError(f"{where}: the file {path!r} {wrong}", hint="give it a plain name below the folder")
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            raise UsageError(f"{where}: {other!r} and {path!r} differ in case alone", hint="rename one of them")
    for path in paths:
        parts = path.casefold().split("/")
        for end in range(1, len(parts)):
            if (above := "/".join(parts[:end])) in seen:
                raise UsageError(f"{where}: {seen[above]!r} is a file and a folder", hint="rename one of them")


def path_fault(path: str) -> str:
    """Why no file of an entry may have this path; empty where it may."""
    parts = path.split("/")
    if not path or len(path) > LONGEST_PATH:
        return "has no name, or one that is too long"
    if not path.isprintable() or "\\" in path:
        return "has a character that a file's name should not have"
    if path.startswith("/") or DRIVE.match(path):
        return "is an absolute path"
    if any(part in ("", ".", "..", ".git") for part in parts):
        return "leads out of its folder, or into .git"
    if any(len(os.fsencode(part)) > LONGEST_NAME_BYTES for part in parts):
        return "has a name that is too long"
    return "has the name of the entry's own metadata" if path.casefold() == METADATA else ""


def as_json(marks: Mapping[str, Mark]) -> dict[str, dict[str, Any]]:
    """The files as metadata.json lists them."""
    return {path: {"bytes": mark.size, "sha256": mark.sha256} for path, mark in marks.items()}


def content_hash(marks: Mapping[str, Mark]) -> str:
    """One hash for all files: SHA-256 over a line `path NUL size NUL sha256` for each, sorted by path."""
    lines = (f"{path}\0{mark.size}\0{mark.sha256}\n" for path, mark in sorted(marks.items()))
    return sha256("".join(lines).encode()).hexdigest()


def mark_of(file: Path) -> Mark:
    """Size and hash of a file, read a piece at a time."""
    digest, size = sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Mark(size, digest.hexdigest())
