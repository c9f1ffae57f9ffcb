"""The engine's own cost cannot creep up unseen: counts and ratios within one run, never seconds.

Each gate says what it would catch. Bounds leave room for another machine and for other versions of what is
underneath; `python -m benchmarks` is where to look for the figures themselves.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import pstats
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks import process, servers
from benchmarks.bare import over_aiohttp, over_openai
from benchmarks.contestants import Ground, engine_runs, run_words
from engine import SolverStrategy
from engine.api import Engine, RunReport
from engine.config import parse_bench

IN_FLIGHT = 64
OPTIONS = {"prompt": "Say {input}", "target": "{output}"}


class Watching(SolverStrategy):
    """Asks, compares, and looks at the process now and then."""

    seen: ClassVar[list[tuple[int, int]]] = []
    """`(blocks that are allocated, tasks of the loop)`, at the times asked for."""
    solved: ClassVar[int] = 0
    look_at: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "") -> None:
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref

    def evaluation_name(self) -> str:
        return "watching"

    def compatible_datasets(self) -> list[str]:
        return ["*"]

    async def solve(self, datum: dict[str, Any]) -> bool:
        text = await self.start_inference_session().run_task(f"Say {datum['input']}")
        Watching.solved += 1
        if Watching.solved in self.look_at:
            gc.collect()
            Watching.seen.append((sys.getallocatedblocks(), len(asyncio.all_tasks())))
        return bool(text == datum["output"])


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.ours(0.0) as running:
        yield running


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def run(
    ground: Ground, server: servers.Server, tasks: int, *, solver: Any = "TemplateSolver", **more: Any
) -> RunReport:
    bench = parse_bench(f"[engine]\nmax_concurrent = {IN_FLIGHT}\n", allow_empty=True)
    options = OPTIONS if solver == "TemplateSolver" else {}
    async with Engine(bench, storage=f"sqlite:///{ground.folder / 'gates.db'}", folder=ground.folder) as engine:
        rows = str(ground.rows(tasks))
        return await engine.run(rows, solver, model=f"{server.base_url}::m", options={**options, **more})


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The first words of all statements that SQLite runs, on every connection, as it tells them itself."""
    words: Counter[str] = Counter()
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(lambda text: words.update([text.split(None, 1)[0].upper()]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    return words


async def test_many_tasks_share_a_commit_and_a_statement(
    ground: Ground, server: servers.Server, statements: Counter[str]
) -> None:
    """Catches a commit per row (three or four a task) and rows that are written one by one."""
    tasks = 1000
    report = await run(ground, server, tasks)
    assert report.score == 1.0
    assert statements["COMMIT"] <= 0.3 * tasks
    assert statements.total() <= 2 * tasks


async def test_replies_from_the_store_are_looked_up_many_at_a_time(
    ground: Ground, server: servers.Server, statements: Counter[str]
) -> None:
    """Catches a query per cached call, and a cached call that is sent after all."""
    tasks = 1000
    await run(ground, server, tasks)
    before = server.stats()["requests"]
    statements.clear()
    report = await run(ground, server, tasks, name="again")
    assert report.score == 1.0
    assert server.stats()["requests"] == before
    assert statements["SELECT"] <= 0.3 * tasks
    assert statements.total() <= 2 * tasks


async def test_nothing_is_kept_in_memory_of_a_task_that_ended(ground: Ground, server: servers.Server) -> None:
    """Catches results, rows, futures or locks that pile up with the tasks, and a task of the loop for each."""
    early, late = 1000, 4000
    Watching.seen, Watching.solved, Watching.look_at = [], 0, frozenset({early, late})
    await run(ground, server, late + 2 * IN_FLIGHT, solver=Watching)
    (blocks_early, _), (blocks_late, loop_tasks) = Watching.seen
    assert (blocks_late - blocks_early) / (late - early) < 0.5
    assert loop_tasks <= 4 * IN_FLIGHT


def calls(profile: cProfile.Profile) -> int:
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


async def test_a_task_makes_few_function_calls_more_than_a_bare_loop(ground: Ground, server: servers.Server) -> None:
    """Catches layers on the path of a call, from some 150 function calls a task on: two log records, a validation."""
    few, many = 200, 1000
    counts = {}
    for name in ("engine", "bare"):
        for tasks in (few, many):
            with cProfile.Profile() as profile:
                if name == "bare":
                    await over_aiohttp(server.base_url, tasks, IN_FLIGHT)
                else:
                    await run(ground, server, tasks, name=f"of {tasks}")
            counts[name, tasks] = calls(profile)
    engine, bare = ((counts[name, many] - counts[name, few]) / (many - few) for name in ("engine", "bare"))
    assert engine <= 2.6 * bare, f"{engine:.0f} function calls a task, {bare:.0f} in the bare loop"


async def test_a_task_costs_much_less_than_a_call_in_a_loop_of_the_sdk(ground: Ground, server: servers.Server) -> None:
    """Catches what counts do not show: slow C code, threads that fight, the SDK on the path of a call."""
    mine, other = 1200, 300
    ratios = []
    await over_openai(server.base_url, 1, 1, aiohttp_transport=False)  # its imports are not what is compared
    for number in range(3):
        began = time.process_time()
        await run(ground, server, mine, name=f"round {number}", system=f"Round {number}.")
        between = time.process_time()
        await over_openai(server.base_url, other, IN_FLIGHT, aiohttp_transport=False)
        ended = time.process_time()
        ratios.append((between - began) / mine / ((ended - between) / other))
    assert statistics.median(ratios) <= 0.4, ratios  # a quarter is the goal


def test_connections_are_kept_and_the_ceiling_is_strict(ground: Ground) -> None:
    """Catches a connection per request, and more requests in flight than were allowed."""
    with servers.ours(0.005) as server:
        engine_runs(ground, server.base_url, 16, 0, 0).start(400)
        seen = server.stats()
    assert seen["peak"] == 16
    assert seen["connections"] <= 16 + 2  # the probe, and this look


def test_a_run_over_jsonl_imports_little(ground: Ground, server: servers.Server) -> None:
    """Catches a heavy import on the way to the first request; about 660 modules are usual."""
    code = (
        "import sys, json\nfrom engine.cli.app import run_command_line\n"
        "code = run_command_line(sys.argv[1:])\nprint(json.dumps([code, sorted(sys.modules)]))"
    )
    words = run_words(ground.rows(5), server.base_url, 4)
    spent = process.run([sys.executable, "-c", code, *words], folder=ground.place())
    ended, modules = json.loads(spent.printed.splitlines()[-1])
    assert ended == 0
    heavy = {"datasets", "pyarrow", "pandas", "numpy", "openai", "scipy", "fastapi", "httpx", "rich.progress"}
    assert heavy.isdisjoint(modules)
    assert len(modules) <= 900, f"{len(modules)} modules"
