"""A name -> the class behind it: solvers and storage backends are found by name and never imported.

The built-in folders `solvers/` and `storage/` stand beside the installed engine, and are loaded from there
also when the folder one stands in has folders of those names.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from importlib.metadata import entry_points
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from engine.errors import SolverError
from engine.options import fitted, wanted_kinds

BUILT_IN = Path(__file__).resolve().parent.parent
GROUP = "engine.solvers"
LOADING = RLock()
"""Held while a module is loaded by path: `sys.modules` shows it to other threads before it is whole."""
CLASS = re.compile(r"^class\s+(\w+)\s*[(:]", re.MULTILINE)


def built_in(name: str) -> ModuleType:
    """The package `solvers` or `storage` that came with the engine."""
    folder = BUILT_IN / name
    with LOADING:
        for alias in (name, f"_engine_{name}"):
            module = sys.modules.get(alias)
            if module is None:
                return _load_package(alias, folder)
            if Path(getattr(module, "__file__", None) or ".").resolve().parent == folder:
                return module
    raise SolverError(f"two foreign packages are called {name!r} and '_engine_{name}'", hint="rename one of them")


def find_solver(reference: str, *, folder: Path) -> type[Any]:
    """The solver class behind a class name, file name, `path/to/file.py:Class`, `module:Class` or entry point.

    Args:
        reference: as the user gave it.
        folder: where relative paths and a `solvers/` folder of the user's are looked for.

    Raises:
        SolverError: nothing has that name, or its file cannot be imported, or it is no solver.
    """
    with LOADING:
        return _find(reference, built_in("solvers").SolverStrategy, folder)


def _find(reference: str, base: type, folder: Path) -> type[Any]:
    target, _, class_name = reference.rpartition(":") if ":" in reference else (reference, "", "")
    if target.endswith(".py") or "/" in target:
        path = (folder / Path(target).expanduser()).resolve()
        if not path.is_file():
            raise SolverError(f"solver {reference!r}: there is no file {str(path)!r}", hint="check the path")
        return _class_in(_load_file(path), class_name, base, reference)
    if class_name:
        _findable(folder)
        return _class_in(_import(target, reference), class_name, base, reference)
    for path in _files(folder):
        if path.stem == reference:
            return _class_in(_load_file(path), "", base, reference)
        if reference in CLASS.findall(path.read_text(encoding="utf-8", errors="replace")):
            return _class_in(_load_file(path), reference, base, reference)
    for entry in entry_points(group=GROUP, name=reference):
        return _class_in(_import(entry.module, reference), entry.attr, base, reference)
    known = solver_names(folder=folder)
    near = difflib.get_close_matches(reference, known, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise SolverError(f"there is no solver {reference!r}", hint=f"{guess}known: {', '.join(known)}")


def solver_names(*, folder: Path) -> list[str]:
    """Class names of the solvers that can be named without a path, sorted."""
    found = {
        name
        for path in _files(folder)
        for name in CLASS.findall(path.read_text(encoding="utf-8", errors="replace"))
        if name.endswith(("Solver", "SolverStrategy", "Strategy")) and path.stem != "strategy"
    }
    return sorted(found | {entry.name for entry in entry_points(group=GROUP)})


def build_solver(
    solver: type[Any], *, dataset: Any, model: str, agent: str, options: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The solver, and its options with defaults filled in.

    Raises:
        SolverError: the constructor does not take these options, or fails.
    """
    parameters = dict(inspect.signature(solver).parameters)
    given = {"dataset_ref": dataset, "model": model, "agent": agent}
    arguments = {name: value for name, value in given.items() if name in parameters}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = {n: p for n, p in parameters.items() if n not in given and p.kind in named}
    for name in options:
        if name not in known and not open_ended:
            near = difflib.get_close_matches(name, known, n=1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            takes = ", ".join(known) or "no options"
            raise SolverError(f"solver {solver.__name__!r} has no option {name!r}", hint=f"{guess}it takes: {takes}")
    wanted = wanted_kinds(solver, known)
    chosen = {
        name: fitted(value, wanted.get(name, Any), where=f"solver {solver.__name__!r}: option {name!r}")
        for name, value in options.items()
    }
    missing = [n for n, p in known.items() if p.default is p.empty and n not in chosen]
    if missing:
        flags = " ".join(f"--{name} VALUE" for name in missing)
        raise SolverError(f"solver {solver.__name__!r} needs the option {missing[0]!r}", hint=f"pass {flags}")
    if lacking := sorted(getattr(solver, "__abstractmethods__", ())):
        what = f"solver {solver.__name__!r} cannot be made: it lacks {', '.join(f'{name}()' for name in lacking)}"
        raise SolverError(what, hint="write them; `engine new solver NAME` shows one that is whole")
    try:
        built = solver(**arguments, **chosen)
    except SolverError:
        raise
    except (Exception, SystemExit) as error:
        what = f"solver {solver.__name__!r} cannot be made: {type(error).__name__}: {error}{_raised_at(error)}"
        raise SolverError(what, hint="its constructor raised this: check its options and its code") from error
    if getattr(built, "dataset_ref", None) is None:
        built.dataset_ref = dataset
    defaults = {n: p.default for n, p in known.items() if p.default is not p.empty}
    return built, {**defaults, **chosen}


def _files(folder: Path) -> Iterator[Path]:
    own = (folder / "solvers").resolve()
    for place in dict.fromkeys((own, BUILT_IN / "solvers")):
        if place.is_dir():
            yield from sorted(
                path for path in place.glob("*.py") if path.stem not in ("__init__", "strategy") and path.is_file()
            )


def _load_package(alias: str, folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        alias, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module


def _load_file(path: Path) -> ModuleType:
    """The module of a solver file; those of a `solvers` folder find their siblings as `solvers.name`."""
    package = built_in("solvers")
    if path.parent.name == "solvers" and str(path.parent) not in package.__path__:
        package.__path__.append(str(path.parent))
    inside = path.parent == BUILT_IN / "solvers"
    digest = blake2b(str(path).encode(), digest_size=4).hexdigest()
    name = f"{package.__name__}.{path.stem}" if inside else f"_engine_solver_{path.stem}_{digest}"
    if inside and name in sys.modules:
        return sys.modules[name]
    if not inside:
        _findable(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise SolverError(f"{path}:{error.lineno}: {error.msg}", hint="mend the file") from error
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        what = f"{type(error).__name__}: {error}"
        raise SolverError(f"{path}: cannot be imported: {what}", hint="mend the file") from error
    return module


def _findable(folder: Path) -> None:
    """Let a solver import what lies beside it, as a script can; last, so that it hides nothing that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _import(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise SolverError(
            f"solver {reference!r}: module {name!r} cannot be imported: {error}", hint="is it installed?"
        ) from error


def _class_in(module: ModuleType, name: str, base: type, reference: str) -> type[Any]:
    own = {
        n: c
        for n, c in vars(module).items()
        if inspect.isclass(c) and issubclass(c, base) and c.__module__ == module.__name__
    }
    if not name and len(own) == 1:
        return next(iter(own.values()))
    found = getattr(module, name, None) if name else None
    if inspect.isclass(found) and issubclass(found, base):
        return found
    where = getattr(module, "__file__", module.__name__)
    listing = ", ".join(sorted(own)) or "none; a solver is a class that inherits from SolverStrategy"
    what = f"has no solver class {name!r}" if name else "needs the class named, as file.py:Class"
    raise SolverError(f"solver {reference!r}: {where} {what}", hint=f"solvers there: {listing}")


def _raised_at(error: BaseException) -> str:
    """` at capitals.py:21`, where it was raised; empty where nobody knows."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
