"""Disks that are full, read-only or damaged: nothing paid is lost, and nothing is paid where it could not be kept."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.faults.chaos import Chaos, chaos
from tests.support import SUM, Ended, command, engine, engine_running, environment, rows, sums

FILE = "disk/bench.db"
ROOM = 700_000
"""Bytes: enough for some hundred tasks, and not for all."""


def _mount(folder: Path, *options: str) -> bool:
    words = ("mount", "-t", "tmpfs", *options, "tmpfs", str(folder))
    return os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for a disk; what was mounted there is unmounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    while os.path.ismount(folder):
        subprocess.run(("umount", "-l", str(folder)), check=True)


class Full:
    """A disk that is full at some point, for an engine process; `make_room` lets it go on."""

    def __init__(self, disk: Path, kind: str) -> None:
        self.disk, self.kind, self.pid = disk, kind, 0

    def prepare(self) -> None:
        """Runs in the engine's process before it begins."""
        if self.kind == "file-size-limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))

    def make_room(self) -> None:
        if self.kind == "file-size-limit":
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            subprocess.run(("mount", "-o", "remount,size=100m", str(self.disk)), check=True)


@pytest.fixture(params=["file-size-limit", "full-disk"])
def full(disk: Path, request: pytest.FixtureRequest) -> Full:
    """A limit on the size of files, which works for everybody; and, where one may mount, a small disk as well."""
    kind = request.param if request.param == "file-size-limit" or _mount(disk, "-o", "size=2m") else "file-size-limit"
    return Full(disk, kind)


