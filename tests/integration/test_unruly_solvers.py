"""Solvers that do what no solver should: the task ends as errored, the others go on, and two Ctrl-C end everything."""

from __future__ import annotations

import signal

import anyio
import pytest

from tests.support import engine, engine_running, rows, sums

UNRULY = '''
import asyncio, time
from solvers import SolverStrategy

class Panic(BaseException):
    """As pyo3's PanicException: no Exception."""

class Unruly(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent="", how="panic"):
        super().__init__(model, agent)
        self.how, self.seen = how, 0
    def evaluation_name(self): return "unruly"
    def compatible_datasets(self): return ["*"]
    async def solve(self, datum):
        if datum["input"].startswith("5 "):
            if self.how == "panic": raise Panic("it broke \\x1b[31mred\\x00")
            if self.how == "group": raise BaseExceptionGroup("two", [asyncio.CancelledError(), ValueError("x")])
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        return True

class Stuck(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent=""): super().__init__(model, agent)
    def evaluation_name(self): return "stuck"
    def compatible_datasets(self): return ["*"]
    def solve(self, datum):
        print("here", flush=True)
        time.sleep(600)
'''


@pytest.mark.parametrize("how", ["panic", "group", "cancel"])
async def test_one_task_that_goes_wild_is_errored_and_the_others_are_done(tmp_path, how):
    (tmp_path / "unruly.py").write_text(UNRULY)
    words = ("run", rows(tmp_path / "sums.jsonl", sums(40)), "unruly.py:Unruly", "--model", "simulated::calculator")
    ended = await engine(*words, "--how", how, "--json", cwd=tmp_path)
    wild = sum(row["input"].startswith("5 ") for row in sums(40))
    assert wild
    assert ended.runs[0]["errored"] == wild, ended.err
    assert ended.runs[0]["passed"] == 40 - wild
    assert "Traceback" not in ended.err
    assert "\x1b[31m" not in ended.err, "a solver's error may hold what a model wrote"
    assert "\x00" not in ended.err


async def test_a_second_interrupt_ends_a_run_whose_solver_is_stuck_in_a_thread(tmp_path):
    (tmp_path / "unruly.py").write_text(UNRULY)
    words = ("run", rows(tmp_path / "sums.jsonl", sums(4)), "unruly.py:Stuck", "--model", "simulated::calculator")
    async with engine_running(*words, cwd=tmp_path) as process:
        assert process.stderr is not None
        said = b""
        while b"here" not in said:
            said += await process.stderr.receive()
        process.send_signal(signal.SIGINT)
        while b"once more to abort" not in said:
            said += await process.stderr.receive()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(30):
            await process.wait()
        assert process.returncode == 128 + signal.SIGINT
