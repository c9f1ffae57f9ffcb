"""The questions that one asks a store, for every backend: runs, results, tallies, figures about the store.

Long answers come in chunks, each by a query of its own that goes on where the last one ended: memory stays
constant and no read transaction stays open while the caller works.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from engine.records import Selection, Tally, TaskResult

from . import statements
from .rows import Row, body_hash, clean, task_of
from .statements import Dialect
from .tallies import Counter, from_groups

Query = Callable[[str, tuple[Any, ...]], Awaitable[list[Row]]]
"""Runs one statement and gives all its rows."""

_KEYS_AT_ONCE = 10_000
_RESULTS_AT_ONCE = 1_000
_BODIES_AT_ONCE = 200


class Reading:
    """The part of a store that only reads; a backend gives the dialect and the way to run a query."""

    def __init__(self, dialect: Dialect, query: Query) -> None:
        self._dialect = dialect
        self._query = query

    async def newest_run(self, scope: str) -> Mapping[str, Any] | None:
        """The newest run of the highest generation with this scope, as a row of `runs`; None where there is none."""
        rows = await self._ask(statements.NEWEST_RUN, clean(scope))
        return dict(zip(statements.RUN_COLUMNS, rows[0], strict=True)) if rows else None

    async def find_runs(self, *, benchmark: str = "", model: str = "", limit: int = 20) -> list[Mapping[str, Any]]:
        """Rows of `runs`, newest first."""
        rows = await self._ask(statements.FIND_RUNS, clean(benchmark), clean(model), limit)
        return [dict(zip(statements.RUN_COLUMNS, row, strict=True)) for row in rows]

    async def finished(self, run_id: str) -> AsyncIterator[list[tuple[int, int, str]]]:
        """Chunks of `(datum_index, repeat, outcome)` of the run's tasks that have ended, in task order."""
        async for rows in self._chunks(statements.FINISHED, run_id, _KEYS_AT_ONCE):
            yield rows

    async def results(self, run_id: str) -> AsyncIterator[list[TaskResult]]:
        """Chunks of finished tasks in the order of datum index, then repeat."""
        async for rows in self._chunks(statements.RESULTS, run_id, _RESULTS_AT_ONCE, key_at=1):
            yield [task_of(row) for row in rows]

    async def tally(self, run_id: str, selection: Selection) -> Tally:
        """Counts over the finished tasks of the selection."""
        if selection.picked is not None:
            counter = Counter(selection)
            async for rows in self._chunks(statements.USED, run_id, _KEYS_AT_ONCE):
                counter.add(rows)
            return counter.result()
        chosen = (clean(run_id), selection.stop, selection.repeats)
        groups = await self._ask(statements.TALLY, *chosen)
        clusters = await self._ask(statements.CLUSTERS, *chosen) if selection.repeats > 1 else []
        return from_groups(groups, clusters[0] if clusters else None)

    async def stats(self) -> dict[str, Any]:
        """How much is stored: `runs`, `tasks`, `completions`, `attempts` count rows.

        `models` has one row per provider and model with `completions`, `input_tokens`, `output_tokens` and
        `cost_usd`, what the stored completions cost when they were bought; None where one of them is unknown.
        """
        [counts] = await self._ask(statements.COUNTS)
        models = [
            {
                "provider": provider,
                "model": model,
                "completions": n,
                "input_tokens": int(read) if told_read == n else None,
                "output_tokens": int(written) if told_written == n else None,
                "cost_usd": cost if priced == n else None,
            }
            for provider, model, n, read, told_read, written, told_written, cost, priced in await self._ask(
                statements.MODELS
            )
        ]
        names = ("runs", "tasks", "completions", "attempts")
        return {**dict(zip(names, counts, strict=True)), "models": models}

    async def verify(self) -> list[str]:
        """Request keys of completions whose body is missing or differs from its hash.

        Raises:
            StorageError: the database cannot be read any further.
        """
        last = 0
        broken: list[str] = []
        while rows := await self._ask(statements.BODIES, last, _BODIES_AT_ONCE):
            for _, key, request, response, text, extras, digest in rows:
                if digest is None or body_hash(request, response, text, extras) != digest:
                    broken.append(key)
            last = rows[-1][0]
        return broken

    async def _ask(self, text: str, *parameters: Any) -> list[Row]:
        return await self._query(self._dialect(text), parameters)

    async def _chunks(self, text: str, run_id: str, limit: int, *, key_at: int = 0) -> AsyncIterator[list[Any]]:
        run, statement = clean(run_id), self._dialect(text)
        index = repeat = -1
        while rows := await self._query(statement, (run, index, repeat, limit)):
            yield rows
            if len(rows) < limit:
                return
            index, repeat = rows[-1][key_at : key_at + 2]