async def _run(folder: Path, endpoint: Chaos, full: Full, *, wait_s: float, then_room: bool) -> tuple[Ended, float]:
    words = command(*_words(folder, endpoint, 1500), "--set", f"storage.full_wait_s={wait_s}", "--max_concurrent", 16)
    process = subprocess.Popen(  # noqa: ASYNC220 - the limit is set between fork and exec
        words,
        cwd=folder,
        env=environment(folder / "home"),
        preexec_fn=full.prepare,  # noqa: PLW1509
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    full.pid, began = process.pid, time.monotonic()
    with process:
        try:
            waited = b""
            if then_room:
                waited = await anyio.to_thread.run_sync(_until_it_waits, process)
                stopped_at = endpoint.requests
                await anyio.sleep(0.5)
                assert endpoint.requests - stopped_at <= 2 * 16, "nothing more is bought than what is open"
                full.make_room()
            out, err = await anyio.to_thread.run_sync(process.communicate)
        finally:
            process.kill()
    return Ended(process.returncode, out.decode(), (waited + err).decode()), time.monotonic() - began


def _until_it_waits(process: subprocess.Popen[bytes]) -> bytes:
    said = b""
    assert process.stderr is not None
    while b"the store waits" not in said and (line := process.stderr.readline()):
        said += line
    assert b"the store waits" in said, said.decode()
    return said


def _words(folder: Path, endpoint: Chaos, tasks: int) -> tuple[Any, ...]:
    data = rows(folder / "sums.jsonl", sums(tasks))
    model = f"{endpoint.base_url}::m"
    return ("run", data, *SUM, "--model", model, "--set", f"storage.url=sqlite:///{FILE}", "--json")


async def test_a_run_waits_while_the_disk_is_full_says_so_and_goes_on(tmp_path, full):
    async with chaos() as endpoint:
        ended, _ = await _run(tmp_path, endpoint, full, wait_s=60, then_room=True)
        requests = endpoint.requests
    assert ended.code == 0, ended.err
    assert ended.runs[0]["passed"] == requests == 1500, "nothing is lost, and nothing is bought twice"
    assert "its disk is full" in ended.err or "is on a disk that fails" in ended.err
    assert "nothing is lost, trying again" in ended.err
    assert FILE.rsplit("/", maxsplit=1)[-1] in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
async def test_a_log_that_cannot_be_written_disturbs_nothing_and_is_not_told_at_length(tmp_path):
    logs = tmp_path / "home" / "logs"
    logs.mkdir(parents=True)
    today = datetime.now(UTC)
    for day in (today, today + timedelta(days=1)):
        (logs / f"{day:%Y-%m-%d}.jsonl").symlink_to("/dev/full")
    (tmp_path / FILE).parent.mkdir()
    async with chaos() as endpoint:
        ended = await engine(*_words(tmp_path, endpoint, 20), "-v", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "run started" in ended.err, "what goes to stderr goes on"
    assert "Logging error" not in ended.err
    assert "Traceback" not in ended.err


async def test_a_disk_that_stays_full_ends_the_run_with_5_and_what_was_told_as_finished_is_there(tmp_path, full):
    async with chaos() as endpoint:
        ended, took_s = await _run(tmp_path, endpoint, full, wait_s=2, then_room=False)
        assert ended.code == 5, ended.err
        assert 2 <= took_s < 20
        assert endpoint.requests < 1500
        assert "Traceback" not in ended.err
        with closing(sqlite3.connect(tmp_path / FILE)) as db:
            kept = db.execute("SELECT count(*) FROM tasks").fetchone()[0]
            bought = db.execute("SELECT count(*) FROM completions").fetchone()[0]
        if full.kind != "file-size-limit":
            full.make_room()
        sent = endpoint.requests
        again = await engine(*_words(tmp_path, endpoint, 1500), cwd=tmp_path)
        print(f"{kept} tasks and {bought} completions kept of {sent} requests; {endpoint.requests} in all")
        assert kept > 0
        assert again.runs[0]["passed"] == 1500
        assert endpoint.requests - sent == 1500 - bought, "what was kept is not bought again"
        assert sent - bought <= 2 * 16, "no more than what was open"


# Before the first request -----------------------------------------------------------------------------------------


async def _made(folder: Path, endpoint: Chaos) -> Path:
    """A database with a finished run."""
    ended = await engine(*_words(folder, endpoint, 300), cwd=folder)
    assert ended.code == 0, ended.err
    return folder / FILE


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")


def _garbage_pages(file: Path) -> None:
    """Half of the pages hold noise, and the last process did not leave."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE nodes SET expires_at = 1")
        db.commit()
    body = bytearray(file.read_bytes())
    for page in range(4, len(body) // 8192, 2):
        body[page * 8192 : page * 8192 + 8192] = b"\xa5" * 8192
    file.write_bytes(body)


def _other_program(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs (a)")
        db.commit()


BROKEN = {
    "newer": (_newer, "has schema 99"),
    "pages": (_garbage_pages, "is damaged"),
    "text": (lambda file: file.write_text("not a database, and long enough to be looked at " * 50), "is no SQLite"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:20_000]), "is damaged"),
    "other": (_other_program, "belongs to another program"),
    "folder": (lambda file: (file.unlink(), file.mkdir()), "is a folder"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_database_that_cannot_be_used_is_refused_before_the_first_request(tmp_path, disk, name):
    damage, says = BROKEN[name]
    async with chaos() as endpoint:
        file = await _made(tmp_path, endpoint)
        sent = endpoint.requests
        damage(file)
        before = file.read_bytes() if file.is_file() else b""
        ended = await engine(*_words(tmp_path, endpoint, 400), cwd=tmp_path)
        assert ended.code == 5, ended.err
        assert says in ended.err
        assert "bench.db" in ended.err
        assert "hint:" in ended.err
        assert "Traceback" not in ended.err
        assert endpoint.requests == sent
        assert (file.read_bytes() if file.is_file() else b"") == before, "it is left as it was"


def _read_only(disk: Path, kind: str) -> None:
    if os.geteuid() == 0:  # permissions do not bind it
        subprocess.run(("mount", "-o", "remount,ro", str(disk)), check=True)
    elif kind == "folder":
        disk.chmod(0o555)
    else:
        (disk / "bench.db").chmod(0o444)


@pytest.mark.parametrize("kind", ["folder", "file"])
async def test_a_database_that_cannot_be_written_is_refused_before_the_first_request(tmp_path, disk, kind):
    if os.geteuid() == 0 and not _mount(disk):
        disk.rmdir()
        disk.symlink_to("/proc")  # nobody may write there
    async with chaos() as endpoint:
        if not disk.is_symlink():
            if kind == "file":
                await _made(tmp_path, endpoint)
            _read_only(disk, kind)
        sent = endpoint.requests
        ended = await engine(*_words(tmp_path, endpoint, 400), cwd=tmp_path)
        disk.chmod(0o755) if os.geteuid() else None
    assert ended.code == 5, ended.err
    assert "cannot be opened or written" in ended.err
    assert "check who may write" in ended.err
    assert "Traceback" not in ended.err
    assert endpoint.requests == sent


@pytest.mark.parametrize("kind", ["folder", "file"])
async def test_what_writes_nothing_reads_a_database_that_cannot_be_written(tmp_path, disk, kind):
    if os.geteuid() == 0 and not _mount(disk):
        pytest.skip("nothing can be mounted here")
    async with chaos() as endpoint:
        await _made(tmp_path, endpoint)
        _read_only(disk, kind)
        words = _words(tmp_path, endpoint, 400)
        plan = await engine("plan", *words[1:], cwd=tmp_path)
        explained = await engine("cache", "explain", *words[1:], cwd=tmp_path)
        others = [await engine(*each, cwd=tmp_path) for each in (("cache", "stats"), ("cache", "verify"))]
        disk.chmod(0o755) if os.geteuid() else None
    assert [each.code for each in (plan, explained, *others)] == [0] * 4, (plan, explained, others)
    assert '"basis": 300' in plan.out


async def test_a_doctor_tells_a_home_that_cannot_be_made(tmp_path):
    ended = await engine("doctor", "--json", cwd=tmp_path, ENGINE_HOME="/proc/nowhere")
    (home,) = (each for each in json.loads(ended.out)["findings"] if each["topic"] == "home")
    assert (ended.code, home["ok"]) == (5, False)


HOLDS = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(600)
"""


async def test_a_process_that_is_stopped_while_it_holds_the_file_is_waited_for_aloud(tmp_path):
    async with chaos(delay_s=0.02) as endpoint:
        words = (*_words(tmp_path, endpoint, 300), "--max_concurrent", 4)
        async with engine_running(*words, cwd=tmp_path) as process:
            with anyio.fail_after(60):
                while endpoint.requests < 50:
                    await anyio.sleep(0.01)
            holder = subprocess.Popen((sys.executable, "-c", HOLDS, str(tmp_path / FILE)), stdout=subprocess.PIPE)  # noqa: ASYNC220
            with holder:
                assert holder.stdout is not None
                await anyio.to_thread.run_sync(holder.stdout.readline)
                holder.send_signal(signal.SIGSTOP)
                said = b""
                with anyio.fail_after(30):
                    while b"is locked by another program; waiting" not in said:
                        said += await process.stderr.receive()
                stopped_at = endpoint.requests
                holder.kill()
            with anyio.fail_after(60):
                out = b"".join([piece async for piece in process.stdout])
                await process.wait()
        requests = endpoint.requests
    ended = Ended(process.returncode, out.decode(), said.decode())
    assert ended.code == 0
    assert ended.runs[0]["passed"] == requests == 300, "nothing is lost, and nothing is bought twice"
    assert stopped_at < 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("what", ["run", "table"])
async def test_results_that_cannot_be_printed_are_told_in_one_line(tmp_path, what):
    words = ("run", rows(tmp_path / "sums.jsonl", sums(3)), *SUM, "--model", "simulated::m")
    typed = words if what == "run" else ("evaluation", "table")
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = await anyio.run_process(
            command(*typed), cwd=tmp_path, env=environment(tmp_path / "home"), check=False, stdout=full
        )
    finally:
        os.close(full)
    (said,) = (line for line in done.stderr.decode().splitlines() if line.startswith("error: "))
    assert done.returncode == 5
    assert said == "error: results cannot be written to stdout: No space left on device"
    assert "Traceback" not in done.stderr.decode()
