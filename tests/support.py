"""What tests share: the engine as a process, a server that counts, and small datasets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc

from engine.endpoints.server import Answer, ChatRequest, Loopback, serve

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Ended:
    """A command line that has ended."""

    code: int
    out: str
    err: str

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs of the last line of `--json`."""
        return json.loads(self.out.splitlines()[-1])["runs"]

    @property
    def final(self) -> str:
        """The last line for people."""
        return self.out.splitlines()[-1]


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of an engine process: its own home, this source tree, nothing inherited but the path."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")}
    return {**kept, "ENGINE_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def command(*words: object) -> list[str]:
    """`python -m engine WORDS`."""
    return [sys.executable, "-m", "engine", *map(str, words)]


async def engine(*words: object, cwd: Path, timeout_s: float = 90.0, **more: str) -> Ended:
    """Run the engine to its end; `cwd / "home"` is its home."""
    with anyio.fail_after(timeout_s):
        done = await anyio.run_process(
            command(*words), cwd=cwd, env=environment(cwd / "home", **more), check=False, stdin=subprocess.DEVNULL
        )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@asynccontextmanager
async def engine_running(*words: object, cwd: Path, **more: str) -> AsyncIterator[anyio.abc.Process]:
    """The engine as a process that the body may signal or kill; it is ended on leaving."""
    process = await anyio.open_process(
        command(*words),
        cwd=cwd,
        env=environment(cwd / "home", **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with process:
            yield process
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
    finally:
        if process.returncode is None:
            process.kill()


def rows(path: Path, content: Sequence[dict[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def sums(count: int) -> list[dict[str, Any]]:
    """Rows that a simulated endpoint can answer."""
    return [{"input": f"{number} + {number + 1}", "output": str(2 * number + 1)} for number in range(count)]


@dataclass
class Scripted:
    """A responder that answers by a function of the request, and holds replies back until it is told."""

    answer: Callable[[ChatRequest], Answer | str]
    identity: str = ""
    model: str = "m"
    seen: list[str] = field(default_factory=list)

    def respond(self, request: ChatRequest) -> Answer:
        """The function's answer; the last user message is kept."""
        self.seen.append(request.texts[-1][1])
        given = self.answer(request)
        return given if isinstance(given, Answer) else Answer(texts=[given], finish_reasons=["stop"])


@asynccontextmanager
async def scripted(answer: Callable[[ChatRequest], Answer | str]) -> AsyncIterator[tuple[Loopback, Scripted]]:
    """A counting loopback server that answers by a function."""
    responder = Scripted(answer)
    async with serve(responder) as server:
        yield server, responder


def adds(request: ChatRequest) -> str:
    """The right answer to the sum at the end of the last message."""
    words = request.texts[-1][1].replace("=", " ").split()
    return str(int(words[-3]) + int(words[-1]))


SUM = ("TemplateSolver", "--prompt", "{input}", "--target", "{output}", "--scorer", "number")
"""Words that make TemplateSolver ask the rows of `sums`."""
