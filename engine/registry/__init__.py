"""The registry: things with a namespace, a name and a version, as folders below `ENGINE_HOME/registry`.

The content of a version never changes once it is there; what metadata.json says about it may. How entries
look on disk is described in `engine.data.entries`, how they travel in docs/registry.md.
"""

from __future__ import annotations

from engine.data.entries import Entry
from engine.registry.adding import Added, Wish, add, put, upload
from engine.registry.changing import hide, unhide, update
from engine.registry.downloading import Limits, download
from engine.registry.finding import find, list_entries, versions
from engine.registry.manifest import Mark, content_hash
from engine.registry.metadata import TAG, template
from engine.registry.serving import content_file, manifest_of
from engine.registry.verifying import Problem, verify

__all__ = [
    "TAG",
    "Added",
    "Entry",
    "Limits",
    "Mark",
    "Problem",
    "Wish",
    "add",
    "content_file",
    "content_hash",
    "download",
    "find",
    "hide",
    "list_entries",
    "manifest_of",
    "put",
    "template",
    "unhide",
    "update",
    "upload",
    "verify",
    "versions",
]
