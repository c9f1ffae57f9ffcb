"""An entry as a row of the table `entries`; see docs/database.md."""

from __future__ import annotations

from typing import Any

from engine.data.entries import Entry


def entry_row(entry: Entry) -> dict[str, Any]:
    """The row by its column names; `details` say besides whether the entry is hidden, and its content's hash."""
    created = entry.metadata.get("created_at")
    added = {"content_hash": entry.metadata.get("content_hash"), "hidden": True if entry.hidden else None}
    return {
        "entry_id": entry.reference,
        "namespace": entry.namespace,
        "name": entry.name,
        "version": entry.version,
        "category": entry.category,
        "description": entry.description,
        "tags": list(entry.tags),
        "details": {**entry.details, **{key: value for key, value in added.items() if value is not None}},
        "created_at": float(created) if isinstance(created, int | float) else entry.path.stat().st_mtime,
    }
