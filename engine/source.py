"""What a solver is made of: its files and those of its own that they import, as a hash for a run's identity.

Its own are files below the folder of its file, less what is installed there: a project's virtual environment often
stands beside its solver. Scorers of the engine go by their version.
"""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from types import CodeType, FunctionType, ModuleType
from typing import Any

ENGINE = Path(__file__).resolve().parent
BUILT_IN = ENGINE.parent / "solvers"
INSTALLED = ("site-packages", "dist-packages")
SCORING = "engine.scoring."
PARSING = Lock()
"""Held while a text is parsed: CPython 3.11 counts depth for all threads together, and fails when they take turns.

https://github.com/python/cpython/issues/106905
"""


@dataclass(frozen=True, slots=True)
class SolverCode:
    """What a solver is made of, for a run's identity: the hash of its files, and versions of its scorers."""

    source: str
    scorers: Mapping[str, int]


def solver_code(solver: type[Any], versions: Mapping[str, int]) -> SolverCode:
    """The hash of the files that a solver's class is written in, and the versions of scorers they use.

    Args:
        solver: the class.
        versions: of scorers that it chooses by name, which no import shows.
    """
    waiting = [sys.modules[cls.__module__] for cls in solver.__mro__ if cls.__module__ in sys.modules]
    file = getattr(sys.modules.get(solver.__module__), "__file__", None)
    own = Path(file).resolve() if file is not None else None
    parts: dict[str, bytes] = {} if own is not None else {solver.__qualname__: typed_in(solver)}
    scorers = dict(versions)
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        name, file = module.__name__, getattr(module, "__file__", None)
        if name in seen or file is None:
            continue
        seen.add(name)
        path = Path(file).resolve()
        if name.startswith(SCORING):
            scorers[name.removeprefix(SCORING)] = int(getattr(module, "VERSION", 1))
        elif (label := _label(path, own)) and path.is_file():
            parts[label] = path.read_bytes()
            waiting.extend(_used_by(module, parts[label]))
    digest = blake2b(digest_size=16)
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + parts[name] + b"\0")
    return SolverCode(digest.hexdigest(), scorers)


def typed_in(solver: type[Any]) -> bytes:
    """The text of a class that is in no file, as one of a notebook; else what its methods were compiled to."""
    try:
        return inspect.getsource(solver).encode()
    except (OSError, TypeError):
        methods = {name: value for name, value in vars(solver).items() if isinstance(value, FunctionType)}
        return repr([(name, list(_compiled(methods[name].__code__))) for name in sorted(methods)]).encode()


def _compiled(code: CodeType) -> Iterator[Any]:
    yield code.co_code
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _compiled(constant)
        else:
            yield repr(constant)


def _label(path: Path, own: Path | None) -> str:
    """What to call a file that is part of the solver whose own file is given; empty for one that is not."""
    in_engine = path.is_relative_to(ENGINE) or path.parent == BUILT_IN.parent / "storage"
    base_class = path.parent == BUILT_IN and path.stem in ("strategy", "__init__")
    if path.suffix != ".py" or in_engine or base_class:
        return ""
    if own is not None and path.is_relative_to(own.parent) and not _is_installed(path, own):
        return path.relative_to(own.parent).as_posix()
    return f"engine/{path.name}" if path.is_relative_to(BUILT_IN) else ""


def _is_installed(path: Path, own: Path) -> bool:
    """Whether a file below the solver's folder is there because something was installed there, Python itself too."""
    home = own.parent
    if home.name in INSTALLED:  # the solver is one installed file, its neighbours are other distributions
        return path != own
    if any(part in INSTALLED for part in path.relative_to(home).parts):
        return True
    roots = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    inside = (Path(root).resolve() for root in roots)
    return any(path.is_relative_to(root) and not home.is_relative_to(root) for root in inside)


def _imported(module: ModuleType, text: bytes) -> Iterator[str]:
    """Absolute names of what the module's file imports, inside functions too: constants have no `__module__`."""
    package = module.__package__ or ""
    with PARSING:
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _used_by(module: ModuleType, text: bytes) -> Iterator[ModuleType]:
    yield from (sys.modules[name] for name in _imported(module, text) if name in sys.modules)
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules:
            yield sys.modules[name]
