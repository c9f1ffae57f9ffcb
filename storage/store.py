"""A store as the engine sees it, for every backend: what to write is said here, how is the backend's business.

A backend gives a `Batcher` that does batches of writes in one transaction each, and one that looks
completions up. Within a batch what ends comes first, then claims and releases in the order they came: so a
claim never hands out what the same batch has finished.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from engine.errors import StorageError
from engine.ports import Store
from engine.records import Attempt, Completion, RunRecord, TaskKey, TaskResult

from . import statements
from .evaluations import Evaluations
from .group_commit import Batcher
from .nodes import TTL_S, Node, is_gone, this_node
from .reading import Query
from .rows import attempt_rows, clean, completion_rows, run_row, size_of, task_row
from .statements import Dialect

_PRUNED_AT_ONCE = 1_000


class Kind(Enum):
    """What an entry of the writer asks for, and its payload."""

    FINISH_CALL = auto()
    """`(row of calls, row of bodies, rows of attempts)`."""
    FINISH_TASK = auto()
    """`(row of tasks, lease key)`."""
    CLAIM_CALL = auto()
    """The request key; the result says whether it is ours."""
    CLAIM_TASKS = auto()
    """`(JSON of [lease key, run id, index, repeat] rows, ",outcome,outcome,")`; the lease keys that are ours."""
    RELEASE = auto()
    """`(lease keys, rows of attempts)`."""
    STATEMENTS = auto()
    """`(text, parameters)` rows, run in order; the result is the rows of each."""


class BatchedStore(Evaluations, Store):
    """A store over a batched writer and batched look-ups; `start` and `close` are the backend's."""

    def __init__(self, dialect: Dialect, query: Query, *, writer: Batcher | None, lookups: Batcher) -> None:
        super().__init__(dialect, query)
        self._writer = writer
        self._lookups = lookups
        self._node = this_node()
        self._heart: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._looks = 0
        self._left = 0

    @property
    def node(self) -> Node:
        """Who this store is to the others that share the database."""
        return self._node

    async def open_run(self, run: RunRecord) -> tuple[str, str]:
        """Make the run, or find the one with this identity and generation: `(run_id, status before)`."""
        row = run_row(run)
        asked = (statements.RUN_STATUS, (row[1], row[3]))
        before, _, after = await self._run(asked, (statements.OPEN_RUN, row), asked)
        return (before[0][0], before[0][1]) if before else (after[0][0], "new")

    async def end_run(self, run_id: str) -> None:
        """Mark the run as ended: each selected task has an outcome."""
        await self._run((statements.END_RUN, (clean(run_id),)))

    async def claim_tasks(self, keys: Sequence[TaskKey], *, again: frozenset[str] = frozenset()) -> list[TaskKey]:
        """Those of `keys` that are now ours: neither finished nor claimed by a live node."""
        wanted = {_lease(key): key for key in keys}
        ours = await self._claim_tasks(wanted, again)
        refused = {lease: key for lease, key in wanted.items() if lease not in ours}
        if refused and await self._expire_gone():
            ours |= await self._claim_tasks(refused, again)
        return [key for lease, key in wanted.items() if lease in ours]

    async def release_tasks(self, keys: Sequence[TaskKey]) -> None:
        """Give back tasks that were claimed and not finished."""
        if keys:
            await self._write(Kind.RELEASE, ([_lease(key) for key in keys], []))

    def finish_task(self, result: TaskResult) -> asyncio.Future[None]:
        """Keep the result (in place of an earlier one) and end the claim: on its way at once, durable when awaited."""
        row = task_row(result)
        size = 400 + len(row[18] or "") + len(row[19] or "") + len(row[20] or "")
        return self._batches().put(Kind.FINISH_TASK, (row, _lease(result.key)), size)

    async def lookup(self, key: str) -> Completion | None:
        """The stored completion of this request key; None where there is none."""
        found: Completion | None = await self._lookups.submit(None, clean(key))
        return found

    async def claim_call(self, key: str) -> Completion | bool:
        """The stored completion; else True where the call is now ours to make, False where a live node makes it."""
        key = clean(key)
        if await self._write(Kind.CLAIM_CALL, key):
            return True
        found: Completion | None = await self._lookups.submit(None, key)
        if found is not None:
            return found
        return bool(await self._expire_gone() and await self._write(Kind.CLAIM_CALL, key))

    async def finish_call(self, completion: Completion, attempts: Sequence[Attempt]) -> None:
        """Keep the completion (the first one wins) and its attempts, and end the claim."""
        call, body = completion_rows(completion)
        payload = (call, body, attempt_rows(call[0], attempts))
        await self._write(Kind.FINISH_CALL, payload, size_of(completion))

    async def release_call(self, key: str, attempts: Sequence[Attempt]) -> None:
        """Keep the failed attempts and give the claim back."""
        key = clean(key)
        await self._write(Kind.RELEASE, ([key], attempt_rows(key, attempts)))

    async def prunable(self, *, before: float, model: str = "") -> Mapping[str, Any]:
        """What `prune` would take away: `completions`, about how many `bytes`, and what they cost in `cost_usd`.

        Args:
            before: seconds since 1970; what was bought earlier is meant.
            model: only of this one, as `name` or `provider::name`.
        """
        [(n, size, cost, priced)] = await self._ask(statements.PRUNABLE, before, clean(model))
        return {"completions": n, "bytes": int(size or 0), "cost_usd": (cost or 0.0) if priced == n else None}

    async def prune(self, *, before: float, model: str = "") -> int:
        """Take completions away, with their attempts and those of calls that failed as long ago; how many there were.

        Runs, tasks and evaluations stay. A run that needs one of these completions again buys it again.
        """
        pruned = 0
        while rows := await self._ask(statements.OLD_KEYS, before, clean(model), _PRUNED_AT_ONCE):
            keys = (json.dumps([key for (key,) in rows]),)
            await self._run((statements.DELETE_BODIES, keys), (statements.DELETE_CALLS, keys))
            pruned += len(rows)
        await self._run((statements.DELETE_LOOSE_ATTEMPTS, (before,)))
        return pruned

    def _write(self, kind: Kind, payload: Any, size: int = 100) -> Awaitable[Any]:
        batches = self._batches()
        # The future itself where there is room: each coroutine between costs its share of every wake-up above it.
        return batches.put(kind, payload, size) if batches.has_room else batches.submit(kind, payload, size)

    def _batches(self) -> Batcher:
        if self._writer is None:
            raise StorageError("the store was opened to read only", hint="open it without read_only to write")
        return self._writer

    async def _run(self, *asked: tuple[str, tuple[Any, ...]]) -> list[list[Any]]:
        native = [(self._dialect(text), parameters) for text, parameters in asked]
        rows: list[list[Any]] = await self._write(Kind.STATEMENTS, native)
        return rows

    async def _claim_tasks(self, wanted: dict[str, TaskKey], again: frozenset[str]) -> set[str]:
        if not wanted:
            return set()
        rows = json.dumps([[lease, clean(key.run_id), key.datum_index, key.repeat] for lease, key in wanted.items()])
        ours: set[str] = await self._write(Kind.CLAIM_TASKS, (rows, f",{','.join(again)},"), len(rows))
        return ours

    # The node -------------------------------------------------------------------------------------------------

    async def _join(self, gone: Sequence[str]) -> None:
        """Become a node, after those that are gone have left; its heart beats until `_leave`."""
        node = self._node
        row = (node.node_id, node.host, node.boot_id, node.pid, node.pid_started, TTL_S)
        # First the heart: where joining is cancelled half-way, leaving must still follow.
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        await self._run(*_left(gone), (statements.JOIN, row))

    async def _leave(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait([self._heart])
            self._heart = None
            await self._run(*_left([self._node.node_id]))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(TTL_S / 3)
            try:
                await self._run((statements.HEARTBEAT, (self._node.node_id, TTL_S)))
            except StorageError:
                return  # whoever writes next hears of it

    async def _expire_gone(self) -> bool:
        """Let the nodes whose process is gone leave; whether some left since this was asked.

        Who asks while another one looks shares the look after that.
        """
        looks, left = self._looks, self._left
        async with self._looking:
            if self._looks == looks:
                self._looks += 1
                gone = [node_id for node_id, is_dead, _ in await self._not_left() if is_dead]
                if gone:
                    await self._run(*_left(gone))
                    self._left += len(gone)
            return self._left > left

    async def _not_left(self) -> list[tuple[str, bool, bool]]:
        """`(node id, process is gone, heartbeat is over)` of the other nodes that have not left."""
        here = self._node
        found = []
        for node_id, host, boot_id, pid, pid_started, over in await self._ask(statements.NOT_LEFT):
            other = Node(node_id=node_id, host=host, boot_id=boot_id, pid=pid, pid_started=pid_started)
            if node_id != here.node_id:
                found.append((node_id, is_gone(other, here), bool(over)))
        return found


def _left(node_ids: Sequence[str]) -> list[tuple[str, tuple[Any, ...]]]:
    keys = json.dumps(list(node_ids))
    return [(statements.LEAVE, (keys,)), (statements.DROP_LEASES, (keys,))] if node_ids else []


def _lease(key: TaskKey) -> str:
    return f"{clean(key.run_id)}/{key.datum_index}/{key.repeat}"
