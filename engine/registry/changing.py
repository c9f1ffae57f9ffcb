"""What may change about an entry: its description, tags and details, and whether it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.data.entries import Entry, is_part, pick_version, read_entry, registry_folder
from engine.errors import UsageError
from engine.registry.finding import versions
from engine.registry.manifest import METADATA
from engine.registry.metadata import KEPT, KINDS, checked, read_metadata
from engine.registry.placing import disk_errors, locked, rewrite

REASON = "hidden_reason"


def update(path: Path, *, home: Path, namespace: str | None = None) -> Entry:
    """Give an entry the metadata.json of this folder, which names it; its content stays as it is.

    The folder may be the entry's own. A key that the new metadata lacks is gone, but for those that belong
    to the content. Whether the entry is shown stays as it is, unless the file says it.

    Raises:
        UsageError: metadata.json is broken, or names no entry that is there.
        StorageError: it cannot be written.
    """
    path = path.expanduser().absolute()
    told = read_metadata(path / METADATA)
    root = registry_folder(home)
    parts = path.resolve().parts
    own = parts[-3:] if len(parts) > 3 and path.resolve().parent.parent.parent == root.resolve() else None
    space, name, version = own or (namespace or told.get("namespace", "local"), told.get("name"), told.get("version"))
    for key, value in (("namespace", space), ("name", name), ("version", version)):
        if not isinstance(value, str) or not is_part(value):
            raise UsageError(f"{path / METADATA}: the {key} {value!r} cannot be one", hint="say which entry is meant")
    there = pick_version(root / str(space) / str(name), str(version))
    if there is None:
        raise UsageError(
            f"{path}: {space}/{name}/{version} is not in {root}", hint="engine registry upload puts it there"
        )

    def change(kept: Mapping[str, Any]) -> dict[str, Any]:
        standard = {"category": "", "description": "", "tags": [], "details": {}, "show_entry": True}
        shown = {key: kept[key] for key in ("show_entry", REASON) if key in kept}
        settled = {key: kept[key] for key in KEPT if key in kept}
        return {**standard, **shown, **{key: value for key, value in told.items() if key not in KEPT}, **settled}

    return _change(there, root, change)


def hide(reference: str, *, home: Path, reason: str = "") -> list[Entry]:
    """Take an entry out of lists, and an agent's or model's evaluations out of tables; `ns/name` hides every version.

    Raises:
        UsageError: there is no such entry.
        StorageError: it cannot be written.
    """

    def change(kept: Mapping[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in kept.items() if key != REASON}
        return {**rest, "show_entry": False, **({REASON: reason} if reason else {})}

    root = registry_folder(home)
    return [_change(entry.path, root, change) for entry in versions(reference, home=home)]


def unhide(reference: str, *, home: Path) -> list[Entry]:
    """Show an entry again; see `hide`."""

    def change(kept: Mapping[str, Any]) -> dict[str, Any]:
        return {**{key: value for key, value in kept.items() if key != REASON}, "show_entry": True}

    root = registry_folder(home)
    return [_change(entry.path, root, change) for entry in versions(reference, home=home)]


def _change(folder: Path, root: Path, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Entry:
    source = folder / METADATA
    with disk_errors(source), locked(root):
        kept = read_metadata(source) if source.is_file() else {}
        metadata = change(kept)
        standard: dict[str, Any] = {key: kind() for key, kind in KINDS.items()}
        space, name, version = folder.parts[-3:]
        names = {"namespace": space, "name": name, "version": version}
        tags = checked({**standard, **metadata, **names}, where=str(source))["tags"]
        rewrite(root, source, {**metadata, "tags": tags})
    return read_entry(folder)
