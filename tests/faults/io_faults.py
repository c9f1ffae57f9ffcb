"""Runs of the engine in which the Nth write or sync of the database fails: `io_faults.py FOLDER STRIDE`, with the shim.

Each run is a fork of this process, so that it costs milliseconds. A line of JSON is printed for each: the kind of
fault, N, how the run ended, what was acknowledged and lost, and what it took to finish it without a fault.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from engine.api import Engine
from engine.config import Bench
from engine.errors import StorageError
from engine.events import TaskEnded

TASKS = 12
KINDS = {"no space": (0, 0), "no space from then on": (0, 1), "I/O error": (1, 0), "I/O error from then on": (1, 1)}
KINDS |= {"torn write": (2, 0), "killed before": (3, 0), "killed after": (4, 0)}
OPTIONS = {"prompt": "{input}", "target": "{output}", "scorer": "number"}
LIMITS = {
    "engine": {"max_concurrent": 4},
    "storage": {"full_wait_s": 0.05},
    "providers": {"simulated": {"kind": "simulated", "accuracy": 1.0, "latency_s": 0.0}},
}
DONE, STORAGE, OTHER = 0, 5, 70
_shim = ctypes.CDLL(None)


async def _work(folder: Path, name: str, acks: int) -> tuple[float, int]:
    bench = Bench.model_validate(LIMITS)
    async with Engine(bench, storage=f"sqlite:///{folder / name}", folder=folder) as engine:

        def told(event: object) -> None:
            if isinstance(event, TaskEnded):
                os.write(acks, f"{event.result.key.datum_index} {event.result.outcome.value}\n".encode())

        engine._listeners.append(told)
        report = await engine.run(str(folder / "sums.jsonl"), "TemplateSolver", model="simulated::m", options=OPTIONS)
        return report.points, report.requests


def _forked(folder: Path, name: str, log: Path, nth: int, how: tuple[int, int]) -> tuple[int, int]:
    """`(exit code, operations seen)`; the code is negative where it was killed."""
    seen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        code = OTHER
        try:
            acks = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            _shim.fault_arm(ctypes.c_long(nth), *how)
            points, requests = asyncio.run(_work(folder, name, acks))
            os.write(acks, f"end {points:g} {requests}\n".encode())
            code = DONE
        except StorageError:
            code = STORAGE
        finally:
            os.write(tell, str(_shim.fault_seen()).encode())
            os._exit(code)
    os.close(tell)
    status = os.waitpid(child, 0)[1]
    told = os.read(seen, 32)
    os.close(seen)
    return os.waitstatus_to_exitcode(status), int(told or 0)


def _acknowledged(log: Path) -> dict[int, str]:
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return {int(index): outcome for index, outcome in (line for line in lines if line[0] != "end")}


def _stored(file: Path) -> tuple[dict[int, str], int, int]:
    """Outcomes, completions, and completions without their body."""
    if not file.exists() or not file.stat().st_size:
        return {}, 0, 0
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
            return {}, 0, 0
        tasks = dict(db.execute("SELECT datum_index, outcome FROM tasks").fetchall())
        calls = db.execute("SELECT count(*) FROM calls").fetchone()[0]
        torn = "SELECT count(*) FROM calls WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.id = calls.id)"
        return tasks, calls, db.execute(torn).fetchone()[0]


def _one(folder: Path, kind: str, nth: int) -> dict[str, object]:
    name = f"fault-{kind.replace(' ', '-').replace('/', '')}-{nth}.db"
    log = folder / f"{name}.acks"
    code, seen = _forked(folder, name, log, nth, KINDS[kind])
    known = _acknowledged(log)
    stored, calls, torn = _stored(folder / name)
    again_log = folder / f"{name}.again"
    again, _ = _forked(folder, name, again_log, 0, (0, 0))
    last = again_log.read_text().split()[-3:] if again == DONE else []
    for file in folder.glob(f"{name}*"):
        file.unlink()
    return {
        "kind": kind,
        "nth": nth,
        "code": code,
        "fired": code == -signal.SIGKILL or seen >= nth,
        "acknowledged": len(known),
        "lost": sum(stored.get(index) != outcome for index, outcome in known.items()),
        "torn": torn,
        "again": again,
        "points": float(last[1]) if last else None,
        "bought again": int(last[2]) - (TASKS - calls) if last else None,
    }


def main(folder: Path, stride: int) -> None:
    """Every kind of fault, at every `stride`-th operation, until one run is over before it."""
    for kind in KINDS:
        nth = 1
        while True:
            seen = _one(folder, kind, nth)
            print(json.dumps(seen), flush=True)
            if not seen["fired"]:
                break
            nth += stride


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
