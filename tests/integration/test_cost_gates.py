"""The engine's own cost cannot creep up unseen: counts and ratios within one run, never seconds.

Each gate says what it would catch. Bounds leave room for another machine and for other versions of what is
underneath; `python -m benchmarks` is where to look for the figures themselves.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import itertools
import json
import pstats
import sqlite3
import statistics
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest

from benchmarks import process, servers
from benchmarks.bare import over_aiohttp, over_openai
from benchmarks.contestants import Ground, engine_runs, run_words
from engine import SolverStrategy
from engine.api import Engine, RunReport
from engine.cli.run import run_loop
from engine.config import parse_bench

IN_FLIGHT = 64
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
OPTIONS = {"prompt": "Say {input}", "target": "{output}"}


class Watching(SolverStrategy):
    """Asks, compares, and looks at the process now and then."""

    seen: ClassVar[list[tuple[int, int, int]]] = []
    """`(blocks that are allocated, bytes in them, tasks of the loop)`, at the times asked for."""
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
            held_bytes = tracemalloc.get_traced_memory()[0]
            Watching.seen.append((sys.getallocatedblocks(), held_bytes, len(asyncio.all_tasks())))
        return bool(text == datum["output"])


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.ours(0.0) as running:
        yield running


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def run(
    ground: Ground,
    server: servers.Server,
    tasks: int,
    *,
    rows: Path | None = None,
    solver: Any = "TemplateSolver",
    **more: Any,
) -> RunReport:
    bench = parse_bench(f"[engine]\nmax_concurrent = {IN_FLIGHT}\n", allow_empty=True)
    options = OPTIONS if solver == "TemplateSolver" else {}
    async with Engine(bench, storage=f"sqlite:///{ground.folder / 'gates.db'}", folder=ground.folder) as engine:
        dataset = str(rows or ground.rows(tasks))
        return await engine.run(dataset, solver, model=f"{server.base_url}::m", options={**options, **more})


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
    """Catches a commit per row (three or four a task), batches of a few, and rows of one table written one by one."""
    tasks = 1000
    report = await run(ground, server, tasks)
    assert report.score == 1.0
    assert statements["COMMIT"] <= 0.1 * tasks  # 0.04 is usual
    assert statements.total() <= 0.9 * tasks  # 0.45 is usual


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
    assert statements["SELECT"] <= 0.1 * tasks  # 0.03 is usual
    assert statements.total() <= 0.5 * tasks  # 0.16 is usual


async def test_nothing_is_kept_in_memory_of_a_task_that_ended(ground: Ground, server: servers.Server) -> None:
    """Catches results, rows, futures or locks that pile up with the tasks, a task of the loop for each, and a dataset
    that is read before its time: a row is as long as a page."""
    early, late, row_bytes = 500, 3000, 4000
    with ground.rows(tasks := late + 2 * IN_FLIGHT).open() as short:
        long = ground.folder / "long.jsonl"
        long.write_text("".join(json.dumps({**json.loads(row), "of_no_use": "x" * row_bytes}) + "\n" for row in short))
    Watching.seen, Watching.solved, Watching.look_at = [], 0, frozenset({early, late})
    tracemalloc.start()
    try:
        await run(ground, server, tasks, rows=long, solver=Watching)
    finally:
        tracemalloc.stop()
    (blocks_early, bytes_early, _), (blocks_late, bytes_late, loop_tasks) = Watching.seen
    assert (blocks_late - blocks_early) / (late - early) < 0.5
    assert (bytes_late - bytes_early) / (late - early) < 0.1 * row_bytes
    assert bytes_early < 0.5 * row_bytes * tasks
    assert loop_tasks <= 4 * IN_FLIGHT


def calls(profile: cProfile.Profile) -> int:
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


async def test_a_task_makes_few_function_calls_more_than_a_bare_loop(ground: Ground, server: servers.Server) -> None:
    """Catches layers on the path of a call, from some 50 function calls a task on, as validating a reply takes."""
    few, many = 200, 1000
    counts = {}
    await run(ground, server, 1)  # what is imported late is not what is compared
    await over_aiohttp(server.base_url, 1, 1)
    for name in ("engine", "bare"):
        for tasks in (few, many):
            with cProfile.Profile() as profile:
                if name == "bare":
                    await over_aiohttp(server.base_url, tasks, IN_FLIGHT)
                else:
                    await run(ground, server, tasks, name=f"of {tasks}")
            counts[name, tasks] = calls(profile)
    engine, bare = ((counts[name, many] - counts[name, few]) / (many - few) for name in ("engine", "bare"))
    assert engine <= 2.35 * bare, f"{engine:.0f} function calls a task, {bare:.0f} in the bare loop"


async def test_the_writer_makes_few_function_calls_for_a_task(ground: Ground, server: servers.Server) -> None:
    """Catches work on each row in the threads of the store, which the profile of the loop does not see."""
    few, many, count, counts = 200, 1000, itertools.count(), {}
    for tasks in (few, many):
        before = next(count)
        threading.setprofile(lambda frame, event, argument: event in ("call", "c_call") and next(count))
        try:
            await run(ground, server, tasks, name=f"of {tasks}")
        finally:
            threading.setprofile(None)
        counts[tasks] = next(count) - before
    assert (counts[many] - counts[few]) / (many - few) <= 75, counts  # 50 are usual


async def test_a_run_takes_hardly_longer_than_a_bare_loop(ground: Ground, server: servers.Server) -> None:
    """Catches waiting: timers, batches that come late. The store is in memory, where a commit waits for no disk."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        fast, ratios = Ground(Path(folder)), []
        await over_aiohttp(server.base_url, 1, 1)  # its imports are not what is compared
        for number in range(3):
            began = time.perf_counter()
            await run(fast, server, 1200, name=f"round {number}", system=f"Round {number}.")
            between = time.perf_counter()
            await over_aiohttp(server.base_url, 1200, IN_FLIGHT)
            ratios.append((between - began) / (time.perf_counter() - between))
    assert statistics.median(ratios) <= 5, ratios  # 2 is usual


def test_a_run_has_the_fast_loop_and_a_collector_that_comes_seldom() -> None:
    """Catches a command line that lost what makes it a third faster than a library on its host's settings."""
    loops: list[str] = []

    async def look() -> int:
        loops.append(type(asyncio.get_running_loop()).__module__)
        return gc.get_freeze_count()

    thresholds = gc.get_threshold()
    try:
        assert run_loop(look) > 10_000
        assert gc.get_threshold()[0] >= 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    assert loops == ["uvloop"]


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
    assert statistics.median(ratios) <= 0.25, ratios  # an eighth is usual


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
