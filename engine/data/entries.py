"""Registry entries on disk: folders `NAMESPACE/NAME/VERSION` with a metadata.json, and how they are found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PART = re.compile(r"[a-zA-Z0-9_\-.]+")
LATEST = "latest"
UNREADABLE = "(metadata.json cannot be read)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version of one thing in the registry; `path` is its folder."""

    namespace: str
    name: str
    version: str
    path: Path
    category: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    hidden: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """All that metadata.json says; empty where it cannot be read."""

    @property
    def reference(self) -> str:
        """`namespace/name/version`, under which it is found again."""
        return f"{self.namespace}/{self.name}/{self.version}"


def registry_folder(home: Path) -> Path:
    """Where entries are kept."""
    return home / "registry"


def is_part(text: str) -> bool:
    """Whether a text can be a namespace, a name or a version: one plain folder name, and no hidden one."""
    return bool(PART.fullmatch(text)) and not text.startswith(".")


def matching(reference: str, *, home: Path) -> list[Entry]:
    """The entries that a reference can mean: none, one, or the newest of each namespace for a bare name.

    `ns/name/version` is found as written, else by PEP 440 equality (`1.00` is `1.0.0`); `latest` and a
    missing version stand for the newest by PEP 440 that is not hidden.
    """
    return matching_below(registry_folder(home), reference)


def matching_below(root: Path, reference: str) -> list[Entry]:
    """As `matching`, for a folder of entries that is not in anybody's home."""
    parts = reference.split("/")
    if len(parts) > 3 or not all(is_part(part) for part in parts):
        return []
    if len(parts) == 1:
        found = (pick_version(root / space / parts[0], "") for space in _folders(root))
        return [read_entry(path) for path in found if path is not None]
    path = pick_version(root / parts[0] / parts[1], parts[2] if len(parts) == 3 else "")
    return [read_entry(path)] if path is not None else []


def pick_version(folder: Path, version: str) -> Path | None:
    """The folder of a version below that of a name; None where there is none.

    Where none is named it is the newest that is not hidden, or the newest if all are.
    """
    versions = _folders(folder)
    if version and version in versions:
        return folder / version
    if not version or version == LATEST:
        paths = newest_first(folder)
        if len(paths) < 2:
            return paths[0] if paths else None
        return next((path for path in paths if not read_entry(path).hidden), paths[0])
    wanted = parse_version(version)
    same = [each for each in versions if wanted is not None and parse_version(each) == wanted]
    return folder / same[0] if same else None


def newest_first(folder: Path) -> list[Path]:
    """The folders of all versions below that of a name, the newest by PEP 440 first."""
    versions = _folders(folder)
    ordered = sorted(versions, key=_age, reverse=True) if len(versions) > 1 else versions
    return [folder / each for each in ordered]


def all_entries(home: Path) -> Iterator[Entry]:
    """Every entry, by namespace and name, newest version first."""
    yield from all_below(registry_folder(home))


def all_below(root: Path) -> Iterator[Entry]:
    """As `all_entries`, for a folder of entries that is not in anybody's home."""
    for space in _folders(root):
        for name in _folders(root / space):
            for path in newest_first(root / space / name):
                yield read_entry(path)


def read_entry(path: Path) -> Entry:
    """The entry in this folder; one whose metadata.json cannot be read says so in its description."""
    namespace, name, version = path.parts[-3:]
    try:
        found = json.loads((path / "metadata.json").read_bytes())
        metadata: Mapping[str, Any] = found if isinstance(found, dict) else {}
    except FileNotFoundError:
        metadata = {}
    except (OSError, ValueError, RecursionError):
        metadata = {"description": UNREADABLE}
    details, tags = metadata.get("details"), metadata.get("tags")
    return Entry(
        namespace=namespace,
        name=name,
        version=version,
        path=path,
        category=str(metadata.get("category") or ""),
        description=str(metadata.get("description") or ""),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        details=details if isinstance(details, dict) else {},
        hidden=metadata.get("show_entry") is False,
        metadata=metadata if metadata.get("description") != UNREADABLE else {},
    )


def parse_version(text: str) -> Any:
    """The PEP 440 version; None where it is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def references(entries: Iterable[Entry]) -> list[str]:
    """What may be written for these entries, for suggestions: full, and less the version."""
    names: dict[str, None] = {}
    for entry in entries:
        names.update(dict.fromkeys((entry.reference, f"{entry.namespace}/{entry.name}", entry.name)))
    return list(names)


def _age(version: str) -> tuple[bool, Any, str]:
    parsed = parse_version(version)
    from packaging.version import Version

    return (parsed is not None, parsed or Version("0"), version)


def _folders(path: Path) -> list[str]:
    try:
        return sorted(each.name for each in path.iterdir() if is_part(each.name) and each.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
