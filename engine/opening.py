"""An order -> a run with its provider, its identity and its place in the store; nothing is sent."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from engine import plan
from engine.calls.meter import Meter
from engine.calls.prices import Price
from engine.calls.sender import Line
from engine.config import Bench, Provider
from engine.errors import UsageError
from engine.forecast import Earlier, Forecast, forecast
from engine.models import ModelName
from engine.ports import Store
from engine.prepare import Order, Prepared, prepare
from engine.pricing import find_price
from engine.progress import Progress
from engine.providers import Desk, Providers, fixed_sampling, is_loopback
from engine.records import Outcome, RunRecord, Tally, TaskResult
from engine.run import Run
from engine.settings import MADE_UP
from engine.stream import TaskStream
from engine.task import Setting

SCORED = frozenset(outcome.value for outcome in Outcome if outcome.counted)
MOST_RUNS_COMPARED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How to treat what is stored already; ARCHITECTURE.md has the table."""

    force: bool = False
    retry_errors: bool = False
    regrade: bool = False
    offline: bool = False
    overwrite: bool = False
    """Whether a recorded evaluation replaces the newest of its key; without, it is the next revision."""
    generation: int | None = None
    """Which generation to go on with; the newest without. `force` opens a new one."""
    record_partial: bool = False
    """Whether runs with tasks that have no outcome are recorded, too, and marked."""

    def again(self, status: str) -> frozenset[str]:
        """The outcomes that are done once more, for a run that was found `new`, `open` or `ended`."""
        if self.regrade:
            return SCORED | {Outcome.ERRORED.value}
        if self.retry_errors or status == "open":
            return frozenset({Outcome.ERRORED.value})
        return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A model that can be asked: where, with which sampling by configuration, and at what price."""

    model: ModelName
    desk: Desk
    fixed: Mapping[str, Any]
    price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A prepared run whose model, provider and identity are known."""

    prepared: Prepared
    model: ModelName
    desk: Desk
    parts: Mapping[str, Any]
    record: RunRecord
    fixed: Mapping[str, Any]
    price: Price | None
    others: Mapping[str, Contact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run that can go, and what is needed to report on it."""

    known: Known
    run: Run
    remaining: plan.Remaining
    earlier: Earlier | None
    """The earlier generation that has most of what remains, where one has some of it."""


class Opener:
    """Opens runs in one store, with one set of providers."""

    def __init__(self, bench: Bench, providers: Providers, store: Store, *, folder: Path, home: Path) -> None:
        self._bench = bench
        self._providers = providers
        self._store = store
        self._folder = folder
        self._home = home

    async def know(self, order: Order, mode: Mode) -> Known:
        """Prepare the order, and find its model and identity; in a new generation where it is forced.

        Raises:
            EngineError: something about it is wrong; see `prepare` and `Providers.resolve`.
        """

        def work() -> Prepared:
            return prepare(order, folder=self._folder, home=self._home)

        prepared = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        benchmark = order.name or prepared.solver.evaluation_name()
        asks = not (mode.offline or mode.regrade)
        asked = await self._contact(order.model, benchmark, measured=True, asks=asks, api_key_env=order.api_key_env)
        others = {
            name: await self._contact(name, benchmark, measured=False, asks=asks)
            for name in prepared.solver.other_models()
        }
        parts = prepared.parts(asked.model, asked.desk.calls.sender.endpoint.identity, asked.fixed)
        if others:
            parts["other_models"] = {
                name: [each.desk.calls.sender.endpoint.identity, each.model.model, dict(each.fixed)]
                for name, each in others.items()
            }
        newest = await self._store.newest_run(plan.scope(parts))
        generation = _generation(mode, newest["generation"] if newest else None)
        return Known(
            prepared=prepared,
            model=asked.model,
            desk=asked.desk,
            parts=parts,
            record=prepared.record(parts, asked.model, generation=generation, now=time.time(), fixed=asked.fixed),
            fixed=asked.fixed,
            price=asked.price,
            others=others,
        )

    async def _contact(
        self, name: str, benchmark: str, *, measured: bool, asks: bool, api_key_env: str = ""
    ) -> Contact:
        model = await self._providers.resolve(name, benchmark, asks=asks)
        place = model.provider or model.base_url
        known = next((each for each in (name, f"{place}::{model.model}") if each in self._bench.models), "")
        headers = self._bench.models[known].headers if known else {}
        desk = self._providers.desk(place, api_key_env, headers)
        await self._providers.identify(desk, benchmark, asks=asks)
        return Contact(
            model=model,
            desk=desk,
            fixed=fixed_sampling(self._bench, desk.provider, known, measured=measured),
            price=await self._price(known, model.model, desk.provider),
        )

    async def open(self, known: Known, mode: Mode, *, ended: Callable[[TaskResult], None]) -> Opened:
        """Make the run in the store, or find it there, and what remains of it."""
        prepared, record = known.prepared, known.record
        run_id, status = await self._store.open_run(record)
        remaining, reused = await self._to_do(known, mode, status)
        progress = Progress(
            run_id=run_id,
            benchmark=record.benchmark,
            model=prepared.order.model,
            tasks=reused + len(remaining),
            reused=reused,
            before=await self._store.tally(run_id, prepared.selection) if reused else Tally(),
        )
        again = mode.again(status)
        stream = TaskStream(
            run_id=run_id,
            dataset=prepared.rows,
            remaining=remaining,
            store=self._store,
            again=again,
            broke=progress.broke,
        )
        open_tasks = max(1, min(_open_tasks(known.desk), len(remaining)))
        run = Run(
            setting=self._setting(known, mode, progress.meter, open_tasks),
            stream=stream,
            store=self._store,
            progress=progress,
            open_tasks=open_tasks,
            lanes=known.desk.lanes,
            ended=ended,
        )
        return Opened(known=known, run=run, remaining=remaining, earlier=await self._earlier(known, mode, remaining))

    async def forecast(self, known: Known, mode: Mode) -> Forecast:
        """What the run would still do; nothing is stored."""
        selection, record = known.prepared.selection, known.record
        stored = await self._store.find_runs(benchmark=record.benchmark, limit=MOST_RUNS_COMPARED)
        status = next((run["status"] for run in stored if run["run_id"] == record.run_id), "new")
        remaining, reused = await self._to_do(known, mode, status)
        before, task_s = None, None
        for other in stored:
            before = await self._store.tally(other["run_id"], selection)
            if before.counted:
                task_s = await self._task_s(other["run_id"])
                break
        found = forecast(
            record,
            known.prepared.order.model,
            tasks=reused + len(remaining),
            remaining=len(remaining),
            before=before,
            price=known.price,
            sends=not (mode.offline or mode.regrade),
            task_s=task_s,
            open_tasks=_open_tasks(known.desk),
        )
        return replace(found, earlier=await self._earlier(known, mode, remaining))

    async def _earlier(self, known: Known, mode: Mode, remaining: plan.Remaining) -> Earlier | None:
        """The earlier generation that has most of what remains; None where none has any, or nothing is bought."""
        record, found = known.record, None
        if not record.generation or mode.force or mode.offline or mode.regrade or not len(remaining):
            return None
        for other in await self._store.find_runs(benchmark=record.benchmark, limit=MOST_RUNS_COMPARED):
            if other["identity"] != record.identity or other["generation"] >= record.generation:
                continue
            less = remaining.copy()
            async for chunk in self._store.finished(other["run_id"]):
                less.mark((index, repeat) for index, repeat, outcome in chunk if outcome in SCORED)
            tasks = len(remaining) - len(less)
            if tasks > (found.tasks if found else 0):
                found = Earlier(run_id=other["run_id"], generation=other["generation"], tasks=tasks)
        return found

    async def _task_s(self, run_id: str) -> float | None:
        """How long a task was open on average, of the first that made requests; None where none did."""
        async for chunk in self._store.results(run_id):
            seconds = [result.duration_s for result in chunk if result.requests]
            if seconds:
                return sum(seconds) / len(seconds)
        return None

    async def nearest(self, known: Known) -> list[tuple[str, Any, Any]] | None:
        """What sets the run apart from the nearest of its benchmark, else of its data and solver; None without any."""
        record = known.record
        others = await self._store.find_runs(benchmark=record.benchmark, limit=MOST_RUNS_COMPARED)
        if not others:  # a benchmark may be called after an option
            every = await self._store.find_runs(limit=MOST_RUNS_COMPARED)
            others = [run for run in every if (run["dataset"], run["solver"]) == (record.dataset, record.solver)]
        compared = [(plan.differences(known.parts, json.loads(other["parts"])), other["run_id"]) for other in others]
        for differences, run_id in sorted(compared, key=lambda each: len(each[0])):
            if await self._has_tasks(run_id):
                return differences
        return None

    async def _has_tasks(self, run_id: str) -> bool:
        """Whether a task of the run has ended; one whose endpoint could not be used has none."""
        async for chunk in self._store.finished(run_id):
            if chunk:
                return True
        return False

    async def _to_do(self, known: Known, mode: Mode, status: str) -> tuple[plan.Remaining, int]:
        """The tasks that this mode does in a run of this status, and how many others have their outcome.

        `--retry-errors` repeats errored tasks only; in a run that is not there yet there are none, and it is plain.
        """
        again = mode.again(status)
        remaining = await self._remaining(known, again)
        reused = remaining.done
        if mode.retry_errors and status != "new":
            remaining = (await self._remaining(known, frozenset(Outcome) - again)).others()
        return remaining, reused

    async def _remaining(self, known: Known, again: frozenset[str]) -> plan.Remaining:
        """The tasks without an outcome, and those whose outcome is in `again`."""
        remaining = plan.Remaining(known.prepared.selection)
        async for chunk in self._store.finished(known.record.run_id):
            remaining.mark((index, repeat) for index, repeat, outcome in chunk if outcome not in again)
        return remaining

    def _setting(self, known: Known, mode: Mode, meter: Meter, open_tasks: int) -> Setting:
        record, offline = known.record, mode.offline or mode.regrade
        own = Setting(
            run_id=record.run_id,
            solver=known.prepared.solver,
            solves_async=inspect.iscoroutinefunction(known.prepared.solver.solve),
            desk=known.desk.calls,
            line=Line(run_id=record.run_id, price=known.price, offline=offline, meter=meter),
            model=known.model.model,
            provider=known.desk.name,
            scope=record.scope,
            generation=record.generation,
            defaults=known.prepared.defaults,
            fixed=known.fixed,
            threads=anyio.CapacityLimiter(open_tasks),
            folders=self._home / "work" / record.run_id,
        )
        others = {
            name: replace(
                own,
                desk=each.desk.calls,
                line=Line(run_id=f"{record.run_id}/{name}", price=each.price, offline=offline, run=meter),
                model=each.model.model,
                provider=each.desk.name,
                defaults={"temperature": 0},
                fixed=each.fixed,
            )
            for name, each in known.others.items()
        }
        return replace(own, others=others)

    async def _price(self, name: str, model: str, provider: Provider) -> Price | None:
        """From bench.toml, else from the list of prices; a made-up model costs nothing."""
        configured = self._bench.models[name].prices if name else None
        if configured is None and provider.kind in MADE_UP:
            return Price(input=0.0, output=0.0)
        if configured is None and is_loopback(provider.base_url):
            return None

        def find() -> Price | None:
            day = datetime.now(UTC).date()
            found = find_price(model, provider.base_url, configured=configured, day=day)
            return found[0] if found else None

        return find() if configured is not None else await anyio.to_thread.run_sync(find)


def _generation(mode: Mode, newest: int | None) -> int:
    """The generation that is meant; `newest` is that of the scope, None where there is none.

    Raises:
        UsageError: there is no such generation, or a new one is asked for as well.
    """
    if mode.generation is None:
        return 0 if newest is None else newest + mode.force
    if mode.force:
        raise UsageError("--force opens a new generation, and --generation goes on with one", hint="give one of them")
    if not 0 <= mode.generation <= (newest or 0):
        there = "none is stored" if newest is None else f"there are 0 to {newest}"
        raise UsageError(f"generation is {mode.generation}: {there}", hint="each --force opens one")
    return mode.generation


def _open_tasks(desk: Desk) -> int:
    """Somewhat more than may be in flight."""
    return desk.calls.sender.gate.ceiling * 5 // 4 + 8
