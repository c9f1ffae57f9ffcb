"""Bodies without end, through the whole engine: the task ends as errored, with its class, and memory stays small."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from tests import servers as s
from tests.support import SUM, command, environment, rows, sums

MOST_MB = 60


async def _models_or(connection: s.Connection, script: s.Script) -> bool | None:
    if connection.method == "GET":
        await connection.write(s.http(b'{"data": []}'))
        return True
    return await script(connection)


async def _peak(folder: Path, script: s.Script, *more: object) -> tuple[int, str, str]:
    """`(peak of resident memory in MB, stdout, stderr)` of a run of 64 tasks, all in flight at once."""
    data = rows(folder / "sums.jsonl", sums(64))
    async with s.fault_server({"v1": lambda connection: _models_or(connection, script)}) as server:
        limits = ("--set", "engine.attempt_timeout_s=1.5", "--set", "engine.max_attempts=2", "--json", "--force")
        provider = ("--set", f"providers.p.base_url={server.url('v1')}")
        words = command("run", data, *SUM, "--model", "p::m", *provider, *limits, *more)
        process = await anyio.open_process(
            words, cwd=folder, env=environment(folder / "home"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        peak, out, err = 0, bytearray(), bytearray()
        async with process, anyio.create_task_group() as group:
            group.start_soon(_collect, process.stdout, out)
            group.start_soon(_collect, process.stderr, err)
            with anyio.fail_after(60):
                while process.returncode is None:
                    peak = max(peak, _rss(process.pid))
                    await anyio.sleep(0.02)
    return peak // 2**20, out.decode(), err.decode()


async def _collect(stream: Any, into: bytearray) -> None:
    async for piece in stream:
        into += piece


def _rss(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.NoSuchProcess:
        return 0


BODIES: dict[str, tuple[s.Script, str]] = {
    "300-MB": (s.huge, "too_large"),
    "gzip-bomb": (s.gzip_bomb(), "too_large"),
    "endless": (s.endless, "too_large"),
    "endless-error": (s.endless_error, "server"),
    "drip": (s.drip, "timeout"),
    "hang-in-body": (s.hang_in_body, "timeout"),
}


async def _endless_events(connection: s.Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = s.chunk("x" * 60_000)
    while True:
        await connection.write(b"%x\r\n%s\r\n" % (len(piece), piece))


STREAMS: dict[str, tuple[s.Script, str]] = {
    "endless-events": (_endless_events, "too_large"),
    "stall": (s.stream_stall, "timeout"),
}


@pytest.mark.parametrize("name", [*BODIES, *STREAMS])
async def test_a_body_without_end_ends_its_task_and_not_the_engine(tmp_path, name):
    script, fault = (BODIES | STREAMS)[name]
    how = ("--max_concurrent", 64, *(("--set", "providers.p.stream=true") if name in STREAMS else ()))
    usual, _, _ = await _peak(tmp_path, s.said(s.completion("The answer is 1.")), *how)
    peak, out, err = await _peak(tmp_path, script, *how)
    print(f"{name}: {peak - usual} MB more than a usual run of {usual} MB")
    assert '"errored": 64' in out, err
    assert f"call/{fault}" in err
    assert "Traceback" not in err
    assert peak - usual < MOST_MB
