"""`engine registry`: upload, list, info."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.environment import Environment, read_environment

COLUMNS = ("entry", "category", "description", "tags")


def upload(path: Path, *, namespace: str | None = None, name: str | None = None, version: str | None = None) -> int:
    """Copy a dataset, agent or model folder into the registry.

    Args:
        path: the folder, or a data file; what metadata.json in it says is kept.
        namespace: whose it is; default: $ENGINE_NAMESPACE, then metadata.json, then local.
        name: default: metadata.json, then the folder's name.
        version: default: metadata.json, then 1.0.0.
    """
    from engine.registry import put

    here = _environment()
    namespace = namespace or here.get("ENGINE_NAMESPACE") or None
    entry, new = put(Path(path), home=here.home, namespace=namespace, name=name, version=version)
    print(entry.reference if new else f"{entry.reference} was there already, with the same content")
    return 0


def list_(*, category: str = "", namespace: str = "", tags: str = "") -> int:
    """List what is in the registry.

    Args:
        category: only dataset, agent, model or evaluation.
        namespace: only what belongs to this one.
        tags: only what has all of these, with commas between them.
    """
    from engine.registry import list_entries

    wanted = [tag.strip() for tag in tags.split(",") if tag.strip()]
    entries = list_entries(home=_environment().home, category=category, namespace=namespace, tags=wanted)
    _print_table([(e.reference, e.category, e.description, ", ".join(e.tags)) for e in entries])
    return 0


def info(entry: str) -> int:
    """Show an entry as JSON: where it is, and its metadata.

    Args:
        entry: ns/name/version, ns/name for the newest, or a name that is unique.
    """
    from engine.registry import find

    found = find(entry, home=_environment().home)
    shown = {
        "entry": found.reference,
        "path": str(found.path),
        "category": found.category,
        "description": found.description,
        "tags": list(found.tags),
        "details": dict(found.details),
    }
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0


def _environment() -> Environment:
    return read_environment(Path.cwd())


def _print_table(rows: Sequence[Iterable[str]]) -> None:
    if not sys.stdout.isatty():
        for row in (COLUMNS, *rows):
            print("\t".join(" ".join(value.split()) for value in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*(Text(value, overflow="fold") for value in row))
    Console().print(table)
