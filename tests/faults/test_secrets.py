"""A canary key through every path: it is in the Authorization header and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from tests import servers as s
from tests.support import command, environment, rows, sums

KEY = "canary-7Qf3mZx0Lr8KtBvW2yNp"
"""No prefix by which it could be known as a key."""

# The openai package's own debug log holds the headers of replies; nothing that the engine writes does.
SPY = """
import logging, os, subprocess, sys
logging.basicConfig(level="DEBUG" if "http" in os.environ["CLIENT"] else "INFO", stream=sys.stderr)
from solvers import SolverStrategy

class Spy(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent=""):
        super().__init__(model, agent)
    def evaluation_name(self): return "spy"
    def compatible_datasets(self): return ["sums"]
    async def solve(self, datum):
        if datum["input"].startswith("1 "):
            raise RuntimeError(f"what I can see: {vars(self)!r} {self.start_inference_session('x')!r}")
        text = await self.start_inference_session("x").run_task(datum["input"])
        return text == datum["output"], {"text": str(text)}
"""


def _echo(where: str) -> s.Script:
    """A server that gives the key back to whoever sent it, in the way that `where` names."""

    async def script(connection: s.Connection) -> bool:
        key = connection.headers.get("authorization", "").removeprefix("Bearer ")
        echo, marked = f"you sent {key}", f"x-request-id: {key}\r\nx-key: {key}\r\n"
        if connection.method == "GET":
            await connection.write(s.http(json.dumps({"data": [{"id": "m"}]}).encode(), headers=marked))
        elif where == "headers":
            await connection.write(s.http(json.dumps(s.completion("1")).encode(), headers=marked))
        elif where == "answer":
            await connection.write(s.http(json.dumps(s.completion(echo, model=key)).encode()))
        elif where == "redirect":
            await connection.write(
                s.http(b"", status="302 Found", headers=f"Location: http://u:{key}@other.invalid/?k={key}\r\n")
            )
        elif where == "error-field":
            await connection.write(s.http(json.dumps({"error": {"message": echo, "code": key}}).encode()))
        elif where == "malformed":
            await connection.write(s.http(f'{{"choices": {key}'.encode()))
        elif where == "wrong-type":
            await connection.write(s.http(json.dumps({"choices": [{"message": {"content": {key: key}}}]}).encode()))
        else:
            error = {"error": {"message": echo, "type": key, "code": key, "param": key}}
            await connection.write(s.http(json.dumps(error).encode(), status=where, headers=marked))
        return True

    return script


WHERE = (
    "401 No",
    "400 Bad",
    "429 Slow",
    "500 No",
    "headers",
    "answer",
    "redirect",
    "error-field",
    "malformed",
    "wrong-type",
)


async def _spied_on(folder: Path, url: str, *more: str, client: str = "http") -> tuple[bytes, list[str]]:
    """All that a run said, with what a program that it starts saw of the environment, and its argv as in `ps`."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "git").write_text(f"#!/bin/sh\nenv >> {folder}/seen-by-git\nexit 1\n")
    (bin_folder / "git").chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    (folder / "bench.toml").write_text(f'[providers.p]\nbase_url = "{url}"\napi_key_env = "CANARY"\n')
    (folder / "spy.py").write_text(SPY)
    limits = (
        "--set",
        f"providers.p.client={client}",
        "--set",
        "engine.max_attempts=2",
        "--set",
        "engine.call_deadline_s=3",
    )
    words = command("run", rows(folder / "sums.jsonl", sums(4)), "spy.py:Spy", "--model", "p::m", *limits, *more)
    process = await anyio.open_process(
        words,
        cwd=folder,
        env=environment(folder / "home", CANARY=KEY, CLIENT=client, PATH=path, PYTHONASYNCIODEBUG="1"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    said, seen = bytearray(), []
    async with process:
        with anyio.fail_after(60):
            async for piece in process.stdout:
                said += piece
                seen += _argv(process.pid)
            await process.wait()
    child = folder / "seen-by-git"
    return bytes(said) + (child.read_bytes() if child.exists() else b""), seen


def _argv(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize("where", WHERE)
async def test_a_key_that_the_server_echoes_is_in_nothing_that_the_engine_writes(tmp_path, where):
    async with s.fault_server({"v1": _echo(where)}) as server:
        said, seen = await _spied_on(tmp_path, server.url("v1"), "-v")
        more, _ = await _spied_on(tmp_path, server.url("v1"), "--json", "--force", client="sdk")
        keys = {each.headers.get("authorization") for each in server.seen}
    assert keys == {f"Bearer {KEY}"}
    assert b"DEBUG" in said, "debug logging was on"
    assert seen
    assert not [word for word in seen if KEY in word]
    assert KEY.encode().lower() not in (said + more).lower(), (said + more).decode()
    assert _files_with(tmp_path / "home", KEY) == []


async def test_a_key_that_is_refused_by_the_probe_is_in_no_message(tmp_path):
    async with s.fault_server({"v1": lambda c: s.failing("401 No", {"message": f"no such key: {KEY}"})(c)}) as server:
        said, _ = await _spied_on(tmp_path, server.url("v1"), "-v")
    assert b"does not accept the key in CANARY" in said
    assert KEY.encode() not in said
    assert _files_with(tmp_path / "home", KEY) == []


def _files_with(folder: Path, text: str) -> list[str]:
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and text.encode().lower() in path.read_bytes().lower()
    ]


def test_the_search_finds_what_is_there(tmp_path: Any) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"\0" + KEY.encode() + b"\0")
    assert _files_with(tmp_path, KEY) == [str(tmp_path / "a" / "b")]
