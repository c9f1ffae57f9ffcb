"""What the batteries of stores are made with: records with sensible fields, an opened store, another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

from engine.ports import Store
from engine.records import Attempt, Completion, Outcome, RunRecord, TaskKey, TaskResult
from storage import backend

ROOT = Path(__file__).resolve().parents[2]
BACKENDS: dict[str, Callable[[Path], str]] = {"sqlite": lambda folder: f"sqlite:///{folder / 'sub' / 'bench.db'}"}
"""A URL for each backend of a database that is not there yet; a new backend is one more line."""


def opened(url: str, **options: Any) -> AbstractAsyncContextManager[Store]:
    return backend(url).open_store(url, **options)


def run(**changes: Any) -> RunRecord:
    texts = ("run_id", "identity", "scope", "benchmark", "evaluation_name", "dataset", "dataset_fingerprint", "subset")
    more = ("solver", "options", "model", "provider", "agent", "sampling", "parts")
    fields = {name: name for name in (*texts, *more)} | {"generation": 0, "repeats": 1, "planned": 10}
    return RunRecord(**(fields | changes))


def completion(key: str = "key", **changes: Any) -> Completion:
    fields: dict[str, Any] = {
        "provider": "https://host/v1",
        "model": "m",
        "request": '{"messages":[]}',
        "response": '{"choices":[]}',
        "text": "The answer is 5. ü",
        "finish_reason": "stop",
        "created_at": 12.5,
    }
    return Completion(request_key=key, **(fields | changes))


def result(index: int = 0, repeat: int = 0, outcome: Outcome = Outcome.PASSED, **changes: Any) -> TaskResult:
    score = {Outcome.PASSED: 1.0, Outcome.ERRORED: None, Outcome.SKIPPED: None}.get(outcome, 0.0)
    return TaskResult(key=TaskKey("run", index, repeat), outcome=outcome, **({"score": score} | changes))


def attempt(started_at: float = 1.0, **changes: Any) -> Attempt:
    return Attempt(**({"started_at": started_at, "fault": "ok", "seconds": 0.5, "status": 200} | changes))


async def results(store: Store, run_id: str = "run") -> list[TaskResult]:
    return [each async for chunk in store.results(run_id) for each in chunk]


async def finished(store: Store, run_id: str = "run") -> list[tuple[int, int, str]]:
    return [each async for chunk in store.finished(run_id) for each in chunk]


@contextmanager
def process(url: str, body: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with the store open as `store`; it runs the body, and is killed -9 at the end at the latest."""
    lines = "\n".join("        " + line for line in body.strip().splitlines())
    script = (
        "import asyncio, os, sys\n"
        "from engine.records import *\n"
        "from storage import backend\n"
        "def say(text): os.write(1, f'{text}\\n'.encode())\n"
        "async def main(url):\n"
        f"    async with backend(url).open_store(url) as store:\n{lines}\n"
        "asyncio.run(main(sys.argv[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", script, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    ) as other:
        try:
            yield other
        finally:
            other.kill()


def kill_and_leave_unburied(other: subprocess.Popen[str]) -> None:
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
