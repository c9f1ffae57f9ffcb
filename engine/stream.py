"""The tasks of a run that remain, read and claimed a handful at a time, so that memory follows what is open."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import anyio
import anyio.to_thread

from engine.plan import Remaining
from engine.ports import Dataset, Store
from engine.records import TaskKey

ROWS_A_READ = 64
LONGEST_POLL_S = 5.0


class Task(NamedTuple):
    """A claimed task with its row."""

    key: TaskKey
    datum_id: str
    datum: dict[str, Any]


class TaskStream:
    """Where the workers of a run get their tasks.

    What another live node has claimed is waited for at the end, and taken over should that node die.
    """

    def __init__(
        self, *, run_id: str, dataset: Dataset, remaining: Remaining, store: Store, again: frozenset[str] = frozenset()
    ) -> None:
        self.run_id = run_id
        self.exhausted = False
        self._dataset = dataset
        self._remaining = remaining
        self._store = store
        self._again = again
        self._ready: deque[Task] = deque()
        self._rows = self._open()
        self._poll_s = 0.25
        self._lock = anyio.Lock()

    async def next(self) -> Task | None:
        """The next task, ours alone; None when there are no more."""
        while not self._ready:
            async with self._lock:
                if self.exhausted:
                    return None
                if not self._ready:
                    await self._refill()
        return self._ready.popleft()

    async def stop(self) -> None:
        """Hand out nothing more, and give back what was claimed and not handed out."""
        self.exhausted = True
        keys = [task.key for task in self._ready]
        self._ready.clear()
        if keys:
            await self._store.release_tasks(keys)

    def _open(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._dataset.read(self._remaining.indices())

    async def _refill(self) -> None:
        rows = await anyio.to_thread.run_sync(self._read)
        if rows:
            await self._claim(rows)
        elif len(self._remaining) == 0:
            self.exhausted = True
        else:
            await self._wait_for_others()

    def _read(self) -> list[tuple[int, dict[str, Any]]]:
        return list(islice(self._rows, ROWS_A_READ))

    async def _claim(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        wanted = {
            TaskKey(self.run_id, index, repeat): row
            for index, row in rows
            for repeat in self._remaining.repeats_of(index)
        }
        ours = set(await self._store.claim_tasks(list(wanted), again=self._again))
        self._remaining.mark((key.datum_index, key.repeat) for key in ours)
        self._ready.extend(Task(key, self._dataset.datum_id(row), row) for key, row in wanted.items() if key in ours)

    async def _wait_for_others(self) -> None:
        await anyio.sleep(self._poll_s)
        self._poll_s = min(LONGEST_POLL_S, self._poll_s * 1.5)
        async for chunk in self._store.finished(self.run_id):
            self._remaining.mark((index, repeat) for index, repeat, _ in chunk)
        self._rows = self._open()
