"""Installed packages that a solution may import beside the standard library: these by name, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class Named(MetaPathFinder):
    """Finds packages by their folders; what is in a package is found by Python's own finder."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The package of that name, where it is one of these."""
        del path, target
        folder = self._folders.get(fullname)
        if folder is None:
            return None
        first = str(Path(folder, "__init__.py"))
        return importlib.util.spec_from_file_location(fullname, first, submodule_search_locations=[folder])


def offer(folders: Mapping[str, str]) -> None:
    """From now on, this process can import these packages."""
    if folders:
        sys.meta_path.append(Named(folders))


def files_of(folders: Mapping[str, str]) -> list[str]:
    """What has to be readable for these packages: their folders, and the libraries that wheels put beside them."""
    beside = [f"{folder}.libs" for folder in folders.values()]
    return [*folders.values(), *(path for path in beside if Path(path).is_dir())]
