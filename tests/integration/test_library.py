"""The engine inside another program: several runs at once, events, cancellation, a service around it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sqlite3
from contextlib import nullcontext
from pathlib import Path

import anyio
import httpx
import pytest

from engine import Engine
from engine.api import Choice, Order
from engine.endpoints.server import Answer
from engine.errors import SolverError
from engine.events import RunEnded, RunStarted, TaskEnded
from tests.support import ROOT, adds, rows, scripted, sums

TEMPLATE = {"prompt": "{input}", "target": "{output}", "scorer": "number"}


def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'library.db'}"


async def test_several_runs_at_once_in_one_loop_all_end_right(tmp_path):
    data = [rows(tmp_path / f"sums{number}.jsonl", sums(30 + number)) for number in range(4)]
    reports = {}
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:

        async def one(path: Path) -> None:
            reports[path] = await engine.run(
                str(path), "TemplateSolver", model=f"{server.base_url}::m", options=TEMPLATE
            )

        async with anyio.create_task_group() as group:
            for path in data:
                group.start_soon(one, path)
    assert [reports[path].n for path in data] == [30, 31, 32, 33]
    assert all(report.score == 1.0 for report in reports.values())
    assert server.stats.requests == 33, "equal requests at temperature 0 are one, whichever run asks"


async def test_two_engines_in_one_loop_on_one_file_both_end_right(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(50))
    reports = []
    async with scripted(adds) as (server, _):

        async def one() -> None:
            async with Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
                options = TEMPLATE
                reports.append(
                    await engine.run(str(data), "TemplateSolver", model=f"{server.base_url}::m", options=options)
                )

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
    assert [report.score for report in reports] == [1.0, 1.0]
    assert server.stats.requests == 50


async def test_events_tell_the_start_each_task_and_the_end(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(20))
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        async with engine.events() as events:
            await engine.run(str(data), "TemplateSolver", model=f"{server.base_url}::m", options=TEMPLATE)
            told = [events.receive_nowait() for _ in range(events.statistics().current_buffer_used)]
    assert isinstance(told[0], RunStarted)
    assert isinstance(told[-1], RunEnded)
    assert sum(isinstance(event, TaskEnded) for event in told) == 20


async def test_a_cancelled_run_leaves_the_store_whole_and_goes_on_later(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(200))

    def slow(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.02)

    async with scripted(slow) as (server, _):
        async with Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
            with anyio.CancelScope() as scope:
                async with engine.events() as events, anyio.create_task_group() as group:

                    async def stop_after_fifty() -> None:
                        seen = 0
                        async for event in events:
                            seen += isinstance(event, TaskEnded)
                            if seen == 50:
                                scope.cancel()

                    group.start_soon(stop_after_fifty)
                    await engine.run(str(data), "TemplateSolver", model=f"{server.base_url}::m", options=TEMPLATE)
            assert scope.cancelled_caught
        async with Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
            report = await engine.run(str(data), "TemplateSolver", model=f"{server.base_url}::m", options=TEMPLATE)
    assert report.score == 1.0
    assert report.n == 200
    assert server.stats.requests <= 200 + engine.bench.engine.max_concurrent
    db = sqlite3.connect(tmp_path / "library.db")
    assert db.execute("select count(*), count(distinct datum_index) from tasks").fetchone() == (200, 200)
    assert db.execute("select count(*) from leases").fetchone() == (0,)
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()


async def test_a_drained_engine_finishes_what_is_in_flight_and_reports_the_rest_as_skipped(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(300))

    def slow(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.05)

    async with scripted(slow) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        async with engine.events() as events, anyio.create_task_group() as group:

            async def drain_after_some() -> None:
                async for event in events:
                    if isinstance(event, TaskEnded):
                        await engine.drain()
                        return

            group.start_soon(drain_after_some)
            report = await engine.run(str(data), "TemplateSolver", model=f"{server.base_url}::m", options=TEMPLATE)
    done = report.n - report.unscored
    assert 0 < done < 300
    assert report.outcomes["skipped"] == 300 - done
    assert server.stats.requests == done, "every request that left was kept and judged"


async def test_the_library_touches_no_signal_handler_no_root_logger_and_prints_nothing(tmp_path, capsys):
    data = rows(tmp_path / "sums.jsonl", sums(5))
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), list(logging.getLogger().handlers))
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        await engine.run(str(data), "TemplateSolver", model=f"{server.base_url}::m", options=TEMPLATE)
        during = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), list(logging.getLogger().handlers))
    assert during == before
    assert capsys.readouterr() == ("", "")
    assert len(asyncio.all_tasks()) == 1, "nothing of the engine is left running"


async def test_a_plain_solve_blocks_a_thread_and_never_the_loop(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(60))
    solver = tmp_path / "plain.py"
    solver.write_text(
        """
