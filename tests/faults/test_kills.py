"""`kill -9` at any moment, and many processes on one file: nothing acknowledged is lost, nothing is bought twice."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.faults.chaos import Chaos, chaos
from tests.support import environment, rows, sums

SCRIPT = Path(__file__).with_name("acknowledging.py")


def _command(folder: Path, acks: Path, data: Path, model: str, *, storage: str, max_concurrent: int) -> dict[str, Any]:
    how = {"storage": storage, "max_concurrent": max_concurrent}
    return {
        "command": [sys.executable, str(SCRIPT), str(acks), str(data), model, json.dumps(how)],
        "cwd": folder,
        "env": environment(folder / "home"),
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }


async def _to_the_end(**words: Any) -> tuple[float, float]:
    """`(passed, slowest write in seconds)`."""
    done = await anyio.run_process(words.pop("command"), check=False, **words)
    assert done.returncode == 0, done.stderr.decode()
    assert b"locked" not in done.stderr
    name, passed, slowest_s = done.stdout.decode().split()
    assert name == "done"
    return float(passed), float(slowest_s)


def _acknowledged(acks: Path) -> dict[tuple[str, int], str]:
    lines = [line.split(" ") for line in acks.read_text().splitlines()] if acks.exists() else []
    return {(run, int(index)): outcome for run, index, outcome in lines}


def _stored(file: Path) -> tuple[dict[tuple[str, int], str], int]:
    """Outcomes of tasks, and how many completions."""
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        tasks = {
            (run, index): outcome
            for run, index, outcome in db.execute("SELECT run_id, datum_index, outcome FROM tasks")
        }
        return tasks, db.execute("SELECT count(*) FROM completions").fetchone()[0]


async def _killed_again_and_again(folder: Path, *, rounds: int, tasks: int, seed: int) -> None:
    """Each round ends by `kill -9` after a random time; the last one runs to its end."""
    data, acks, file = rows(folder / "sums.jsonl", sums(tasks)), folder / "acks", folder / "bench.db"
    rng, lost, wasted = random.Random(seed), 0, []
    async with chaos(delay_s=0.02) as endpoint:
        words = _command(folder, acks, data, f"{endpoint.base_url}::m", storage=f"sqlite:///{file}", max_concurrent=4)
        bought = 0
        for number in range(rounds):
            before = endpoint.requests
            await _kill_one(words, endpoint, rng, early=number % 5 == 4)
            if not file.exists():
                continue
            stored, completions = _stored(file)
            known = _acknowledged(acks)
            lost += sum(stored.get(key) != outcome for key, outcome in known.items())
            wasted.append(endpoint.requests - before - (completions - bought))
            bought = completions
        left = tasks - len(_stored(file)[0])
        passed, _ = await _to_the_end(**words)
        stored, completions = _stored(file)
    print(
        f"{rounds} kills, {len(_acknowledged(acks))} acknowledged, {lost} lost; {endpoint.requests} requests for "
        f"{tasks} tasks, in flight at the kills {sum(wasted)} (most {max(wasted)}); {left} left for the last round"
    )
    assert lost == 0
    assert passed == tasks, "the score is that of an undisturbed run"
    assert len(stored) == completions == tasks
    assert endpoint.requests == tasks + sum(wasted), "nothing durable is bought again"
    assert max(wasted) <= 4, "no more than the calls in flight"
    assert left > 0, "the kills came before the end"


async def _kill_one(words: dict[str, Any], endpoint: Chaos, rng: random.Random, *, early: bool) -> None:
    """Start it, and kill it while it starts, or a while after its first request."""
    words = dict(words)
    before = endpoint.requests
    process = await anyio.open_process(words.pop("command"), **words)
    async with process:
        if not early:
            with anyio.fail_after(60):
                while endpoint.requests == before:
                    await anyio.sleep(0.002)
        await anyio.sleep(rng.uniform(0, 1.0 if early else 0.3))
        assert process.returncode is None, (await process.stderr.receive()).decode()
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_kills_lose_nothing_that_was_acknowledged(tmp_path):
    await _killed_again_and_again(tmp_path, rounds=6, tasks=400, seed=1)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_sixty_kills_lose_nothing_that_was_acknowledged(tmp_path):
    await _killed_again_and_again(tmp_path, rounds=60, tasks=2500, seed=2)


async def _side_by_side(folder: Path, files: list[Path], *, max_concurrent: int) -> tuple[list[float], float, Chaos]:
    slowest, passed = [], []
    async with chaos(delay_s=0.005) as endpoint, anyio.create_task_group() as group:

        async def one(number: int, data: Path) -> None:
            words = _command(
                folder,
                folder / f"acks{number}",
                data,
                f"{endpoint.base_url}::m",
                storage=f"sqlite:///{folder / 'bench.db'}",
                max_concurrent=max_concurrent,
            )
            solved, slowest_s = await _to_the_end(**words)
            passed.append(solved)
            slowest.append(slowest_s)

        for number, data in enumerate(files):
            group.start_soon(one, number, data)
    return passed, max(slowest), endpoint


async def test_four_processes_with_runs_of_their_own_share_one_file(tmp_path):
    files = [
        rows(
            tmp_path / f"sums{n}.jsonl", [{"input": f"{n}0000 + {k}", "output": str(n * 10000 + k)} for k in range(300)]
        )
        for n in range(1, 5)
    ]
    passed, slowest_s, endpoint = await _side_by_side(tmp_path, files, max_concurrent=16)
    print(f"4 processes, 1200 tasks: worst wait for a commit {slowest_s:.3f} s")
    assert passed == [300] * 4
    assert endpoint.requests == 1200
    assert slowest_s < 1.0


async def test_eight_processes_on_one_run_do_every_task_once(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(800))
    passed, slowest_s, endpoint = await _side_by_side(tmp_path, [data] * 8, max_concurrent=4)
    print(f"8 processes, 800 tasks: worst wait for a commit {slowest_s:.3f} s")
    done = [key for number in range(8) for key in _acknowledged(tmp_path / f"acks{number}")]
    assert passed == [800] * 8, "each of them reports the whole run"
    assert len(done) == len(set(done)) == 800
    assert endpoint.requests == 800
    assert slowest_s < 1.0
