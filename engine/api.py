"""The engine as a library: open it, run benchmarks in it, listen to it, close it.

    async with Engine(storage="sqlite:///bench.db") as engine:
        report = await engine.run("gsm8k/test.jsonl", "GSM8KSolverStrategy", model="openai::gpt-5.2-mini")

It installs no signal handler, prints nothing, and keeps no state outside of the object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from engine.calls.meter import Histogram
from engine.config import Bench
from engine.environment import Environment, read_environment
from engine.errors import (
    ConfigError,
    DatasetError,
    EndpointError,
    EngineError,
    SolverError,
    StorageError,
    UsageError,
    one_error,
    together,
)
from engine.evaluations.figures import renaming
from engine.evaluations.load import stands_behind
from engine.evaluations.record import FinishedRun, record_run
from engine.events import BuysAgain, Event, RunEnded, RunStarted, StoreTrouble, TaskEnded
from engine.forecast import Forecast
from engine.load import built_in
from engine.metrics import run_metrics
from engine.opening import Known, Mode, Opened, Opener
from engine.plan import Choice
from engine.ports import Store
from engine.prepare import Order
from engine.progress import Progress
from engine.providers import Providers
from engine.records import Outcome, RunRecord, TaskResult
from engine.report import RunReport, report
from engine.run import do_run
from engine.settings import MADE_UP
from engine.stream import TaskStream
from engine.watch import Watched, watched

if TYPE_CHECKING:
    from engine.evaluations.evaluation import EvaluationStore

__all__ = ["Choice", "Engine", "Mode", "Order", "RunReport"]

EVENTS_HELD = 10_000
"""Events that wait for a slow listener; further task events are dropped for it, others never are."""
EVERY_OUTCOME = frozenset(Outcome)


@dataclass(slots=True)
class _End:
    """What became of one order: its report, or why there is none."""

    report: RunReport | None = None
    mistake: EngineError | None = None


class Engine:
    """An open store, providers and their limits; any number of runs at a time."""

    store: Store

    def __init__(
        self,
        bench: Bench | None = None,
        *,
        storage: str = "",
        folder: Path | None = None,
        environment: Environment | None = None,
        read_only: bool = False,
    ) -> None:
        """Nothing happens before `async with`.

        Args:
            bench: limits, providers, models and sampling, as from `parse_bench`; the defaults without.
            storage: URL of the store, in place of the bench's own.
            folder: what relative paths are relative to; the current folder without.
            environment: keys and home; read from the process and `.env` without.
            read_only: whether a store that is there is opened to be read alone, so that nothing can be run.
        """
        self.bench = bench or Bench()
        self.folder = folder or Path.cwd()
        self.environment = environment or read_environment(self.folder)
        self.progress: list[Progress] = []
        """Runs of this engine, in the order in which they were opened."""
        self.draining = False
        self.lag = Histogram()
        """How late the event loop was, in seconds, looked at 20 times a second while runs are open."""
        self._read_only = read_only
        self._storage = storage or self.bench.storage.url or f"sqlite:///{self.environment.home / 'engine.db'}"
        self._stack = AsyncExitStack()
        self._listeners: list[Callable[[Event], None]] = []
        self._streams: set[TaskStream] = set()
        self._providers: Providers
        self._opener: Opener

    async def __aenter__(self) -> Self:
        """Open the store.

        Raises:
            StorageError: it cannot be opened or written.
        """
        url = absolute_url(self._storage, self.folder)
        backend = built_in("storage").backend(url)
        self.store = await self._open(backend, url)
        self._providers = Providers(
            self.bench,
            self.environment,
            self.store,
            folder=self.folder,
            changed=self._tell,
            adapted=self._tell,
            uncounted=self._tell,
        )
        self._stack.push_async_callback(self._providers.aclose)
        home = self.environment.home
        self._opener = Opener(self.bench, self._providers, self.store, folder=self.folder, home=home)
        return self

    async def _open(self, backend: Any, url: str) -> Store:
        if self._read_only:
            try:
                store: Store = await self._stack.enter_async_context(backend.open_store(url, read_only=True))
            except StorageError:
                pass  # not there yet, or of an older schema, which only writing brings up to date
            else:
                return store
        how = {"on_trouble": self._trouble, "full_wait_s": self.bench.storage.full_wait_s}
        opened: Store = await self._stack.enter_async_context(backend.open_store(url, **how))
        return opened

    async def __aexit__(self, *error: object) -> None:
        """Close endpoints and the store; everything that was finished is durable."""
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

    async def run(
        self,
        dataset: str,
        solver: str | type[Any],
        *,
        model: str,
        subset: str = "",
        options: Mapping[str, Any] | None = None,
        choice: Choice | None = None,
        mode: Mode | None = None,
    ) -> RunReport:
        """Run one benchmark for one model, and give what it came to.

        Args:
            dataset: `ns/name/version`, a path, `hf:owner/name`, `generated:name`; relative to the engine's folder.
            solver: a class that inherits from `SolverStrategy`, or its name, file or `module:Class`.
            model: `provider::name`, a bare name, or `https://host/v1::name`.
            subset: the split; "" is the dataset's only one.
            options: arguments of the solver's constructor, by name.
            choice: which rows, and how often; all of them once without.
            mode: how to treat what is stored; it is reused without.

        Raises:
            EngineError: see the tree in `engine.errors`; tasks that end without a score raise nothing.
        """
        order = Order(
            dataset=dataset,
            solver=solver,
            model=model,
            subset=subset,
            options=options or {},
            choice=choice or Choice(),
        )
        return (await self.run_orders([order], mode=mode))[0]

    async def run_orders(self, orders: Sequence[Order], *, mode: Mode | None = None) -> list[RunReport]:
        """Run a batch; the reports come in the order of the orders. Nothing is sent before all is checked.

        Raises:
            EngineError: as for `run`.
        """
        mode = mode or Mode()
        if mode.force and (mode.regrade or mode.offline):
            raise UsageError("--force buys anew, --regrade and --offline buy nothing", hint="give one of them")
        known = await self._know_all(orders, mode)
        opened = [await self._opener.open(each, mode, ended=self._task_ended) for each in known]
        streams = {each.run.stream for each in opened}
        ends: list[_End] = [_End() for _ in opened]
        self._streams |= streams
        if self.draining:  # asked for while this was prepared: nothing leaves
            await self.drain()
        try:
            await self._begin(opened, mode)
            limit_s = self.bench.engine.max_duration_s
            with one_error():
                async with (
                    watched(self._watched(opened), self._tell, max_duration_s=limit_s),
                    anyio.create_task_group() as group,
                ):
                    for each, end in zip(opened, ends, strict=True):
                        group.start_soon(self._drive, each, mode, end)
        finally:
            self._streams -= streams
            with anyio.CancelScope(shield=True):
                for each in opened:
                    await close_solver(each.known.prepared.solver)
        if mistakes := [end.mistake for end in ends if end.mistake is not None]:
            raise together(mistakes)
        return [end.report for end in ends if end.report is not None]

    async def _drive(self, opened: Opened, mode: Mode, end: _End) -> None:
        """Run one order to its report, which does not wait for the others; nor does what is wrong with it end them."""
        await do_run(opened.run)
        try:
            end.report = await self._report(opened, mode)
        except StorageError:
            raise
        except EngineError as error:
            end.mistake = error

    async def _know_all(self, orders: Sequence[Order], mode: Mode) -> list[Known]:
        """Every order prepared; what is wrong with any of them is told at once."""
        known: list[Known] = []
        mistakes: list[EngineError] = []
        for order in orders:
            try:
                known.append(await self._opener.know(order, mode))
            except (ConfigError, DatasetError, SolverError, EndpointError) as error:
                mistakes.append(error)
        if mistakes:
            raise together(mistakes)
        return known

    async def drain(self) -> None:
        """Stop softly: requests in flight end and are kept, no new ones leave, runs return with what there is.

        For good: a run that is asked for later reports what is stored.
        """
        self.draining = True
        self._providers.drain()
        for stream in list(self._streams):
            await stream.stop()

    @property
    def in_flight(self) -> int:
        """Requests that are with a provider now."""
        return self._providers.in_flight

    @asynccontextmanager
    async def events(
        self, *, of: Collection[Outcome] = EVERY_OUTCOME
    ) -> AsyncIterator[MemoryObjectReceiveStream[Event]]:
        """What happens from now on: `async with engine.events() as events: async for event in events`.

        Args:
            of: the outcomes of which `TaskEnded` is told.
        """
        send, receive = anyio.create_memory_object_stream[Event](inf)

        def listen(event: Event) -> None:
            told = not isinstance(event, TaskEnded) or event.result.outcome in of
            if told and (not isinstance(event, TaskEnded) or send.statistics().current_buffer_used < EVENTS_HELD):
                send.send_nowait(event)

        self._listeners.append(listen)
        try:
            with send, receive:
                yield receive
        finally:
            self._listeners.remove(listen)

    async def explain(self, order: Order) -> tuple[RunRecord, list[tuple[str, Any, Any]] | None]:
        """The run that this order would be, and `(part, now, stored)` of what sets the nearest one apart.

        None in place of differences where nothing like it is stored; an empty list where it is there.
        """
        known = await self._opener.know(order, Mode())
        return known.record, await self._opener.nearest(known)

    async def forecast(self, order: Order, *, mode: Mode | None = None) -> Forecast:
        """What this order would do and cost; nothing is sent and nothing is stored."""
        return (await self.forecast_orders([order], mode=mode))[0]

    async def forecast_orders(self, orders: Sequence[Order], *, mode: Mode | None = None) -> list[Forecast]:
        """The same for a batch, in the order of the orders."""
        mode = mode or Mode()
        return [await self._opener.forecast(known, mode) for known in await self._know_all(orders, mode)]

    def _watched(self, opened: Sequence[Opened]) -> Watched:
        return Watched(
            runs=[each.run.progress for each in opened],
            gates=self._providers.gates,
            lag=self.lag,
            stop=self._providers.stop,
        )

    async def _begin(self, opened: Sequence[Opened], mode: Mode) -> None:
        for each in opened:
            self.progress.append(each.run.progress)
            self._tell(RunStarted(each.known.record, each.run.progress.tasks, each.run.progress.reused))
            if each.earlier is not None:
                self._tell(BuysAgain(each.known.record, each.earlier))
        for each in opened if not (mode.offline or mode.regrade) else ():
            if len(each.remaining):  # a run that is all there sends nothing, not even this
                self._affordable(each)
                await self._providers.probe(each.known.desk)
                for other in each.known.others.values():
                    await self._providers.probe(other.desk)

    def _affordable(self, opened: Opened) -> None:
        known, limit = opened.known, self._providers.budget.max_cost_usd
        asked = [(known.desk, known.model, known.price)]
        asked += [(other.desk, other.model, other.price) for other in known.others.values()]
        for desk, model, price in asked if limit is not None else ():
            if price is not None:
                continue
            name = f"{desk.name}::{model.model}"
            raise ConfigError(
                f"a limit of ${limit:g} cannot be kept: the price of {name!r} is not known",
                hint=f'add to bench.toml: [models."{name}"] prices = {{ input = 0.00, output = 0.00 }}, '
                "in USD per million tokens",
            )

    async def _report(self, opened: Opened, mode: Mode) -> RunReport:
        known, progress = opened.known, opened.run.progress
        selection, record = known.prepared.selection, known.record
        tally = await self.store.tally(record.run_id, selection)
        if tally.finished >= selection.size:
            await self.store.end_run(record.run_id)
        metrics = await run_metrics(known.prepared.solver, self.store, record, selection, tally)
        found = known.desk.calls.sender.refusals.found(known.model.model)
        adapted = [each.says for each in found]
        made_up = known.desk.provider.kind in MADE_UP
        made = report(record, selection, tally, progress, metrics=metrics, adapted=adapted, made_up=made_up)
        if known.prepared.order.record and (mode.record_partial or tally.finished >= selection.size):
            finished = FinishedRun(
                report=made,
                record=record,
                selection=selection,
                tally=tally,
                dataset=known.prepared.rows,
                store_url=absolute_url(self._storage, self.folder.resolve()),
            )
            recorded, behind = await self._record(finished, mode)
            renamed = renaming(record.evaluation_name, made.metrics)
            made = replace(made, recorded=recorded, behind=behind, renamed=renamed)
        self._tell(RunEnded(made))
        return made

    async def _record(self, finished: FinishedRun, mode: Mode) -> tuple[str, str]:
        store = cast("EvaluationStore", self.store)
        kept = await record_run(
            store,
            finished,
            home=self.environment.home,
            namespace=self.environment.get("ENGINE_NAMESPACE", "local"),
            overwrite=mode.overwrite,
            partial=mode.record_partial,
        )
        return kept.name, await stands_behind(store, kept, home=self.environment.home)

    def _trouble(self, message: str) -> None:
        self._tell(StoreTrouble(message))

    def _task_ended(self, result: TaskResult) -> None:
        if self._listeners:
            self._tell(TaskEnded(result))

    def _tell(self, event: Event) -> None:
        for listen in self._listeners:
            listen(event)


async def close_solver(solver: Any) -> None:
    """Let a solver end what it started, where it has an `aclose`."""
    close = getattr(solver, "aclose", None)
    if close is not None:
        await close()


def absolute_url(url: str, folder: Path) -> str:
    """The URL of a store, a relative file in it taken from the folder: `sqlite:///bench.db`."""
    head, mark, path = url.partition(":///")
    if not mark or Path(path).is_absolute():
        return url
    return f"{head}:///{folder / Path(path).expanduser()}"
