"""Whether the content of an entry is still what was uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.data.entries import Entry
from engine.errors import UsageError
from engine.registry.folder import Content, content_of
from engine.registry.manifest import METADATA, Mark, content_hash, mark_of, marks_of


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an entry, and with which of its files."""

    path: str
    what: str


def verify(entry: Entry) -> list[Problem]:
    """What of an entry is missing, changed or too much; empty where all is well."""
    try:
        marks = marks_of(entry.metadata, where=METADATA)
    except UsageError as error:
        return [Problem(METADATA, error.message)]
    if marks is None:
        return [Problem(METADATA, "lists no files, so that nothing can be said about them")]
    found = list(_changed(entry, marks))
    if entry.metadata.get("content_hash") not in (None, content_hash(marks)):
        found.append(Problem(METADATA, "its content_hash is not that of the files that it lists"))
    return found


def _changed(entry: Entry, marks: Mapping[str, Mark]) -> Iterator[Problem]:
    try:
        there = content_of(entry.path)
    except UsageError as error:
        there = Content()
        if any((entry.path / relative).exists() for relative in marks):
            yield Problem("", error.message)
    for relative, mark in marks.items():
        file = entry.path / relative
        if not file.is_file():
            yield Problem(relative, "is missing")
        elif file.is_symlink():
            yield Problem(relative, "has become a link")
        else:
            try:
                found = mark_of(file)
            except OSError as error:
                yield Problem(relative, f"cannot be read, {error.strerror}")
                continue
            if found != mark:
                yield Problem(relative, "is not what was uploaded")
    for relative in there.files:
        if relative not in marks:
            yield Problem(relative, "is not part of what was uploaded")
