"""Where there is no sandbox, a container that the user names is one: `--container 'docker run --rm -i ...'`.

No container runs in tests. A command that gives its program an empty environment stands for one: what is said over
standard streams, and what becomes of it, is the same.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from engine.errors import SolverError
from engine.sandbox import Level, Result, Sandbox
from tests.integration.sandbox_attacks import FORGERIES
from tests.integration.sandbox_attacks_further import FORGERIES as FURTHER
from tests.integration.sandbox_attacks_further import SLOW
from tests.support import ROOT, engine, rows, scripted

HOME = Path(os.path.realpath(sys.executable)).parent
CONTAINER = f"env -i PATH={HOME}:/usr/bin:/bin"
TESTS = ("assert add(2, 3) == 5", "assert add(1000000, 234567) == 1234567", "assert add(-1, 1) == 0")
HONEST = "def add(a, b): return a + b"
ROW = {
    "task_id": "x/0",
    "prompt": 'def add(a, b):\n    """The sum."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
}
BUSY = """
import asyncio, sys
from engine.sandbox import Sandbox
async def main():
    async with Sandbox(container=sys.argv[1], processes=2) as sandbox:
        print(sandbox.level, flush=True)
        await asyncio.gather(*(sandbox.judge(solution="def f():\\n    while True: pass", tests=["f()"], entry_points=["f"]) for _ in range(2)))
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _python3_is_new_enough() -> None:
    if not (HOME / "python3").exists():
        pytest.fail("beside the interpreter there is no python3")


async def test_a_program_is_judged_in_the_container_from_the_command_line_and_its_level_is_kept(tmp_path: Path) -> None:
    file = rows(tmp_path / "humaneval.jsonl", [ROW, {**ROW, "task_id": "x/1", "prompt": ROW["prompt"] + "# 2\n"}])
    async with scripted(lambda request: "```python\ndef add(a, b):\n    return a + b\n```") as (server, _):
        words = ("run", file, "HumanEvalSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, "--container", CONTAINER, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.runs[0]["passed"] == 2
    with closing(sqlite3.connect(tmp_path / "home" / "engine.db")) as db:
        assert {json.loads(info)["sandbox"] for (info,) in db.execute("select info from tasks")} == {"container"}


async def test_no_forgery_passes_in_a_container_and_limits_hold() -> None:
    async with Sandbox(container=CONTAINER, processes=1, idle_limit_s=1.0) as sandbox:
        assert sandbox.level is Level.CONTAINER
        passed = []
        for name, source in {**FORGERIES, **FURTHER}.items():
            if name not in SLOW:
                verdict = await sandbox.judge(solution=source, tests=TESTS, entry_points=["add"], cpu_limit_s=0.5)
                passed += [name] if verdict.passed or verdict.result.ours else []
        endless = await sandbox.judge(
            solution="def add(a, b):\n    while True: pass", tests=TESTS, entry_points=["add"], cpu_limit_s=0.3
        )
        honest = await sandbox.judge(solution=HONEST, tests=TESTS, entry_points=["add"])
    assert passed == []
    assert (endless.result, honest.passed) == (Result.CPU_LIMIT, True)


async def test_a_container_that_dies_is_replaced() -> None:
    async with Sandbox(container=CONTAINER, processes=1) as sandbox:
        for process in psutil.Process().children():
            process.kill()
        assert (await sandbox.judge(solution=HONEST, tests=TESTS, entry_points=["add"])).passed


def test_nothing_is_left_in_a_container_when_the_engine_is_killed() -> None:
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", BUSY, CONTAINER], env=own, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline().decode().strip() == "container"
        started = psutil.Process(killed.pid).children(recursive=True)
        while len(started) < 8:
            started = psutil.Process(killed.pid).children(recursive=True)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert psutil.wait_procs(started, timeout=5)[1] == []


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ("no-such-program run", "could not be started"),
        ("echo hello", "answers something else"),
        ("false", "ended without a word"),
        ("sh -c 'echo there is no image >&2; exit 1'", "there is no image"),
        ("docker 'run", "No closing quotation"),
    ],
)
async def test_a_command_that_is_no_container_is_told_by_what_it_said(container: str, said: str) -> None:
    with pytest.raises(SolverError, match=said) as raised:
        await Sandbox(container=container).open()
    assert "container command" in raised.value.message
