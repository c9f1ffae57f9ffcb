"""The tasks of a run that remain, read and claimed a handful at a time, so that memory follows what is open."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, NamedTuple

import anyio
import anyio.to_thread

from engine.errors import DatasetError
from engine.plan import Remaining
from engine.ports import Dataset, Store
from engine.records import TaskKey

ROWS_A_READ = 64
MOST_ROWS_A_READ = 512
QUICK_S = 0.1
"""Tasks that are used up faster are read and claimed more at a time: 64 in each commit were 6,000 a second."""
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
        self,
        *,
        run_id: str,
        dataset: Dataset,
        remaining: Remaining,
        store: Store,
        again: frozenset[str] = frozenset(),
        broke: Callable[[DatasetError], bool] | None = None,
    ) -> None:
        """Nothing is read or claimed yet.

        Args:
            run_id: the run that the tasks are of.
            dataset: where the rows are.
            remaining: the tasks that are to be done.
            store: where tasks are claimed.
            again: outcomes of tasks that are done once more.
            broke: hears that the dataset can be read no further; True ends the stream softly, else it raises.
        """
        self.run_id = run_id
        self.exhausted = False
        self._dataset = dataset
        self._remaining = remaining
        self._store = store
        self._again = again
        self._broke = broke
        self._ready: deque[Task] = deque()
        self._rows, self._read_all = self._open(), False
        self._size = ROWS_A_READ
        self._filled_at = 0.0
        self._poll_s = 0.25
        self._lock = anyio.Lock()

    async def next(self) -> Task | None:
        """The next task, ours alone; None when there are no more.

        Who sees that few are left gets more, while the others take what is there.

        Raises:
            DatasetError: the dataset can be read no further.
        """
        try:
            return await self._next()
        except DatasetError as error:
            if self._broke is None or not self._broke(error):
                raise
            await self.stop()  # what is in flight ends, and is kept
            return None

    async def _next(self) -> Task | None:
        while not self._ready or (self._runs_low and not self._lock.locked()):
            async with self._lock:
                if self.exhausted and not self._ready:
                    return None
                if not self._ready or self._runs_low:
                    await self._refill()
        return self._ready.popleft()

    async def stop(self) -> None:
        """Hand out nothing more, and give back what was claimed and not handed out."""
        self.exhausted = True
        keys = [task.key for task in self._ready]
        self._ready.clear()
        if keys:
            await self._store.release_tasks(keys)

    @property
    def _runs_low(self) -> bool:
        return not self._read_all and 2 * len(self._ready) <= self._size

    def _open(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._dataset.read(self._remaining.indices())

    async def _refill(self) -> None:
        now = time.monotonic()
        wanted = 2 * self._size if now - self._filled_at < QUICK_S else self._size // 2
        self._filled_at, self._size = now, min(MOST_ROWS_A_READ, max(ROWS_A_READ, wanted))
        rows = await anyio.to_thread.run_sync(self._read)
        self._read_all = len(rows) < self._size
        if rows:
            await self._claim(rows)
        elif len(self._remaining) == 0:
            self.exhausted = True
        else:
            await self._wait_for_others()

    def _read(self) -> list[tuple[int, dict[str, Any]]]:
        return list(islice(self._rows, self._size))

    async def _claim(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        wanted = {
            TaskKey(self.run_id, index, repeat): deepcopy(row) if number else row  # a solver may change its own
            for index, row in rows
            for number, repeat in enumerate(self._remaining.repeats_of(index))
        }
        ours = set(await self._store.claim_tasks(list(wanted), again=self._again))
        self._remaining.mark((key.datum_index, key.repeat) for key in ours)
        if self.exhausted:  # stopped meanwhile
            await self._store.release_tasks(list(ours))
            return
        self._ready.extend(Task(key, self._dataset.datum_id(row), row) for key, row in wanted.items() if key in ours)

    async def _wait_for_others(self) -> None:
        await anyio.sleep(self._poll_s)
        self._poll_s = min(LONGEST_POLL_S, self._poll_s * 1.5)
        async for chunk in self._store.finished(self.run_id):
            self._remaining.mark((index, repeat) for index, repeat, _ in chunk)
        self._rows, self._read_all = self._open(), False
