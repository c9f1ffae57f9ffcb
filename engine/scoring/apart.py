"""Runs a function in a worker process with limits of time and memory, so that hostile input never holds up a run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_process
from anyio import BrokenWorkerProcess

from engine.errors import SolverError

VERSION = 1
CPU_S = 10
"""Processor time that one call may take."""
WALL_S = 120.0
"""Time by the clock after which a call is given up, however little of the processor it got."""
MEMORY_BYTES = 4 << 30
"""Address space of a worker."""
GUARD = "a script that runs the engine does so below `if __name__ == '__main__':`, as a worker reads it again"
Result = TypeVar("Result")


class GivenUpError(Exception):
    """The call took more time or memory than it may; its worker is gone."""


async def apart(function: Callable[..., Result], *args: object, cpu_s: int = CPU_S) -> Result:
    """What `function(*args)` gives, called in a worker process; as many run at once as there are processors.

    Function and arguments must be picklable; the worker stays for the next call.

    Raises:
        GivenUpError: the call ran out of time or memory, or ended its process.
        SolverError: no worker can be started.
        Exception: whatever the function raises.
    """
    async with anyio.to_process.current_default_process_limiter():
        try:
            with anyio.fail_after(WALL_S):
                return await anyio.to_process.run_sync(
                    _limited, function, args, cpu_s, cancellable=True, limiter=anyio.CapacityLimiter(1)
                )
        except (TimeoutError, MemoryError) as error:
            raise GivenUpError(type(error).__name__) from error
        except BrokenWorkerProcess as error:
            if isinstance(error.__cause__, (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError)):
                raise GivenUpError("the worker ended") from error
            raise SolverError("no worker process can be started", hint=GUARD) from error


def check_not_apart() -> None:
    """Stop a script that is being read again by a worker of its own, before it runs everything once more.

    Raises:
        SolverError: this process is such a worker.
    """
    if "anyio.to_process" in sys.orig_argv:
        raise SolverError("a worker process would run the whole script again", hint=GUARD)


def _limited(function: Callable[..., Result], args: tuple[object, ...], cpu_s: int) -> Result:
    """The call inside of the worker: an interrupt is the parent's affair, and too much time ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        return function(*args)
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        return function(*args)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
