"""An entry of another registry -> the same entry in ours: checked against its manifest, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.entries import Entry, parse_version, pick_version, read_entry, registry_folder
from engine.errors import EndpointError, StorageError, UsageError
from engine.registry.adding import content_hash_of
from engine.registry.manifest import Mark, content_hash, mark_of, marks_of
from engine.registry.metadata import KINDS, checked
from engine.registry.placing import disk_errors, incoming, locked, place
from engine.registry.remotes import Remote, open_remote

if TYPE_CHECKING:
    from engine.environment import Secret

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a stranger's entry is taken; a manifest has a limit of its own, in files and in bytes."""

    most_bytes: int = 50 * GIB


def download(
    reference: str,
    *,
    root: str,
    home: Path,
    force: bool = False,
    key: Secret | None = None,
    limits: Limits | None = None,
) -> tuple[Entry, bool]:
    """The entry as it is in another registry, and whether it is new in ours.

    What breaks off is kept aside, never listed; the same call again goes on from there.

    Args:
        reference: `ns/name/version`, or `ns/name` for the newest; in a folder also a name that is unique.
        root: a folder (a registry, or a home with one), or the URL of a server.
        home: ENGINE_HOME.
        force: whether a version that is here with another content is replaced.
        key: the server's token.
        limits: how much is taken.

    Raises:
        UsageError: there is no such entry, or its version is here with another content.
        EndpointError: it cannot be fetched, is not what its manifest says, or is too large.
        StorageError: it cannot be written.
    """
    with open_remote(root, key=key) as remote:
        manifest = _checked(remote.manifest(reference), reference)
        marks = marks_of(manifest, where=reference) or {}
        folder = registry_folder(home)
        names = folder / manifest["namespace"] / manifest["name"]
        there = _there(names, manifest["version"], content_hash(marks), force=force)
        if there is not None:
            return there, False
        _check_size(marks, limits or Limits(), folder)
        name = f"{names}/{manifest['version']} {content_hash(marks)}"
        with disk_errors(folder), incoming(folder, key=sha256(name.encode()).hexdigest()[:32]) as copy:
            _clear(copy, marks)
            for relative, mark in marks.items():
                _fetch(remote, manifest, relative, mark, copy / relative)
            metadata = {key: value for key, value in manifest.items() if key != "namespace"}
            with locked(folder):
                if (now := _there(names, manifest["version"], content_hash(marks), force=force)) is not None:
                    shutil.rmtree(copy, ignore_errors=True)
                    return now, False
                place(copy, names / manifest["version"], {**metadata, "content_hash": content_hash(marks)})
    return read_entry(names / manifest["version"]), True


def _checked(manifest: dict[str, Any], reference: str) -> dict[str, Any]:
    """The manifest, where it is one, and that of the entry that was asked for.

    Raises:
        EndpointError: it is not.
    """
    try:
        standard: dict[str, Any] = {key: kind() for key, kind in KINDS.items()} | {"show_entry": True}
        found = checked({**standard, **manifest}, where=reference)
        marks = marks_of(found, where=reference)
    except UsageError as error:
        raise EndpointError(f"the manifest is refused: {error.message}", hint="ask whoever published it") from error
    if not marks:
        raise EndpointError(f"the manifest of {reference!r} lists no files", hint="ask whoever published it")
    parts = reference.split("/")
    wanted = {"name": parts[0]} if len(parts) == 1 else dict(zip(("namespace", "name"), parts, strict=False))
    version = parts[2] if len(parts) == 3 else "latest"
    fits = version == "latest" or parse_version(version) == parse_version(found["version"])
    if not fits or any(found[key] != value for key, value in wanted.items()):
        name = f"{found['namespace']}/{found['name']}/{found['version']}"
        raise EndpointError(f"asked for {reference!r}, got the manifest of {name!r}", hint="the registry is at fault")
    return found


def _there(names: Path, version: str, wanted: str, *, force: bool) -> Entry | None:
    """The entry where it is here already with this content; None where it is to be fetched."""
    path = pick_version(names, version)
    if path is None or (force and path.name == version and _is_damaged(path)):
        return None
    entry = read_entry(path)
    if content_hash_of(entry) == wanted:
        return entry
    if force and path.name == version:
        return None
    raise UsageError(
        f"{entry.reference} is here with another content, and a version never changes",
        hint="--force replaces it; engine registry verify says whether it is damaged",
    )


def _is_damaged(path: Path) -> bool:
    from engine.registry.verifying import verify

    return bool(verify(read_entry(path)))


def _check_size(marks: Mapping[str, Mark], limits: Limits, folder: Path) -> None:
    size = sum(mark.size for mark in marks.values())
    if size > limits.most_bytes:
        raise EndpointError(
            f"the entry has {size / GIB:.1f} GiB, and {limits.most_bytes / GIB:g} are allowed",
            hint="raise the limit with --max_gb",
        )
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"the entry has {size} bytes, and {folder} has room for {free}", hint="make room on the disk"
        )


def _clear(copy: Path, marks: Mapping[str, Mark]) -> None:
    """Take away what an earlier attempt left and that is no part of the entry."""
    for place_, _, names in os.walk(copy):
        for name in names:
            file = Path(place_, name)
            if file.is_symlink() or file.relative_to(copy).as_posix() not in marks:
                file.unlink()


def _fetch(remote: Remote, manifest: Mapping[str, Any], relative: str, mark: Mark, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and target.stat().st_size == mark.size and mark_of(target) == mark:
        return
    remote.fetch(manifest, relative, mark, target)
    found = mark_of(target)
    name = f"{manifest['namespace']}/{manifest['name']}/{manifest['version']}/{relative}"
    if found.size < mark.size:
        raise EndpointError(
            f"{name}: broke off after {found.size} of {mark.size} bytes",
            hint="the same command again goes on where this one ended",
        )
    if found != mark:
        target.unlink()
        raise EndpointError(f"{name}: is not what its manifest says", hint="ask whoever published it")
    with target.open("rb") as file:
        os.fsync(file.fileno())
