"""An engine process that writes down each task that it was told has ended: `acknowledging.py ACKS DATA MODEL HOW`.

HOW is JSON: `storage`, `max_concurrent`. The line is written by one `write` to a file opened for appending, so that
`kill -9` leaves whole lines. At the end `done PASSED SLOWEST_WRITE_S` is printed: the longest wait for a commit.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from engine.api import Engine
from engine.config import Bench
from engine.events import TaskEnded

OPTIONS = {"prompt": "{input}", "target": "{output}", "scorer": "number"}


class Timed:
    """A store whose slowest durable write is known; everything else is the store's own."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.slowest_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def finish_call(self, *what: Any) -> None:
        await self._time(self._store.finish_call, *what)

    async def finish_task(self, *what: Any) -> None:
        await self._time(self._store.finish_task, *what)

    async def _time(self, work: Callable[..., Awaitable[None]], *what: Any) -> None:
        began = time.monotonic()
        await work(*what)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


async def main(acks: Path, data: str, model: str, how: dict[str, Any]) -> None:
    """Run it, and acknowledge."""
    bench = Bench.model_validate({"engine": {"max_concurrent": how["max_concurrent"]}})
    log = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with Engine(bench, storage=how["storage"], folder=Path.cwd()) as engine:
        timed = Timed(engine.store)
        engine.store = engine._opener._store = engine._providers._store = timed  # type: ignore[assignment]
        async with anyio.create_task_group() as group, engine.events() as events:

            async def listen() -> None:
                async for event in events:
                    if isinstance(event, TaskEnded):
                        key, outcome = event.result.key, event.result.outcome
                        os.write(log, f"{key.run_id} {key.datum_index} {outcome.value}\n".encode())

            group.start_soon(listen)
            report = await engine.run(data, "TemplateSolver", model=model, options=OPTIONS)
            while events.statistics().current_buffer_used:
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    print(f"done {report.points:g} {timed.slowest_s:.3f}", flush=True)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
