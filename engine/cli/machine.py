"""The process as a command line finds it: streams that may be closed or narrow, and how many files it may open."""

from __future__ import annotations

import io
import os
import sys
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config import Bench

SPARE_FILES = 32
"""Files that the engine needs beside its connections: the database with its logs, the loop, the dataset."""


def mend_streams() -> None:
    """Let output that goes nowhere, or cannot hold a letter, disturb nothing.

    What opens files next would take the number of a closed stream, and its output would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays open
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def installed_first() -> None:
    """Put the current folder last on the import path; `python -m` puts it first, and the script nowhere.

    What lies there would hide installed packages of its name, a folder `datasets` above all. Solvers find their
    neighbours all the same; see `engine.load`.
    """
    here = str(Path.cwd())
    if sys.path and sys.path[0] in ("", here) and not sys.flags.safe_path:
        sys.path.append(here)
        del sys.path[0]


class _Stderr(io.TextIOBase):
    """Writes to what stderr is at the moment, which bars may stand in for."""

    def write(self, text: str, /) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def results_only() -> AbstractContextManager[object]:
    """While it is open, what solvers and libraries print goes to stderr: stdout is for results."""
    return redirect_stdout(_Stderr())


def within_files(bench: Bench) -> tuple[Bench, str]:
    """The bench with no more requests in flight than files may be open, and what to say where that is fewer."""
    wanted = max([bench.engine.max_concurrent, *(each.max_concurrent or 0 for each in bench.providers.values())])
    may_open = _open_files(wanted + SPARE_FILES)
    room = max(1, may_open - SPARE_FILES)
    if room >= wanted:
        return bench, ""
    providers = {
        name: each.model_copy(update={"max_concurrent": min(each.max_concurrent or room, room)})
        for name, each in bench.providers.items()
    }
    engine = bench.engine.model_copy(update={"max_concurrent": min(bench.engine.max_concurrent, room)})
    said = (
        f"only {may_open} files may be open here: {room} requests in flight at most, not {wanted}; "
        f"`ulimit -n {wanted + SPARE_FILES}` allows them"
    )
    return bench.model_copy(update={"engine": engine, "providers": providers}), said


def _open_files(wanted: int) -> int:
    """How many files this process may open, after asking for as many as are wanted."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
