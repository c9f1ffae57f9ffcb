"""References to datasets, and the door through which all of them are opened."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from engine.data.catalogue import CATALOGUE, catalogued, open_catalogued
from engine.data.entries import all_entries, matching, references, registry_folder
from engine.data.files import data_files
from engine.data.local import open_path
from engine.data.source import Source, listed, near
from engine.data.view import DatasetView
from engine.errors import DatasetError

MODULES = {"hf": "hub"}
"""Schemes whose module has another name; `x:rest` is otherwise opened by `engine/data/x.py`."""
OPENABLE = ("dataset", "benchmark", "")


def open_dataset(
    reference: str, *, subset: str = "", folder: Path, home: Path, cache: Path | None = None
) -> DatasetView:
    """The dataset that a reference means, its chosen split parsed and hashed once; blocking.

    In this order: `generated:NAME` · `hf:owner/name[@revision]` · a file or folder, relative to `folder` ·
    a registry entry below `home` (`ns/name/version`, `ns/name`, a bare unique name) · a well-known benchmark
    of the catalogue (`mbpp`, `near.ai/mbpp/1.0.0`). `subset` names a split.
    What was found is kept in `cache` (`home/cache/datasets`), so that a file which did not change is not
    parsed again.

    Raises:
        DatasetError: nothing is found, a split must be chosen, or the rows are not sound.
    """
    cache = home / "cache" / "datasets" if cache is None else cache
    source, split = _find(reference, subset=subset, folder=folder, home=home, cache=cache)
    chosen, rows = source.choose(split)
    return DatasetView(source, rows, subset=chosen)


def asks_the_hub(reference: str, *, folder: Path, home: Path) -> bool:
    """Whether opening this dataset asks the hub, because nothing on this machine has its name."""
    scheme, colon, _ = reference.partition(":")
    if colon and _scheme_module(scheme):
        return scheme == "hf"
    path = Path(os.path.expanduser(reference))  # noqa: PTH111 - pathlib raises where there is no such home
    return not _exists(folder / path) and not matching(reference, home=home) and bool(catalogued(reference))


def _find(reference: str, *, subset: str, folder: Path, home: Path, cache: Path) -> tuple[Source, str]:
    if not reference.strip():
        raise DatasetError("the dataset has no name", hint="give a file, a folder or a registry entry")
    scheme, colon, rest = reference.partition(":")
    if colon and (opener := _scheme_module(scheme)):
        return import_module(opener).open_source(rest, subset=subset, cache=cache)  # type: ignore[no-any-return]
    path = Path(os.path.expanduser(reference))  # noqa: PTH111 - pathlib raises where there is no such home
    path = path if path.is_absolute() else folder / path
    if _exists(path):
        return open_path(path.resolve(), name=reference, cache=cache), subset
    entries = matching(reference, home=home)
    if len(entries) > 1:
        names = listed(entry.reference for entry in entries)
        raise DatasetError(f"dataset {reference!r} can be any of {names}", hint="name it in full")
    if not entries and (known := catalogued(reference)):
        return open_catalogued(known, subset=subset)
    if not entries:
        raise _not_found(reference, path, home)
    entry = entries[0]
    if entry.category not in OPENABLE:
        raise DatasetError(
            f"registry entry {entry.reference!r} is of category {entry.category!r} and no dataset",
            hint="engine registry list --category dataset shows those that are",
        )
    return open_path(entry.path.resolve(), name=reference, cache=cache), subset


def _scheme_module(scheme: str) -> str:
    """The module that opens `scheme:...`; empty where the word before the colon is no scheme."""
    module = f"engine.data.{MODULES.get(scheme, scheme)}"
    if not scheme.isidentifier() or find_spec(module) is None:
        return ""
    return module if getattr(import_module(module), "SCHEME", "") == scheme else ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have, as one that is too long
        return False


def _not_found(reference: str, path: Path, home: Path) -> DatasetError:
    siblings = path.parent
    beside = [each.name for each in data_files(siblings)] if _exists(siblings) and siblings.is_dir() else []
    prefix = reference[: len(reference) - len(path.name)] if reference.endswith(path.name) else ""
    known = [
        *(prefix + name for name in beside),
        *references(all_entries(home)),
        "generated:3_digit_addition",
        *CATALOGUE,
    ]
    return DatasetError(
        f"dataset {reference!r} is not there: no file or folder {path}, and no entry in {registry_folder(home)}",
        hint=near(reference, known) or "engine registry list shows what is there; hf:owner/name asks the hub",
    )
