"""A hundred thousand tasks: memory is that of a thousand, the last costs what the first did, no row waits for all."""

from __future__ import annotations

import time
from itertools import pairwise

import anyio
import psutil
import pytest

from tests.support import SUM, adds, engine_running, rows, scripted, sums

TASKS = 100_000


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_memory_follows_the_calls_in_flight_and_not_the_dataset(tmp_path):
    data = rows(tmp_path / "many.jsonl", sums(TASKS))
    first_s = worked_s = early = late = 0.0
    works_s: list[float] = []
    """Seconds of work after each tenth of the tasks."""
    async with scripted(adds) as (server, responder):
        began = time.monotonic()
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        async with engine_running(*words, cwd=tmp_path) as process:
            ran = psutil.Process(process.pid)
            while server.stats.requests < TASKS and process.returncode is None:
                await anyio.sleep(0.01)
                seen = server.stats.requests
                if seen and not first_s:
                    first_s, worked_s = time.monotonic() - began, sum(ran.cpu_times()[:2])
                early = early or (ran.memory_info().rss if seen >= 1_000 else 0)
                late = max(late, ran.memory_info().rss if seen >= 1_000 else 0)
                if seen >= (1 + len(works_s)) * TASKS // 10:
                    works_s.append(sum(ran.cpu_times()[:2]))
                responder.seen.clear()
            assert await process.wait() == 0
    print(f"first request after {first_s:.2f} s and {worked_s:.2f} s of work")
    print(f"{early / 1e6:.0f} MB at task 1,000, at most {late / 1e6:.0f} MB after")
    tenths_s = [after - before for before, after in pairwise(works_s)]
    print("work by tenth of the tasks: " + ", ".join(f"{each:.2f}" for each in tenths_s) + " s")
    assert server.stats.requests == TASKS
    assert worked_s < 2, "work and not the clock: other processes take turns"
    assert late - early < 60e6
    assert tenths_s[-1] < 2 * tenths_s[0], "a task costs more, the more there were before it"
