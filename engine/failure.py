"""What is kept of a task's failure: its code and class, what it says, and where in the solver's code it came from."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from engine.errors import CallError, EngineError

LAST_LINES = 12
"""Of a solver's traceback, how many lines are kept with the task."""
ENGINE = Path(__file__).resolve().parent


def describe(failure: BaseException, solver: type[Any]) -> dict[str, Any]:
    """What is kept of a failure.

    Args:
        failure: what a solver's `solve` raised.
        solver: its class.

    Returns:
        `code`, `class` of the fault and `message`; of an exception that is not the engine's also the end of its
        `traceback`, with files as they are called in their own folder, since it is passed on; and `at`, the
        innermost place in the solver's own folder as `capitals.py:21`, where there is one.
    """
    if isinstance(failure, CallError):
        return {"code": failure.code, "class": failure.fault, "message": failure.message, "status": failure.status}
    if isinstance(failure, EngineError):
        return {"code": failure.code, "class": type(failure).__name__, "message": failure.message}
    frames = _placeless("".join(traceback.format_exception(failure)), solver).splitlines()[-LAST_LINES:]
    at = _place(failure, solver)
    return {
        "code": "solver",
        "class": type(failure).__name__,
        "message": _said(failure) or type(failure).__name__,
        **({"at": at} if at else {}),
        "traceback": "\n".join(frames),
    }


def _own_folder(solver: type[Any]) -> Path | None:
    own = getattr(sys.modules.get(solver.__module__), "__file__", None)
    return Path(own).resolve().parent if own else None


def _placeless(text: str, solver: type[Any]) -> str:
    """A traceback in which no file has a place on this machine."""
    folders = {*sys.path, str(ENGINE.parent), str(_own_folder(solver) or "")}
    for folder in sorted(folders - {""}, key=len, reverse=True):
        text = text.replace(f'File "{folder}/', 'File "')
    return text


def _place(failure: BaseException, solver: type[Any]) -> str:
    folder = _own_folder(solver)
    if folder is None:
        return ""
    place = ""
    for frame, line in traceback.walk_tb(failure.__traceback__):
        path = Path(frame.f_code.co_filename)
        if _is_own(path, folder):
            place = f"{path.relative_to(folder).as_posix()}:{line}"
    return place


def _is_own(path: Path, folder: Path) -> bool:
    """Whether a file is the solver's, and neither the engine's nor of what is installed in the same folder."""
    if not path.is_relative_to(folder) or path.is_relative_to(ENGINE):
        return False
    return not {"site-packages", "dist-packages"} & {*path.relative_to(folder).parts}


def _said(failure: BaseException) -> str:
    try:
        return str(failure)[:500]
    except Exception:  # noqa: BLE001 - the failure's own text fails
        return ""
