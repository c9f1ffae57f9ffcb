"""What a hostile program gains in the sandbox: nothing; and the next honest one passes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.sandbox import Level, Result, Sandbox
from tests.integration import sandbox_attacks_further as further
from tests.integration.sandbox_attacks import ATTACKS, FORGERIES, X32, attack_source

ROOT = Path(__file__).resolve().parents[2]
KEY = "canary-key-51d1a7"
HONEST = "def add(a, b): return a + b"
TESTS = ("assert add(2, 3) == 5", "assert add(1000000, 234567) == 1234567", "assert add(-1, 1) == 0")
LEVELS: dict[str, dict[str, Any]] = {
    "fast": {"bubblewrap": False},
    "fast on an older kernel": {"bubblewrap": False, "landlock_abi": 1},
    "fast on a kernel without truncate rights": {"bubblewrap": False, "landlock_abi": 2},
} | ({"strong": {}} if shutil.which("bwrap") else {})
BUSY = """
import asyncio, sys
from engine.sandbox import Sandbox
async def main():
    async with Sandbox(bubblewrap=sys.argv[1] == "strong", processes=3) as sandbox:
        print(sandbox.level, flush=True)
        bodies = ("while True: pass", "__import__('time').sleep(100)", "[bytearray(1 << 20) for _ in range(500)]; input() or 1")
        await asyncio.gather(*(sandbox.judge(
            solution=f"def f():\\n    {body}", tests=["f()"], entry_points=["f"]) for body in bodies for _ in range(2)))
asyncio.run(main())
"""


@contextmanager
def targets(folder: Path) -> Iterator[dict[str, Any]]:
    """What attacks aim at; in the end, all of it must be as it was."""
    canary = folder / "canary"
    canary.write_text("canary")
    before = canary.stat()
    abstract = f"\0engine-sandbox-{os.getpid()}"
    with ExitStack() as stack:
        listeners = []
        addresses: tuple[tuple[int, int, Any], ...] = (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, abstract),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")),
            (socket.AF_UNIX, socket.SOCK_DGRAM, abstract + "-datagrams"),
        )
        for family, kind, address in addresses:
            listener = stack.enter_context(socket.socket(family, kind))
            listener.bind(address)
            listener.setblocking(False)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            listeners.append(listener)
        yield {
            "key": KEY,
            "canary": str(canary),
            "folder": str(folder),
            "engine": os.getpid(),
            "port": listeners[0].getsockname()[1],
            "abstract": abstract,
            "socket": str(folder / "socket"),
            "datagrams": abstract + "-datagrams",
        }
        for listener in listeners[:3]:
            with pytest.raises(BlockingIOError):
                listener.accept()
        with pytest.raises(BlockingIOError):
            listeners[3].recv(1)
    after = canary.stat()
    assert canary.read_text() == "canary"
    assert (before.st_mode, before.st_mtime, before.st_uid, before.st_nlink) == (
        after.st_mode,
        after.st_mtime,
        after.st_uid,
        after.st_nlink,
    )
    assert sorted(path.name for path in folder.iterdir()) == ["canary", "socket"]


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _more(programs: dict[str, str], level: str) -> dict[str, str]:
    """The further programs, where the level is one of this machine's; older kernels are tried with the first ones."""
    return {} if " on " in level else {name: each for name, each in programs.items() if name not in further.SLOW}


async def honest_passes(sandbox: Sandbox) -> bool:
    return (await sandbox.judge(solution=HONEST, tests=TESTS, entry_points=["add"])).passed


