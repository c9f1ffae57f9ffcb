"""THE RUN LOOP: workers of each run pull tasks from its stream, solve them, and keep how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from engine.ports import Store
from engine.progress import Progress
from engine.records import TaskKey, TaskResult
from engine.stream import TaskStream
from engine.task import Setting, do_task


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One benchmark for one model, ready to go."""

    setting: Setting
    stream: TaskStream
    store: Store
    progress: Progress
    open_tasks: int
    """Somewhat more than requests in flight: tasks that sleep or score leave no slot idle."""
    lanes: anyio.CapacityLimiter
    """How many runs of one provider hand out tasks at a time."""
    ended: Callable[[TaskResult], None]


async def do_run(run: Run) -> None:
    """Do every task of the run that remains; returns when none is open.

    Raises:
        StorageError: nothing can be kept any more; what was finished is.
    """
    await run.lanes.acquire_on_behalf_of(run.stream)
    run.progress.begin()
    try:
        async with anyio.create_task_group() as workers:
            for _ in range(run.open_tasks):
                workers.start_soon(_work, run)
    finally:
        run.progress.end()
        _leave_lane(run)
        with anyio.CancelScope(shield=True):
            await run.stream.stop()


async def _work(run: Run) -> None:
    kept: asyncio.Future[None] | None = None
    while (task := await run.stream.next()) is not None:
        key = task.key
        try:
            result = await do_task(run.setting, key, task.datum_id, task.datum)
            if kept is not None:
                await kept  # the task before this one; nothing was waited for meanwhile, and here it raises
            if result is None:
                kept = None
                await _give_back(run, key)
            else:
                kept = _keep(run, result)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await run.store.release_tasks([key])
            raise
    _leave_lane(run)  # the next run starts while the last tasks of this one are still open: no barrier
    if kept is not None:
        await kept


def _keep(run: Run, result: TaskResult) -> asyncio.Future[None]:
    def count(kept: asyncio.Future[None]) -> None:
        if not kept.cancelled() and kept.exception() is None:
            run.progress.add(result)
            run.ended(result)

    kept = asyncio.ensure_future(run.store.finish_task(result))
    kept.add_done_callback(count)
    return kept


async def _give_back(run: Run, key: TaskKey) -> None:
    await run.store.release_tasks([key])
    run.progress.passed_over += 1
    if run.progress.halted:
        await run.stream.stop()  # what is stored is reused on a rerun; nothing more can be bought now


def _leave_lane(run: Run) -> None:
    if run.stream in run.lanes.statistics().borrowers:
        run.lanes.release_on_behalf_of(run.stream)
