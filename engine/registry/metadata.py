"""metadata.json of an entry: read, filled in, checked, and a first one to begin with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.data.entries import is_part, parse_version
from engine.data.files import split_name
from engine.errors import UsageError
from engine.registry.manifest import METADATA

TAG = re.compile(r"[a-zA-Z0-9_\-]+")
FIRST_VERSION = "1.0.0"
LONGEST_BYTES = 16 << 20
KEPT = ("name", "version", "namespace", "files", "content_hash", "created_at")
"""What is settled when the content is: no later change of the metadata touches these."""
KINDS: Mapping[str, type] = {
    "category": str,
    "description": str,
    "tags": list,
    "details": dict,
    "show_entry": bool,
}


def metadata_of(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """metadata.json of what is at this path, what is given laid over it, filled in and checked.

    Raises:
        UsageError: it is broken, or a name, a version or a tag cannot be one.
    """
    source = path / METADATA
    told = read_metadata(source) if path.is_dir() and source.is_file() else {}
    name = path.name if path.is_dir() else split_name(path)
    standard: dict[str, Any] = {"namespace": "local", "name": name, "version": FIRST_VERSION, "category": "dataset"}
    standard |= {"description": "", "tags": [], "details": {}, "show_entry": True}
    metadata = {**standard, **told, **{key: value for key, value in given.items() if value is not None}}
    for key in KEPT[3:]:
        metadata.pop(key, None)
    return checked(metadata, where=str(path))


def checked(metadata: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The metadata, its tags in lower case and each once.

    Raises:
        UsageError: a part of it cannot be what it is for.
    """
    for key in ("namespace", "name", "version"):
        value = metadata.get(key)
        if not isinstance(value, str) or not is_part(value):
            raise UsageError(
                f"{where}: the {key} {value!r} cannot be one",
                hint=f"letters, digits and _ - . that begin with no dot: give --{key}",
            )
    if parse_version(metadata["version"]) is None:
        raise UsageError(f"{where}: the version {metadata['version']!r} is none", hint="use one as 1.0.0 (PEP 440)")
    for key, kind in KINDS.items():
        if not isinstance(metadata.get(key), kind):
            raise UsageError(f"{where}: {key} is {metadata.get(key)!r}", hint=f"it must be of type {kind.__name__}")
    if metadata["category"] and not is_part(metadata["category"]):
        raise UsageError(
            f"{where}: the category {metadata['category']!r} cannot be one",
            hint="use dataset, agent, model, evaluation",
        )
    for tag in metadata["tags"]:
        if not isinstance(tag, str) or not TAG.fullmatch(tag):
            raise UsageError(f"{where}: the tag {tag!r} cannot be one", hint="use letters, digits, _ and -")
    return {**metadata, "tags": list(dict.fromkeys(tag.lower() for tag in metadata["tags"]))}


def read_metadata(source: Path) -> dict[str, Any]:
    """What metadata.json says.

    Raises:
        UsageError: it cannot be read, or is no JSON object.
    """
    try:
        with source.open("rb") as file:
            found = json.loads(file.read(LONGEST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{source}: cannot be read, {error}", hint="mend it, or take it away") from error
    if not isinstance(found, dict):
        raise UsageError(f"{source}: is not an object", hint='write {"name": ..., "version": ..., "category": ...}')
    return found


def template(folder: Path, *, category: str = "", description: str = "") -> dict[str, Any]:
    """The metadata.json to begin with for this folder.

    In `NAME/VERSION` name and version are those of the folders; else the name is the folder's, and the
    version `1.0.0`. Without a category it is `agent` where there is an agent.py, else `dataset`.

    Raises:
        UsageError: the folder is not there, or its name cannot be one.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder", hint="give the folder that is to be uploaded")
    versioned = parse_version(folder.name) is not None and is_part(folder.parent.name)
    guess = "agent" if (folder / "agent.py").is_file() else "dataset"
    told = {
        "name": folder.parent.name if versioned else folder.name,
        "version": folder.name if versioned else FIRST_VERSION,
        "description": description,
        "category": category or guess,
        "tags": [],
        "details": {},
        "show_entry": True,
    }
    checked({**told, "namespace": "local"}, where=str(folder))
    return told
