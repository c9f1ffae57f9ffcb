"""A run that is cancelled at any step of the loop leaves nothing behind, and goes on from where it was."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.api import Engine
from engine.config import Bench
from tests.faults.chaos import Chaos, chaos
from tests.support import rows, sums

pytestmark = pytest.mark.long

TASKS = 12
LIMITS = {"max_concurrent": 3, "attempt_timeout_s": 0.2}
OPTIONS = {"prompt": "{input}", "target": "{output}", "scorer": "number"}
QUICK: Mapping[str, float] = {}
SLOW = {"429": 0.1, "5xx": 0.1, "reset": 0.05, "hang": 0.03}


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its steps, and calls `at_step` when as many as `stop_at` have been taken."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.stop_at = -1
        self.at_step: Any = None

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps == self.stop_at:
            self.at_step()
        super()._run_once()  # type: ignore[misc]


async def _work(file: Path, data: Path, url: str) -> float:
    bench = Bench.model_validate({"engine": LIMITS})
    async with Engine(bench, storage=f"sqlite:///{file}", folder=file.parent) as engine:
        report = await engine.run(str(data), "TemplateSolver", model=f"{url}::m", options=OPTIONS)
        return report.points


async def _cancelled_at(loop: CountingLoop, step: int, *what: Any) -> bool:
    """Whether the work ended by itself before that step."""
    task = asyncio.create_task(_work(*what))
    loop.stop_at, loop.at_step = loop.steps + step, task.cancel
    try:
        await asyncio.wait_for(asyncio.shield(task), 20)
    except asyncio.CancelledError:
        assert task.cancelled()
        return False
    finally:
        loop.stop_at = -1
    return True


def _nothing_is_left(file: Path, threads: set[threading.Thread], tasks: set[Any], step: int) -> None:
    running = asyncio.all_tasks() - tasks
    assert not [task for task in running if "server" not in repr(task) and "accept" not in repr(task)], step
    stay = [each for each in threading.enumerate() if each not in threads and "AnyIO worker" not in each.name]
    for each in stay:
        each.join(2)  # its last word was said a moment ago
    assert not [each for each in stay if each.is_alive()], step
    if not file.exists() or file.stat().st_size == 0:
        return
    with closing(sqlite3.connect(file, timeout=0)) as db:
        db.execute("BEGIN IMMEDIATE")  # fails where a transaction is still open
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if "leases" not in tables:
            return
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), step
        assert db.execute("SELECT count(*) FROM leases").fetchone() == (0,), step
        assert db.execute("SELECT count(*) FROM nodes WHERE expires_at > 0").fetchone() == (0,), step
        bodies = "SELECT count(*) FROM calls WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.id = calls.id)"
        assert db.execute(bodies).fetchone() == (0,), step
        db.execute("ROLLBACK")


async def _at_every_step(
    folder: Path, *, first: int, stride: int, again: bool, rates: Mapping[str, float] = QUICK
) -> tuple[int, int, int]:
    """`(steps tried, most requests sent beyond what was needed, steps of a whole run)`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    data, step, tried, most = rows(folder / "sums.jsonl", sums(TASKS)), first, 0, 0
    threads = set(threading.enumerate())
    while True:
        async with chaos(delay_s=0.001, retry_after="Retry-After-Ms: 5", rates=rates, seed=step) as endpoint:
            file = folder / f"{step}.db"
            what = (file, data, endpoint.base_url)
            tasks = asyncio.all_tasks()
            ended = await _cancelled_at(loop, step, *what)
            _nothing_is_left(file, threads, tasks, step)
            if again and not ended:
                ended = await _cancelled_at(loop, random.Random(step).randrange(1, 400), *what)
                _nothing_is_left(file, threads, tasks, step)
            most = max(most, await _goes_on(endpoint, what, step))
        tried += 1
        step += stride
        if ended and not again:
            return tried, most, step
        if step > 900:
            return tried, most, step


async def _goes_on(endpoint: Chaos, what: tuple[Any, ...], step: int) -> int:
    """How many good answers were bought more than once, or for nothing."""
    with closing(sqlite3.connect(what[0])) as db:
        known = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
        before = db.execute("SELECT count(*) FROM calls").fetchone()[0] if known else 0
    sent = endpoint.sent["ok"]
    assert await _work(*what) == TASKS, step
    assert endpoint.sent["ok"] - sent == TASKS - before, f"{step}: what was kept is not bought again"
    return sent - before


def _run(main: Any) -> Any:
    with warnings.catch_warnings(), asyncio.Runner(loop_factory=CountingLoop) as runner:
        warnings.simplefilter("error")
        return runner.run(main)


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_a_run_that_is_cancelled_at_a_step_leaves_nothing_behind_and_goes_on(tmp_path, again):
    tried, most, last = _run(_at_every_step(tmp_path, first=1, stride=19 if again else 3, again=again))
    print(f"cancelled at {tried} steps up to {last}; {most} answers lost at most, of those in flight")
    assert tried > 8
    assert most <= LIMITS["max_concurrent"] * (2 if again else 1)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_run_that_is_cancelled_at_every_third_step_leaves_nothing_behind_and_goes_on(tmp_path):
    tried, most, last = _run(_at_every_step(tmp_path, first=1, stride=3, again=False, rates=SLOW))
    print(f"cancelled at {tried} steps up to {last}; {most} answers lost at most, of those in flight")
    assert most <= LIMITS["max_concurrent"]