from engine import SolverStrategy

class Plain(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent=""):
        super().__init__(model, agent)
    def evaluation_name(self): return "plain"
    def compatible_datasets(self): return ["*"]
    def solve(self, datum):
        session = self.start_inference_session(datum["input"])
        session.add_system_message("add")
        text = session.run_task(datum["input"])
        (session.path / "answer.txt").write_text(text)
        return (session.path / "answer.txt").read_text() == datum["output"], {"tokens": text.usage.output_tokens}
"""
    )

    def slow(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=1.0)

    async with scripted(slow) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        report = await engine.run(str(data), f"{solver}:Plain", model=f"{server.base_url}::m")
    assert report.score == 1.0
    assert server.stats.max_in_flight > 40, "anyio's default of 40 threads is not the limit"
    assert not list((engine.environment.home / "work").rglob("answer.txt")), "working folders are gone"


async def test_a_benchmark_runs_inside_a_fastapi_service(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("service", ROOT / "examples" / "fastapi_service.py")
    assert spec is not None
    assert spec.loader is not None
    service = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(service)
    query = {"dataset": "generated:3_digit_addition", "solver": "ThreeDigitAdditionSolver", "limit": 50}
    transport = httpx.ASGITransport(app=service.app)
    async with (
        service.lifespan(service.app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        answers: list[httpx.Response] = []

        async def ask(limit: int) -> None:
            answers.append(await client.post("/runs", params={**query, "limit": limit}))

        async with anyio.create_task_group() as group:
            group.start_soon(ask, 50)
            group.start_soon(ask, 30)
        bad = await client.post("/runs", params={**query, "solver": "NoSuchSolver"})
    assert sorted(answer.json()["n"] for answer in answers) == [30, 50]
    assert all(answer.status_code == 200 for answer in answers)
    assert bad.status_code == 422
    assert "NoSuchSolver" in bad.json()["detail"]["message"]


async def test_a_choice_that_means_nothing_is_refused_before_anything_is_sent(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(5))
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        with pytest.raises(Exception, match="exclude"):
            await engine.run(
                str(data),
                "TemplateSolver",
                model=f"{server.base_url}::m",
                options=TEMPLATE,
                choice=Choice(limit=1, sample=1),
            )
    assert server.stats.requests == 0


WAITING = """
from engine import SolverStrategy


class Waits(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent="", *, gate):
        super().__init__(model, agent)
        self.gate = gate

    def evaluation_name(self):
        return "waits"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        await self.gate()
        return True
