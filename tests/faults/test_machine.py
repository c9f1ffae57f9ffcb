"""A poor machine: few file descriptors, no terminal, a closed pipe, no locale; and a store with a million rows."""

from __future__ import annotations

import os
import pty
import resource
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.faults.chaos import chaos
from tests.support import SUM, command, engine, environment, rows, sums


def _words(folder: Path, url: str, tasks: int = 300) -> tuple[Any, ...]:
    return ("run", rows(folder / "sums.jsonl", sums(tasks)), *SUM, "--model", f"{url}::m")


async def _started(
    words: list[str], folder: Path, *, limit: int = 0, **more: str
) -> subprocess.CompletedProcess[bytes]:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    def work() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words,
            cwd=folder,
            env=environment(folder / "home", **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=90,
            check=False,
            preexec_fn=few_files if limit else None,
        )

    return await anyio.to_thread.run_sync(work)


async def test_few_file_descriptors_make_it_slower_and_nothing_else(tmp_path):
    async with chaos(delay_s=0.05) as endpoint:
        words = command(*_words(tmp_path, endpoint.base_url, 400), "--max_concurrent", 200)
        done = await _started(words, tmp_path, limit=64)
        requests, most = endpoint.requests, endpoint.most_in_flight
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert done.returncode == 0, said
    assert b"Final score: 400/400" in done.stdout
    assert requests == 400
    assert most == 32
    assert "only 64 files may be open here: 32 requests in flight at most, not 200" in said


async def test_a_reader_that_has_seen_enough_does_not_disturb_the_run(tmp_path):
    async with chaos() as endpoint:
        line = " ".join(f"'{word}'" for word in command(*_words(tmp_path, endpoint.base_url)))
        for reader in ("| head -1", "| true", ">&-", "2>&-", ">&- 2>&-", "2>&1 | head -1"):
            home = tmp_path / f"home{reader.count('-')}{len(reader)}"
            said, code = await _shell(f"{line} {reader}", tmp_path, home)
            assert "Traceback" not in said, (reader, said)
            assert code in (0, 1), (reader, code, said)
            with closing(sqlite3.connect(home / "engine.db")) as db:
                passed = db.execute("SELECT count(*) FROM tasks WHERE outcome = 'passed'").fetchone()[0]
            assert passed == 300, reader


async def _shell(line: str, folder: Path, home: Path) -> tuple[str, int]:
    """What was said on stderr, and the exit code of the first command."""
    code = folder / "code"
    script = f"({line.partition(' |')[0]}; echo $? > '{code}') {'|' if '|' in line else ''} {line.partition('|')[2]}"
    done = await _started(["bash", "-c", script], folder, ENGINE_HOME=str(home))
    return done.stderr.decode(), int(code.read_text())


@pytest.mark.parametrize(
    "more",
    [
        {"COLUMNS": "20"},
        {"LANG": "C", "LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["20-columns", "lang-c", "ascii"],
)
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
async def test_no_terminal_twenty_columns_or_no_locale_change_nothing(tmp_path, more, terminal):
    async with chaos(delay_s=0.02) as endpoint:
        words = command(*_words(tmp_path, endpoint.base_url))
        if terminal:
            code, said = await anyio.to_thread.run_sync(_on_a_terminal, words, tmp_path, more)
        else:
            done = await _started(words, tmp_path, **more)
            code, said = done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")
    assert "Traceback" not in said
    assert "Error" not in said, said
    assert code == 0, said
    assert "Final score: 300/300 - 100.00%" in said


def _on_a_terminal(words: list[str], folder: Path, more: dict[str, str]) -> tuple[int, str]:
    """Run it on a terminal of its own: the exit code, and all that was shown."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        words,
        cwd=folder,
        env=environment(folder / "home", TERM="xterm", **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = bytearray()
        with suppress(OSError):  # the end of a terminal is an error on Linux
            while piece := os.read(ours, 65536):
                said += piece
        os.close(ours)
        return process.wait(timeout=60), said.decode("utf-8", "replace")


MANY = """
import asyncio, resource, sys, time
from pathlib import Path
from engine.api import Engine
from engine.events import RunStarted

async def main(storage, data, model):
    ready = []
    async with (
        Engine(storage=storage, folder=Path.cwd()) as engine, asyncio.TaskGroup() as group, engine.events() as events
    ):
        async def listen():
            async for event in events:
                if isinstance(event, RunStarted):
                    ready.append(time.monotonic())
                    return
        listening = group.create_task(listen())
        began = time.monotonic()
        options = {"prompt": "{input}", "target": "{output}", "scorer": "number"}
        report = await engine.run(data, "TemplateSolver", model=model, options=options)
        await listening
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(ready[0] - began, peak, report.points, report.requests)

asyncio.run(main(*sys.argv[1:]))
"""


async def _resumed(folder: Path, storage: Path, data: Path, url: str) -> tuple[float, int, float, int]:
    """`(seconds until the run began, peak memory in MB, points, requests)`."""
    words = [sys.executable, "-c", MANY, f"sqlite:///{storage}", str(data), f"{url}::m"]
    done = await _started(words, folder)
    assert done.returncode == 0, done.stderr.decode()
    ready_s, peak, points, requests = done.stdout.split()
    return float(ready_s), int(peak), float(points), int(requests)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_million_finished_rows_are_resumed_in_seconds_and_little_memory(tmp_path):
    count, left = 1_000_000, 100
    data = tmp_path / "many.jsonl"
    with data.open("w") as file:
        file.writelines(f'{{"input": "{n} + 1", "output": "{n + 1}"}}\n' for n in range(count))
    small = rows(tmp_path / "few.jsonl", sums(left))
    storage, empty = tmp_path / "many.db", tmp_path / "few.db"
    async with chaos() as endpoint:
        url = endpoint.base_url
        _, usual, _, _ = await _resumed(tmp_path, empty, small, url)
        await engine(
            "run",
            data,
            *SUM,
            "--model",
            f"{url}::m",
            "--limit",
            1,
            "--set",
            f"storage.url=sqlite:///{storage}",
            cwd=tmp_path,
        )
        began = time.monotonic()
        with closing(sqlite3.connect(storage)) as db:
            _fill(db, count - left)
        print(f"rows made in {time.monotonic() - began:.0f} s, {storage.stat().st_size >> 20} MB")
        ready_s, peak, points, requests = await _resumed(tmp_path, storage, data, url)
    print(f"ready after {ready_s:.2f} s with {peak} MB at most, {peak - usual} MB more than a run of {left} rows")
    assert points == count
    assert requests == left
    assert ready_s < 5
    assert peak - usual < 60


def _fill(db: sqlite3.Connection, upto: int) -> None:
    """Finished tasks of the one run, as its first task is, up to this row."""
    columns = [row[1] for row in db.execute("PRAGMA table_info(tasks)")]
    copied = ", ".join("n" if name == "datum_index" else f"tasks.{name}" for name in columns)
    db.execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?) "
        f"INSERT INTO tasks ({', '.join(columns)}) SELECT {copied} FROM numbers, tasks WHERE tasks.datum_index = 0",
        (upto,),
    )
    db.execute("UPDATE runs SET status = 'open', ended_at = NULL")
    db.commit()
