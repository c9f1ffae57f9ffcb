"""The progress of runs while they run: a bar each on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import ceil, floor
from typing import TYPE_CHECKING, TextIO

import anyio

from engine.api import Engine
from engine.cli.show import counted, usd
from engine.forecast import clock
from engine.progress import Progress
from engine.records import Outcome
from engine.statistics import score_interval

if TYPE_CHECKING:
    from rich.text import Text

REFRESH_S = 0.1
LINE_EVERY_S = 30.0
MOST_BARS = 8
GAP = "  "
ECHO = 2
"""Cells that are left free at the end of a line: a terminal writes `^C` there, and must not begin a new line."""
LONGEST_BAR, SHORTEST_BAR, SHORTEST_NAME = 40, 8, 16
FIRST_TO_GO = ("cached", "cost", "errors", "in flight", "to go", "score")
"""What a narrow terminal does without, in this order; how many tasks are done always stands there."""


@asynccontextmanager
async def shown(engine: Engine, *, quiet: bool) -> AsyncIterator[None]:
    """Show the engine's progress on stderr while the body runs; counters are read, nothing is told per task."""
    if quiet:
        yield
        return
    stream = sys.stderr
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
                print(f"{name_of(progress)}{GAP}{GAP.join(state(progress).values())}", file=stream, flush=True)


async def _bars(engine: Engine, stream: TextIO) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream)
    # What is written to stderr meanwhile, as by the log, comes out above the bars.
    with Live(console=console, transient=True, auto_refresh=False, redirect_stdout=False) as live:
        while True:
            lines = bars(engine.progress, width=console.width - ECHO - 1, ascii_only=console.options.ascii_only)
            live.update(Text("\n").join(lines), refresh=True)
            await anyio.sleep(REFRESH_S)


def bars(runs: Sequence[Progress], *, width: int, ascii_only: bool = False) -> list[Text]:
    """A line for each run, those that are open first, at most `MOST_BARS` and one for all others.

    Every line has the same columns, fits into `width` cells, and says how many tasks are done; how much more
    it says depends on the width.
    """
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    order = sorted(runs, key=lambda run: run.done >= run.tasks)
    chosen = order[:MOST_BARS]
    states = [state(run) for run in chosen]
    columns = {key: max(cell_len(each.get(key, "")) for each in states) for key in states[0]} if states else {}
    room = width - SHORTEST_NAME
    for key in FIRST_TO_GO:
        if sum(columns.values()) + len(GAP) * len(columns) > room and key in columns:
            del columns[key]
    said = sum(columns.values()) + len(GAP) * len(columns)
    names = _names(chosen, room=width - said - SHORTEST_BAR - len(GAP))
    least = max(1, min(SHORTEST_NAME, width - said))
    name_width = min(max(map(cell_len, names), default=1), max(least, width - said - SHORTEST_BAR - len(GAP)))
    bar_width = min(LONGEST_BAR, width - said - name_width - len(GAP))
    lines = []
    for run, name, each in zip(chosen, names, states, strict=True):
        line = Text(set_cell_size(shortened(name, name_width), name_width), no_wrap=True)
        if bar_width >= SHORTEST_BAR:
            line.append(GAP)
            line.append(bar(run.done, run.tasks, bar_width, ascii_only=ascii_only))
        line.append("".join(GAP + set_cell_size(each.get(key, ""), size) for key, size in columns.items()).rstrip())
        line.truncate(width)
        lines.append(line)
    if len(order) > MOST_BARS:
        others = order[MOST_BARS:]
        done, tasks = sum(run.done for run in others), sum(run.tasks for run in others)
        lines.append(Text(f"and {counted(len(others), 'run')} more{GAP}{done}/{tasks}"[:width], no_wrap=True))
    return lines


def _names(runs: Sequence[Progress], *, room: int) -> list[str]:
    """Names of runs; where room is scarce, without the benchmark or the model that all of them share."""
    names = [name_of(run) for run in runs]
    if len(runs) < 2 or max(map(len, names)) <= room:
        return names
    if len({run.benchmark for run in runs}) == 1:
        return [run.model for run in runs]
    return [run.benchmark for run in runs] if len({run.model for run in runs}) == 1 else names


def bar(done: int, tasks: int, width: int, *, ascii_only: bool = False) -> Text:
    """A bar of this many cells, of which as many are full as tasks are done."""
    from rich.text import Text

    full = width * min(done, tasks) // tasks if tasks else width
    mark, style = ("#", "-") if ascii_only else ("━", "━"), "green" if done >= tasks else "cyan"
    return Text.assemble((mark[0] * full, style), (mark[1] * (width - full), "bright_black"))


def shortened(name: str, width: int) -> str:
    """The name in at most `width` cells, its middle left out: its end tells models apart."""
    from rich.cells import cell_len

    if cell_len(name) <= width:
        return name
    head, tail = (width - 1) // 2, width - 1 - (width - 1) // 2
    return f"{name[:head]}…{name[len(name) - tail :]}"


def name_of(progress: Progress) -> str:
    """Which run it is."""
    return f"{progress.benchmark} × {progress.model}"


def state(progress: Progress) -> dict[str, str]:
    """Done, score so far with its interval, errors, cached, cost, requests in flight and time to go, by name."""
    tally = progress.tally()
    parts = {"done": f"{progress.done}/{progress.tasks}"}
    found = score_interval(tally, 1)
    if tally.score is not None and found is not None:
        low, high = floor(100 * found.low), ceil(100 * found.high)  # in whole points, none of it cut off
        parts["score"] = f"{100 * tally.score:.1f} ({low}-{high})"
    parts["errors"] = counted(tally.outcomes.get(Outcome.ERRORED, 0), "error")
    parts["cached"] = f"{progress.reused + progress.without_request} cached"
    whole = progress.cost_forecast
    parts["cost"] = usd(progress.cost_usd) + ("" if whole is None else f" of about {usd(whole)}")
    parts["in flight"] = f"{progress.in_flight} in flight"
    if progress.away_s:
        parts["to go"] = f"no answer for {clock(progress.away_s)}"
    else:
        parts["to go"] = "" if progress.remaining_s is None else f"{clock(progress.remaining_s)} to go"
    return parts
