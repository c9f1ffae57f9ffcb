"""What a server gives of an entry: its manifest, and the files that the manifest lists; see docs/registry.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.data.entries import Entry
from engine.errors import UsageError
from engine.registry.folder import content_of
from engine.registry.manifest import as_json, content_hash, mark_of, marks_of, path_fault


def manifest_of(entry: Entry) -> dict[str, Any]:
    """The body of `GET /registry/<namespace>/<name>/<version>/manifest.json`.

    Raises:
        UsageError: the entry's metadata is malformed, or it is an empty folder.
    """
    marks = marks_of(entry.metadata, where=entry.reference)
    if marks is None:
        marks = {relative: mark_of(file) for relative, file in content_of(entry.path).files.items()}
    names = {"namespace": entry.namespace, "name": entry.name, "version": entry.version}
    return {**entry.metadata, **names, "files": as_json(marks), "content_hash": content_hash(marks)}


def content_file(entry: Entry, relative: str) -> Path:
    """The file to send for `GET /registry/<namespace>/<name>/<version>/files/<relative>`.

    Only what the manifest lists is given, so that no path leads anywhere else.

    Raises:
        UsageError: the manifest lists no such file, or it is a link or gone.
    """
    file = entry.path / relative
    listed = entry.metadata.get("files")
    known = listed if isinstance(listed, dict) else content_of(entry.path).files
    plain = relative in known and not path_fault(relative)
    if not plain or file.resolve() != entry.path.resolve() / relative or not file.is_file():
        raise UsageError(f"{entry.reference}: has no file {relative!r}", hint="its manifest lists those that it has")
    return file
