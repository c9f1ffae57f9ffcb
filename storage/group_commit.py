"""Group commit: many tasks each wait for their own row, one transaction writes whatever is there.

There is no timer. While a batch commits the next one gathers, so that batches grow with the load: one row
when one task writes, hundreds when hundreds do, and durability costs next to nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import anyio

from engine.errors import StorageError

T = TypeVar("T")
_WOKEN_AT_ONCE = 32
BUSY_TOLD_AFTER_S = 2.0
BUSY_TOLD_EVERY_S = 10.0


class Entry(NamedTuple):
    """One thing to do and who waits for it; `kind` is the worker's own word."""

    kind: Any
    payload: Any
    size: int
    future: asyncio.Future[Any]


Worker = Callable[[list[Entry]], Awaitable[Sequence[Any]]]
"""Does a batch: one result per entry, an exception for an entry that failed alone. What it raises is final."""


class Batcher:
    """A queue in front of one worker, bounded by bytes; the worker gets all that waits, up to a limit."""

    def __init__(
        self, work: Worker, *, batch_items: int = 256, batch_bytes: int = 4 << 20, queue_bytes: int = 64 << 20
    ) -> None:
        self._work = work
        self._batch_items = batch_items
        self._batch_bytes = batch_bytes
        self._queue_bytes = queue_bytes
        self._queue: deque[Entry] = deque()
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.Future[None] | None = None
        self._closed = False
        self._error: StorageError | None = None
        # A task of its own and no child of the caller's group: it must outlive the cancellation of those who wait.
        self._task = self._loop.create_task(self._run())

    @property
    def has_room(self) -> bool:
        """Whether `submit` would not wait before it queues."""
        return self._held_bytes <= self._queue_bytes

    async def submit(self, kind: Any, payload: Any, size: int = 0) -> Any:
        """The worker's result for this entry; what was submitted is done even if the caller is cancelled.

        Raises:
            StorageError: the worker failed for good, or the batcher is closed.
        """
        while self._held_bytes > self._queue_bytes and self._error is None:
            self._room.clear()
            await self._room.wait()
        return await self.put(kind, payload, size)

    def put(self, kind: Any, payload: Any, size: int = 0) -> asyncio.Future[Any]:
        """What `submit` waits for, on its way at once: for few entries, as the bound of the queue is not kept.

        Raises:
            StorageError: the worker failed for good, or the batcher is closed.
        """
        if self._error is not None:
            raise again(self._error)
        if self._closed:
            raise StorageError("the store is closed", hint="keep the store open until the last task has ended")
        future = self._loop.create_future()
        self._queue.append(Entry(kind, payload, size, future))
        self._held_bytes += size
        self._wake()
        return future

    async def close(self) -> None:
        """Do what is queued, and end."""
        self._closed = True
        self._wake()
        await asyncio.wait([self._task])

    def _wake(self) -> None:
        idle = self._idle
        if idle is not None and not idle.done():
            idle.set_result(None)

    async def _run(self) -> None:
        try:
            while self._queue or not self._closed:
                if not self._queue:
                    self._idle = self._loop.create_future()
                    await self._idle
                    self._idle = None
                    continue
                await self._gather()
                await self._do(self._take())
        except StorageError as error:
            self._give_up(error)
        except BaseException as error:
            self._give_up(StorageError(f"a worker of the store ended: {error!r}"))
            raise

    async def _gather(self) -> None:
        """Let the loop go round while each round brings more."""
        held = 0
        while held < len(self._queue) < self._batch_items:
            held = len(self._queue)
            await asyncio.sleep(0)

    def _take(self) -> list[Entry]:
        queue, size = self._queue, 0
        batch: list[Entry] = []
        while queue and len(batch) < self._batch_items and (not batch or size + queue[0].size <= self._batch_bytes):
            entry = queue.popleft()
            size += entry.size
            batch.append(entry)
        return batch

    async def _do(self, batch: list[Entry]) -> None:
        try:
            results = await self._work(batch)
        except BaseException:
            self._queue.extendleft(reversed(batch))
            raise
        for place, (entry, result) in enumerate(zip(batch, results, strict=True)):
            self._held_bytes -= entry.size
            if place % _WOKEN_AT_ONCE == _WOKEN_AT_ONCE - 1:
                await asyncio.sleep(0)  # the loop has a turn for others: 256 tasks at once would hold it for 30 ms
            if entry.future.done():
                continue
            if isinstance(result, Exception):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)
        self._room.set()

    def _give_up(self, error: StorageError) -> None:
        self._error = error
        for entry in self._queue:
            if not entry.future.done():
                entry.future.set_exception(again(error))
        self._queue.clear()
        self._room.set()


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work whole; who is cancelled meanwhile, by asyncio or by a scope, hears of it afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:  # a scope's shield holds none that asyncio itself sends
                cancelled = error
    if cancelled is not None and task.exception() is None:
        raise cancelled
    task.result()


def again(error: StorageError) -> StorageError:
    """The same error for another waiter: one exception raised in many tasks would mix their tracebacks."""
    return StorageError(error.message, hint=error.hint)


class Trouble(Enum):
    """What an error of the database means for the batch in hand."""

    BUSY = "another process writes; try again at once"
    FULL = "the disk is full or fails; try again while someone makes room"
    FATAL = "no attempt will help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long work is repeated: while others write, and while the disk is full; then StorageError.

    `diagnose` names the trouble and the error that a person reads; `on_trouble` hears of each wait for the disk, and of
    one for other writers that is longer than usual.
    """

    diagnose: Callable[[Exception], tuple[Trouble, StorageError]]
    busy_wait_s: float = 60.0
    full_wait_s: float = 300.0
    on_trouble: Callable[[str], None] | None = None

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`.

        Raises:
            StorageError: it fails in a way that waiting does not mend, or has not mended.
        """
        busy_until = monotonic() + self.busy_wait_s
        tell_at = monotonic() + BUSY_TOLD_AFTER_S
        full_until, pause_s = 0.0, 1.0
        while True:
            try:
                return await work()
            except Exception as cause:
                trouble, error = self.diagnose(cause)
                now = monotonic()
                if trouble is Trouble.BUSY and now < busy_until:
                    if now >= tell_at and self.on_trouble is not None:
                        tell_at = now + BUSY_TOLD_EVERY_S
                        self.on_trouble(f"{error.message}; waiting for {busy_until - now:.0f} s more at most")
                    # Jitter makes it fair: a fixed wait lets one writer starve the others.
                    await asyncio.sleep(random.uniform(0.001, 0.02))
                    continue
                full_until = full_until or now + self.full_wait_s
                if trouble is not Trouble.FULL or now >= full_until:
                    raise error from cause
                wait_s = min(pause_s, full_until - now)
                if self.on_trouble is not None:
                    self.on_trouble(f"{error.message}; nothing is lost, trying again in {wait_s:.0f} s")
                await asyncio.sleep(wait_s)
                pause_s = min(2 * pause_s, 30.0)
                busy_until = monotonic() + self.busy_wait_s