@pytest.mark.parametrize("level", LEVELS)
async def test_no_attack_gains_anything_and_the_next_honest_program_passes(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    gained: dict[str, Any] = {}
    sandbox = Sandbox(processes=1, idle_limit_s=1.0, **LEVELS[level])
    already = descendants()
    with targets(tmp_path) as target:
        async with sandbox:
            assert sandbox.level == level.split(maxsplit=1)[0]
            warm = {process.pid for process in descendants()}
            for name, body in {**ATTACKS, **_more(further.ATTACKS, level), "the x32 numbers": X32}.items():
                tests = [f"gained = attack({ {**target, 'own_tmp': level == 'strong'}!r})", "assert not gained, gained"]
                verdict = await sandbox.judge(
                    solution=attack_source(body), tests=tests, entry_points=["attack"], cpu_limit_s=0.4
                )
                if verdict.result is Result.WRONG or verdict.result.ours:
                    gained[name] = verdict
                assert await honest_passes(sandbox), name
                assert {process.pid for process in descendants()} == warm, name
    assert gained == {}
    assert psutil.wait_procs([each for each in descendants() if each not in already], timeout=5)[1] == []


async def test_the_classes_of_result_tell_attacks_apart() -> None:
    expected = {
        "a list of 1 TB": Result.MEMORY,
        "2 GB piece by piece": Result.MEMORY,
        "endless loop": Result.CPU_LIMIT,
        "ignoring all signals": Result.CPU_LIMIT,
        "endless output": Result.CPU_LIMIT,
        "sleep": Result.WALL_LIMIT,
        "closing what it has": Result.DIED,
        "memory in many processes": Result.FORBIDDEN,
    }
    async with Sandbox(processes=2, idle_limit_s=1.0) as sandbox:
        found = {
            name: (
                await sandbox.judge(
                    solution=attack_source(ATTACKS[name]),
                    tests=["attack({})"],
                    entry_points=["attack"],
                    # Filling memory takes CPU time of its own; which limit comes first must not be chance.
                    cpu_limit_s=20.0 if result is Result.MEMORY else 0.5,
                )
            ).result
            for name, result in expected.items()
        }
    assert found == expected


@pytest.mark.parametrize("level", LEVELS)
async def test_no_forgery_passes_and_the_next_honest_program_does(level: str) -> None:
    passed, ours = [], []
    async with Sandbox(processes=1, idle_limit_s=1.0, **LEVELS[level]) as sandbox:
        for name, source in {**FORGERIES, **_more(further.FORGERIES, level)}.items():
            verdict = await sandbox.judge(solution=source, tests=TESTS, entry_points=["add"], cpu_limit_s=1.0)
            passed += [name] if verdict.passed else []
            ours += [(name, verdict)] if verdict.result.ours else []
            assert await honest_passes(sandbox), name
    assert passed == []
    assert ours == []


@pytest.mark.parametrize("level", ["fast", "strong"] if "strong" in LEVELS else ["fast"])
def test_nothing_is_left_when_the_engine_is_killed(level: str) -> None:
    engine = subprocess.Popen(
        [sys.executable, "-c", BUSY, level],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with engine:
        assert engine.stdout is not None
        assert engine.stdout.readline().decode().strip() == level
        started = psutil.Process(engine.pid).children(recursive=True)
        while len(started) < 6:
            started = psutil.Process(engine.pid).children(recursive=True)
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    assert psutil.wait_procs(started, timeout=5)[1] == []


async def test_what_was_bought_by_a_dead_zygote_is_judged_by_another() -> None:
    async with Sandbox(processes=1, bubblewrap=False) as sandbox:
        assert sandbox.level is Level.FAST
        for process in descendants():
            process.kill()
        assert await honest_passes(sandbox)


@pytest.mark.parametrize("level", LEVELS)
async def test_an_honest_program_passes_whatever_it_leaves_behind(level: str) -> None:
    async with Sandbox(processes=1, idle_limit_s=1.0, **LEVELS[level]) as sandbox:
        warm = {process.pid for process in descendants()}
        failed = {}
        for name, source in further.HONEST_WITH_LEFTOVERS.items():
            verdict = await sandbox.judge(solution=source, tests=TESTS, entry_points=["add"], cpu_limit_s=2.0)
            failed.update({} if verdict.passed else {name: verdict})
            assert {process.pid for process in descendants()} == warm, name
    assert failed == {}


@pytest.mark.long
@pytest.mark.parametrize("level", LEVELS)
async def test_what_is_never_quite_idle_ends_with_the_limit_of_all_time(level: str) -> None:
    async with Sandbox(processes=2, idle_limit_s=1.0, **LEVELS[level]) as sandbox:
        for name in further.SLOW:
            attack = further.ATTACKS.get(name)
            source = attack_source(attack) if attack else further.FORGERIES[name]
            entry = "attack" if attack else "add"
            call = "attack({})" if attack else TESTS[0]
            verdict = await sandbox.judge(solution=source, tests=[call], entry_points=[entry], cpu_limit_s=0.4)
            assert verdict.result is Result.WALL_LIMIT, name
            assert await honest_passes(sandbox), name