"""


async def test_a_run_is_told_of_when_it_ends_and_not_when_all_have_ended(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(4))
    (tmp_path / "waits.py").write_text(WAITING)
    told = anyio.Event()

    class Gate:
        """An option that says nothing about itself, and opens when the other run was told of."""

        def __repr__(self) -> str:
            return "gate"

        async def __call__(self) -> None:
            await told.wait()

    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        model = f"{server.base_url}::m"
        orders = [
            Order(dataset=str(data), solver="waits.py", model=model, options={"gate": Gate()}),
            Order(dataset=str(data), solver="TemplateSolver", model=model, options=TEMPLATE),
        ]
        async with engine.events() as events, anyio.create_task_group() as group:

            async def listen() -> None:
                async for event in events:
                    if isinstance(event, RunEnded):
                        told.set()
                        return

            group.start_soon(listen)
            with anyio.fail_after(60):
                reports = await engine.run_orders(orders)
    assert [(report.benchmark[:5], report.score) for report in reports] == [("waits", 1.0), ("templ", 1.0)]


METRICS = """
from engine import SolverStrategy
from solvers import SolverScoringMethod


class Custom(SolverStrategy):
    scoring_method = SolverScoringMethod.Custom

    def evaluation_name(self):
        return "custom"

    def compatible_datasets(self):
        return ["*"]

    def get_custom_tasks(self):
        return [{"q": f"{n} + 1"} for n in range(6)]

    async def solve(self, datum):
        return bool(await self.start_inference_session("q").run_task(datum["q"])), {}

    def get_evaluation_metrics(self, tasks_results):
        return {"average": BROKEN}
"""


@pytest.mark.parametrize(
    ("given", "told"),
    [("float('nan')", "'average' is nan"), ("'high'", "'average' is 'high'"), ("__import__('numpy').int64(3)", "")],
)
async def test_a_metric_is_a_finite_number(tmp_path, given, told):
    data = rows(tmp_path / "sums.jsonl", sums(2))
    (tmp_path / "custom.py").write_text(METRICS.replace("BROKEN", given))
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        with pytest.raises(SolverError, match=told) if told else nullcontext():
            report = await engine.run(str(data), "custom.py", model=f"{server.base_url}::m")
            assert json.loads(json.dumps(report.metrics)) == {"custom/average": 3}


async def test_metrics_that_fail_end_no_other_run_and_once_mended_nothing_is_sent_again(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(5))
    solver = tmp_path / "custom.py"
    solver.write_text(METRICS)
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        model = f"{server.base_url}::m"
        orders = [
            Order(dataset=str(data), solver="custom.py", model=model),
            Order(dataset=str(data), solver="TemplateSolver", model=model, options=TEMPLATE),
        ]
        async with engine.events() as events:
            with pytest.raises(SolverError, match="get_evaluation_metrics failed: NameError"):
                await engine.run_orders(orders)
            told = [events.receive_nowait() for _ in range(events.statistics().current_buffer_used)]
        assert [event.report.score for event in told if isinstance(event, RunEnded)] == [1.0]
        sent = server.stats.requests
        solver.write_text(METRICS.replace("BROKEN", "100"))
        (report, _) = await engine.run_orders(orders)
    assert report.metrics == {"custom/average": 100}
    assert sent == server.stats.requests > 0


THREADS = """
from concurrent.futures import ThreadPoolExecutor

from engine import SolverStrategy


class Votes(SolverStrategy):
    def evaluation_name(self):
        return "votes"

    def compatible_datasets(self):
        return ["*"]

    def solve(self, datum):
        sessions = [self.start_inference_session(str(number)) for number in range(3)]
        with ThreadPoolExecutor(3) as pool:
            replies = list(pool.map(lambda session: session.run_task(datum["input"] + " ="), sessions))
        return [str(reply) for reply in replies] == [datum["output"]] * 3
"""


async def test_a_plain_solve_may_ask_from_threads_of_its_own_and_its_task_pays(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(6))
    (tmp_path / "votes.py").write_text(THREADS)
    async with scripted(adds) as (server, _), Engine(storage=storage(tmp_path), folder=tmp_path) as engine:
        report = await engine.run(str(data), "votes.py", model=f"{server.base_url}::m")
        results = [each async for chunk in engine.store.results(report.run_id) for each in chunk]
    assert report.score == 1.0
    assert [(result.calls, result.requests) for result in results] == [(3, 3)] * 6, "three draws of one prompt"
