"""Storage backends, one file each, found by the scheme of their URL; each has an `open_store`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from engine.errors import ConfigError


def backend(url: str | Path) -> ModuleType:
    """The backend for this URL, by its file's name: `sqlite.py` for `sqlite:///bench.db` and for a plain path.

    Raises:
        ConfigError: no file here takes URLs like it.
    """
    scheme, mark, _ = str(url).partition(":")
    if not mark or len(scheme) == 1:  # a path, perhaps with a drive
        scheme = "sqlite"
    for name in sorted(file.stem for file in Path(__file__).parent.glob("*.py")):
        if scheme.startswith(name):  # postgres.py takes postgresql://
            found = import_module(f"{__name__}.{name}")
            if hasattr(found, "open_store"):  # most files here are what backends are made of
                return found
    raise ConfigError(f"there is no storage for urls like {scheme!r}", hint="use one like sqlite:///bench.db")
