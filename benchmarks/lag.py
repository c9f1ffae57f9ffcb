"""How late the loop is while it works: `python -m benchmarks.lag engine|bare ROWS TASKS BASE_URL IN_FLIGHT`.

The engine runs through its public door, on the loop of `engine run`, or the bare aiohttp loop runs; beside it a task of
ours sleeps for 5 ms again and again and notes how much later it wakes. It prints JSON: seconds late at the median, at
the 99th percentile of the wake-ups and of the time, and at most.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from importlib.util import find_spec

import anyio

from benchmarks.bare import over_aiohttp
from benchmarks.contestants import SOLVER

EVERY_S = 0.005


async def run_engine(rows: str, base_url: str, in_flight: int) -> None:
    """One run, its store in the home that the environment names."""
    from engine.api import Engine
    from engine.config import parse_bench

    solver, *words = SOLVER
    options = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
    bench = parse_bench(f"[engine]\nmax_concurrent = {in_flight}\n", allow_empty=True)
    async with Engine(bench) as engine:
        await engine.run(rows, solver, model=f"{base_url}::m", options=options)


async def watch(what: str, rows: str, tasks: int, base_url: str, in_flight: int) -> list[float]:
    """Seconds by which each wake-up was late, in order of size."""
    late: list[float] = []

    async def sleep_and_see() -> None:
        while True:
            due = time.perf_counter() + EVERY_S
            await anyio.sleep(EVERY_S)
            late.append(time.perf_counter() - due)

    async with anyio.create_task_group() as group:
        group.start_soon(sleep_and_see)
        if what == "bare":
            await over_aiohttp(base_url, tasks, in_flight)
        else:
            await run_engine(rows, base_url, in_flight)
        group.cancel_scope.cancel()
    return sorted(late)


def as_if_always_due(late: list[float]) -> list[float]:
    """Those of someone who wants to wake every 5 ms also while the loop is held: a long wait counts for all in it."""
    return sorted(each - EVERY_S * step for each in late for step in range(1 + max(0, int(each / EVERY_S))))


def main(what: str, rows: str, tasks: int, base_url: str, in_flight: int) -> None:
    """Print the figures."""
    late: list[float] = []

    async def look() -> int:
        late.extend(await watch(what, rows, tasks, base_url, in_flight))
        return 0

    if what == "engine":  # on the loop, and with the collector's settings, that `engine run` has
        import_module("engine.cli.run").run_loop(look)
    else:
        import_module("aiohttp")  # what is looked at is the work, not its beginning
        anyio.run(look, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    always = as_if_always_due(late)
    found = {"p99_s": late[len(late) * 99 // 100], "always_p99_s": always[len(always) * 99 // 100]}
    print(json.dumps({"p50_s": late[len(late) // 2], **found, "most_s": late[-1]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
