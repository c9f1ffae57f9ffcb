"""A name -> the judge behind it: each file of this folder with a `judge` is a scorer of the file's name."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from engine import scoring
from engine.errors import SolverError
from engine.scoring.verdict import Judge

VERSION = 1


def judge_named(name: str) -> Judge:
    """The judge of the scorer with this name, as `exact`, `includes`, `number`.

    Raises:
        SolverError: no scorer has that name.
    """
    judge: Judge = _scorer(name).judge
    return judge


def judge_version(name: str) -> int:
    """The version of the scorer with this name, for a run's identity.

    Raises:
        SolverError: no scorer has that name.
    """
    version: int = _scorer(name).VERSION
    return version


def is_heavy(name: str) -> bool:
    """Whether the scorer with this name belongs into a worker process, see `engine.scoring.apart`.

    Raises:
        SolverError: no scorer has that name.
    """
    return bool(getattr(_scorer(name), "HEAVY", False))


def judge_names() -> list[str]:
    """Names of all scorers that can be asked for by name, sorted."""
    return sorted(name for name in _files() if hasattr(_load(name), "judge"))


def _scorer(name: str) -> ModuleType:
    if name in _files() and hasattr(module := _load(name), "judge"):
        return module
    known = judge_names()
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise SolverError(f"there is no scorer {name!r}", hint=f"{guess}known: {', '.join(known)}")


def _files() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(scoring.__path__)]


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"{scoring.__name__}.{name}")
