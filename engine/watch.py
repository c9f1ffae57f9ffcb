"""What looks on while runs are open: how late the loop is, whether anything moves, and whether time is up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from engine.calls.gate import Gate
from engine.calls.meter import Histogram
from engine.errors import BudgetError
from engine.events import Event, Stalled
from engine.progress import Progress

LOOK_EVERY_S = 0.05
STALLED_AFTER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is looked at, and what to do when time is up."""

    runs: Sequence[Progress]
    gates: Sequence[Gate]
    lag: Histogram
    stop: Callable[[BudgetError], None]


@asynccontextmanager
async def watched(
    what: Watched, tell: Callable[[Event], None], *, max_duration_s: float | None = None
) -> AsyncIterator[None]:
    """Look on while the body runs."""
    async with anyio.create_task_group() as group:
        group.start_soon(_lag, what.lag)
        group.start_soon(_stall, what, tell)
        if max_duration_s is not None:
            group.start_soon(_time_up, max_duration_s, what.stop)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _lag(lag: Histogram) -> None:
    while True:
        before = anyio.current_time()
        await anyio.sleep(LOOK_EVERY_S)
        lag.add(max(0.0, anyio.current_time() - before - LOOK_EVERY_S))


async def _stall(what: Watched, tell: Callable[[Event], None]) -> None:
    seen, since = _movement(what), anyio.current_time()
    told_away = False
    while True:
        await anyio.sleep(STALLED_AFTER_S / 4)
        away = [run for run in what.runs if run.away_s]
        if away and not told_away:  # requests still leave, and tasks end as errors: it moves, to no end
            tell(Stalled(max(run.away_s for run in away), f"an answer; the last fault was: {away[0].meter.last_fault}"))
        told_away = bool(away)
        now = _movement(what)
        if now != seen:
            seen, since = now, anyio.current_time()
        elif anyio.current_time() - since >= STALLED_AFTER_S:
            tell(Stalled(anyio.current_time() - since, waits_for(what)))


def _movement(what: Watched) -> tuple[int, ...]:
    """Changes whenever a request leaves or a task ends."""
    return tuple(count for run in what.runs for count in (run.done, run.requests))


def waits_for(what: Watched) -> str:
    """What the engine waits for, in words."""
    parts = []
    for gate in what.gates:
        paused_s = gate.paused_until - gate.now()
        if gate.in_flight:
            parts.append(f"{gate.in_flight} requests at {gate.name}")
        if paused_s > 0:
            parts.append(f"{gate.name}, which asked for {paused_s:.0f} s more")
        elif gate.waiting:
            parts.append(f"{gate.waiting} requests that wait for a slot at {gate.name}")
    last = [run.meter.last_fault for run in what.runs if run.meter.last_fault]
    if last:
        parts.append(f"retries; the last fault was: {last[-1]}")
    return "; ".join(parts) or "tasks that make no request: a solver, or another process"


async def _time_up(seconds: float, stop: Callable[[BudgetError], None]) -> None:
    await anyio.sleep(seconds)
    stop(
        BudgetError(
            f"the limit of {seconds:g} s is reached",
            hint="everything bought is kept; the same command goes on",
        )
    )
