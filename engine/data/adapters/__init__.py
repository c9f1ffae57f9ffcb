"""Adapters for published files that are no rows as they are: one file each, asked in turn whether a path is theirs.

An adapter is a module with `open_adapted(path, *, name, cache)`, which gives the `Source` or None.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from engine.data.source import Source


def adapted(path: Path, *, name: str, cache: Path | None) -> Source | None:
    """What the adapter finds that knows this path; None where none does.

    Raises:
        DatasetError: the files are an adapter's, and broken.
    """
    for module in iter_modules(__path__):
        source: Source | None = import_module(f"{__name__}.{module.name}").open_adapted(path, name=name, cache=cache)
        if source is not None:
            return source
    return None
