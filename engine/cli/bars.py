"""The progress of runs while they run: a bar each on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TextIO

import anyio

from engine.api import Engine
from engine.cli.show import usd
from engine.progress import Progress
from engine.records import Outcome
from engine.statistics import score_interval

REFRESH_S = 0.1
LINE_EVERY_S = 30.0
MOST_BARS = 8


@asynccontextmanager
async def shown(engine: Engine, *, quiet: bool, stream: TextIO = sys.stderr) -> AsyncIterator[None]:
    """Show the engine's progress while the body runs; counters are read, nothing is told per task."""
    if quiet:
        yield
        return
    async with anyio.create_task_group() as group:
        group.start_soon(_bars if stream.isatty() else _lines, engine, stream)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _lines(engine: Engine, stream: TextIO) -> None:
    while True:
        await anyio.sleep(LINE_EVERY_S)
        for progress in engine.progress:
            if progress.ended is None:
                print(f"{progress.benchmark} × {progress.model}  {state(progress, engine)}", file=stream, flush=True)


async def _bars(engine: Engine, stream: TextIO) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"))
    with Bars(*columns, console=Console(file=stream), transient=True, auto_refresh=False) as bars:
        known: dict[int, TaskID] = {}
        while True:
            for progress in _few(engine.progress):
                if id(progress) not in known:
                    name = f"{progress.benchmark} × {progress.model}"
                    known[id(progress)] = bars.add_task(name, total=progress.tasks, state="")
                bars.update(known[id(progress)], completed=progress.done, state=state(progress, engine))
            bars.refresh()
            await anyio.sleep(REFRESH_S)


def _few(runs: Sequence[Progress]) -> Sequence[Progress]:
    open_runs = [run for run in runs if run.ended is None]
    return (open_runs or runs)[:MOST_BARS]


def state(progress: Progress, engine: Engine) -> str:
    """Done, score so far with its interval, errors, cached, cost, requests in flight, time to go."""
    tally = progress.tally()
    parts = [f"{progress.done}/{progress.tasks}"]
    found = score_interval(tally, 1)
    if tally.score is not None and found is not None:
        half = 50 * (found.high - found.low)
        parts.append(f"{100 * tally.score:.1f} ±{half:.1f}")
    errors = tally.outcomes.get(Outcome.ERRORED, 0)
    parts.append(f"{errors} errors")
    parts.append(f"{progress.reused + progress.without_request} cached")
    parts.append(usd(progress.cost_usd))
    parts.append(f"{engine.in_flight} in flight")
    if progress.remaining_s is not None:
        minutes, seconds = divmod(int(progress.remaining_s), 60)
        parts.append(f"{minutes}:{seconds:02} to go")
    return "  ".join(parts)
