"""Ctrl-C: the first drains, the second aborts; both say how to go on, and nothing that was paid is lost."""

from __future__ import annotations

import shlex
import signal
import sqlite3

import anyio
import pytest

from engine.endpoints.server import Answer
from tests.support import SUM, adds, engine, engine_running, rows, scripted, sums


async def until(condition) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_the_first_signal_drains_and_the_same_command_goes_on(tmp_path, number, code):
    rows(tmp_path / "sums.jsonl", sums(300))

    def slow(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.05)

    async with scripted(slow) as (server, _):
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 8)
        async with engine_running(*words, cwd=tmp_path) as process:
            await until(lambda: server.stats.requests > 30)
            process.send_signal(number)
            with anyio.fail_after(20):
                await process.wait()
            err = (await process.stderr.receive()).decode()
        sent = server.stats.requests
        ended = await engine(*words, cwd=tmp_path)
    assert process.returncode == code
    assert "resume: python -m engine run sums.jsonl" in err
    assert "Traceback" not in err
    assert sent < 300
    assert server.stats.requests == 300, "a drained run sends nothing twice"
    assert ended.final == "Final score: 300/300 - 100.00%"


@pytest.mark.parametrize("force", [("--force",), ("--force", "true")])
async def test_the_line_that_resumes_a_forced_run_goes_on_with_it_and_forces_nothing(tmp_path, force):
    rows(tmp_path / "sums.jsonl", sums(100))

    def slow(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.05)

    async with scripted(slow) as (server, _):
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 4)
        await engine(*words[:-2], cwd=tmp_path)
        async with engine_running(*words, *force, cwd=tmp_path) as process:
            await until(lambda: server.stats.requests > 120)
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(20):
                await process.wait()
            err = (await process.stderr.receive()).decode()
        (resume,) = (line for line in err.splitlines() if line.startswith("resume: python -m engine "))
        ended = await engine(*shlex.split(resume.removeprefix("resume: python -m engine ")), cwd=tmp_path)
    assert ended.final == "Final score: 100/100 - 100.00%"
    assert server.stats.requests == 200


async def test_the_second_signal_aborts_at_once_and_loses_at_most_what_was_in_flight(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(40))
    quick = True

    def answer(request):
        delay_s = 0.0 if quick or server.stats.requests <= 20 else 30.0
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=delay_s)

    async with scripted(answer) as (server, _):
        quick = False
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 4)
        async with engine_running(*words, cwd=tmp_path) as process:
            await until(lambda: server.stats.in_flight == 4 and server.stats.requests == 24)
            process.send_signal(signal.SIGINT)
            message = (await process.stderr.receive()).decode()
            assert "once more to abort" in message
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(10):
                await process.wait()
        quick = True
        ended = await engine(*words, cwd=tmp_path)
    assert process.returncode == 130
    assert ended.final == "Final score: 40/40 - 100.00%"
    assert server.stats.requests <= 40 + 4
    db = sqlite3.connect(tmp_path / "home" / "engine.db")
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()


async def test_a_call_that_sleeps_before_a_retry_does_not_hold_up_a_drain(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(20))

    def answer(request):
        return Answer(status=503, code="busy", message="later")

    async with scripted(answer) as (server, _):
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 4)
        async with engine_running(*words, cwd=tmp_path) as process:
            await until(lambda: server.stats.requests >= 4)
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(10):
                await process.wait()
    assert process.returncode == 130


PREPARES = """
import time
from pathlib import Path

from engine import SolverStrategy


class Prepares(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent=""):
        super().__init__(model, agent)
        Path("preparing").touch()
        while not Path("go").exists():
            time.sleep(0.01)

    def evaluation_name(self):
        return "prepares"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        return bool(await self.start_inference_session().run_task(datum["input"] + " ="))
"""


async def test_a_signal_while_a_run_is_prepared_lets_no_request_leave(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(20))
    (tmp_path / "prepares.py").write_text(PREPARES)
    async with scripted(adds) as (server, _):
        words = ("run", "sums.jsonl", "prepares.py", "--model", f"{server.base_url}::m")
        async with engine_running(*words, cwd=tmp_path) as process:
            await until((tmp_path / "preparing").exists)
            process.send_signal(signal.SIGINT)
            assert "once more to abort" in (await process.stderr.receive()).decode()
            (tmp_path / "go").touch()
            with anyio.fail_after(20):
                await process.wait()
        assert (process.returncode, server.stats.requests) == (130, 0)
        ended = await engine(*words, cwd=tmp_path)
    assert ended.final == "Final score: 20/20 - 100.00%"


@pytest.mark.parametrize("command", ["check", "run"])
async def test_an_interrupt_before_anything_began_is_one_word(tmp_path, command):
    rows(tmp_path / "sums.jsonl", sums(2))
    (tmp_path / "stops.py").write_text("raise KeyboardInterrupt\n")
    bench = "[[benchmark]]\ndataset = 'sums.jsonl'\nsolver = 'stops.py'\nmodels = ['simulated::m']\n"
    (tmp_path / "bench.toml").write_text(bench)
    ended = await engine(command, "bench.toml", cwd=tmp_path)
    resume = "resume: python -m engine run bench.toml\n" if command == "run" else ""
    assert (ended.code, ended.out, ended.err) == (130, "", f"interrupted\n{resume}")


STUCK = """
import time
from pathlib import Path

Path("reading").touch()
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_run_that_is_stopped_before_it_began_says_how_to_go_on(tmp_path, number, code):
    rows(tmp_path / "sums.jsonl", sums(2))
    (tmp_path / "stuck.py").write_text(STUCK)
    words = ("run", "sums.jsonl", "stuck.py", "--model", "simulated::m", "--lmit", 3)  # looked at before anything else
    async with engine_running(*words, cwd=tmp_path) as process:
        await until((tmp_path / "reading").exists)
        process.send_signal(number)
        with anyio.fail_after(20):
            await process.wait()
        err = (await process.stderr.receive()).decode()
    assert process.returncode == code
    assert err == "interrupted\nresume: python -m engine run sums.jsonl stuck.py --model simulated::m --lmit 3\n"


SPINS = """
import time
from pathlib import Path

from engine import SolverStrategy


class Spins(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent=""):
        super().__init__(model, agent)

    def evaluation_name(self):
        return "spins"

    def compatible_datasets(self):
        return ["*"]

    def solve(self, datum):
        Path("solving").touch()
        time.sleep(60)
        return True
"""


async def test_an_abort_that_a_solver_holds_up_still_says_how_to_go_on(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(2))
    (tmp_path / "spins.py").write_text(SPINS)
    words = ("run", "sums.jsonl", "spins.py", "--model", "simulated::m")
    async with engine_running(*words, cwd=tmp_path) as process:
        await until((tmp_path / "solving").exists)
        process.send_signal(signal.SIGINT)
        err = (await process.stderr.receive()).decode()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            await process.wait()
        err += (await process.stderr.receive()).decode()
    assert process.returncode == 130
    assert "resume: python -m engine run sums.jsonl spins.py --model simulated::m" in err
