"""What a solver declares about itself, asked and checked before anything is sent: its name, datasets and tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import EngineError, SolverError


def evaluation_name(solver: Any) -> str:
    """What its results are recorded under.

    Raises:
        SolverError: it says nothing, or cannot say it.
    """
    said = _asked(solver, "evaluation_name")
    if not isinstance(said, str) or not said.strip():
        raise _unfit(solver, "evaluation_name", said, "return a text, as 'mbpp_3shots'")
    return said


def compatible_datasets(solver: Any) -> list[str]:
    """Names of the datasets that it understands.

    Raises:
        SolverError: it says something else, or cannot say it.
    """
    said = _asked(solver, "compatible_datasets")
    if isinstance(said, str) or not isinstance(said, Iterable):  # the letters of a text would fit nearly anything
        raise _unfit(solver, "compatible_datasets", said, "return a list of names, as ['mbpp']")
    names = list(said)
    if not all(isinstance(name, str) for name in names):
        raise _unfit(solver, "compatible_datasets", names, "return a list of names, as ['mbpp']")
    return names


def custom_tasks(solver: Any) -> list[dict[str, Any]]:
    """The tasks of a benchmark with custom scoring.

    Raises:
        SolverError: there are none, they are no dicts, or it cannot make them.
    """
    said = _asked(solver, "get_custom_tasks")
    tasks = list(said) if isinstance(said, Iterable) and not isinstance(said, (str, Mapping)) else None
    if not tasks or not all(isinstance(task, dict) for task in tasks):
        raise _unfit(solver, "get_custom_tasks", said, "return a list of dicts, one or more")
    return tasks


def scorer_versions(solver: Any) -> Mapping[str, int]:
    """Versions of the scorers that it chooses by name.

    Raises:
        SolverError: it cannot say them.
    """
    said: Mapping[str, int] = _asked(solver, "scorer_versions")
    return said


def _asked(solver: Any, method: str) -> Any:
    try:
        return getattr(solver, method)()
    except EngineError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise SolverError(f"solver {_name(solver)!r}: {method} failed: {what}", hint="mend the solver") from error


def _unfit(solver: Any, method: str, said: Any, hint: str) -> SolverError:
    return SolverError(f"solver {_name(solver)!r}: {method} returned {said!r:.80}", hint=hint)


def _name(solver: Any) -> str:
    return type(solver).__name__
