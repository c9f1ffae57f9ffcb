"""The whole engine on one thread in virtual time, with seeded faults and crashes: one seed is one history.

The store is the real one on a real file; only its threads are taken away, for one thread anywhere breaks the order of
events. The endpoint is made of a seed, and answers without a socket. A crash is a copy of the file as it lies there at
that moment, with its log, and an engine that is left behind.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import storage.sqlite
from engine.api import Engine
from engine.config import Bench
from engine.endpoints.faults import fault_of_status, incomplete, malformed
from engine.endpoints.replies import read_reply
from engine.errors import AttemptError
from engine.events import TaskEnded
from engine.providers import Providers
from engine.records import Fault, Reply
from tests import servers, virtual_time

TASKS = 60
RATES = {"429": 0.1, "500": 0.05, "reset": 0.05, "hang": 0.02, "malformed": 0.03, "cut": 0.02}
LIMITS = {"engine": {"max_concurrent": 5, "attempt_timeout_s": 20.0, "call_deadline_s": 3000.0, "max_attempts": 30}}
OPTIONS = {"prompt": "{input}", "target": "{output}", "scorer": "number"}
LONGEST_LIFE_S = 12.0


class InLoopConnection:
    """An `aiosqlite` connection as the store uses it, whose work is done at once where it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __await__(self) -> Iterator[Any]:
        self._connection = sqlite3.connect(self._path, timeout=0.0, isolation_level=None)
        return asyncio.sleep(0).__await__()

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work(connection, *arguments)` returns."""
        await asyncio.sleep(0.02)  # a commit takes its time, and others have a turn
        return work(self._connection, *arguments)

    async def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def break_off(self) -> None:
        """Nothing runs beside the loop."""


@dataclass
class SeededEndpoint:
    """Answers sums after seconds that follow from the seed; attempts fail by a hash of seed, request and attempt."""

    seed: int
    identity: str = "seeded"
    listing: tuple[str, ...] = ("m",)
    asked: Counter[bytes] = field(default_factory=Counter)
    history: list[str] = field(default_factory=list)
    answered: int = 0

    async def send(self, body: bytes, *, timeout_s: float) -> Reply:
        """The reply, or the fault of this attempt."""
        attempt = self.asked[body]
        self.asked[body] += 1
        digest = blake2b(b"%d|%d|%b" % (self.seed, attempt, body), digest_size=8).digest()
        chance = random.Random(int.from_bytes(digest))
        fault = self._fault(chance.random())
        prompt = json.loads(body)["messages"][-1]["content"]
        self.history.append(f"{asyncio.get_running_loop().time():.6f} {prompt} {attempt} {fault}")
        await asyncio.sleep(timeout_s if fault == "hang" else chance.lognormvariate(-1.0, 0.6))
        if fault:
            raise _error(fault)
        self.answered += 1
        a, _, b = prompt.split()
        text = json.dumps(servers.completion(str(int(a) + int(b)))).encode()
        return read_reply(text, status=200, headers={}, latency_s=0.0)

    def _fault(self, chance: float) -> str:
        for name, rate in RATES.items():
            if chance < rate:
                return name
            chance -= rate
        return ""

    async def probe(self) -> None:
        """It is there."""

    async def aclose(self) -> None:
        """Nothing is open."""


def _error(fault: str) -> AttemptError:
    if fault.isdecimal():
        return fault_of_status(int(fault), {"retry-after": "1"} if fault == "429" else {}, b'{"error": {}}')
    plain = {"reset": Fault.CONNECTION, "hang": Fault.TIMEOUT}
    if fault in plain:
        return AttemptError(fault, fault=plain[fault])
    return malformed(fault) if fault == "malformed" else incomplete(fault)


@dataclass
class Life:
    """What one engine process did before it ended or was killed."""

    acknowledged: dict[int, str] = field(default_factory=dict)
    points: float | None = None
    is_over: bool = False
    """Whether it was killed: what it says while it is torn down, nobody hears."""


@contextmanager
def without_threads(endpoint: SeededEndpoint) -> Iterator[pytest.MonkeyPatch]:
    """One thread and one clock for everything."""

    async def at_once(work: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        await asyncio.sleep(0)
        return work(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage.sqlite, "connector", lambda path, **_: InLoopConnection(path))
        patch.setattr(anyio.to_thread, "run_sync", at_once)
        patch.setattr(Providers, "_endpoint", lambda *_: endpoint)
        yield patch


async def _live(file: Path, data: Path, life: Life) -> None:
    async with Engine(Bench.model_validate(LIMITS), storage=f"sqlite:///{file}", folder=file.parent) as engine:

        def told(event: object) -> None:
            if isinstance(event, TaskEnded) and not life.is_over:
                life.acknowledged[event.result.key.datum_index] = event.result.outcome.value

        engine._listeners.append(told)
        report = await engine.run(str(data), "TemplateSolver", model="http://127.0.0.1:9/v1::m", options=OPTIONS)
        life.points = report.points


async def _until(dies_at_s: float, work: Awaitable[None], crash: Callable[[], None]) -> bool:
    """Whether the work came to its end before that; else the file is copied as it lies, and the rest is left behind."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=dies_at_s)
    if done:
        task.result()
        return True
    crash()
    task.cancel()
    await asyncio.wait([task])
    return False


def stored(file: Path) -> Mapping[int, str]:
    """Outcomes by datum."""
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchone():
            return {}
        return dict(db.execute("SELECT datum_index, outcome FROM tasks ORDER BY datum_index").fetchall())


def _copied(file: Path, to: Path) -> None:
    for ending in ("", "-wal"):
        if Path(f"{file}{ending}").exists():
            shutil.copy(f"{file}{ending}", f"{to}{ending}")


def _as_of_another_process(file: Path) -> None:
    """The node in the copy is one whose process is gone."""
    with closing(sqlite3.connect(file)) as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'nodes'").fetchone():
            db.execute("UPDATE nodes SET pid_started = 'before'")
            db.commit()


@dataclass
class Told:
    """What happened in all lives of one seed."""

    history: list[str]
    requests: int
    answered: int
    crashes: int
    lost: int
    wasted: int
    points: float
    outcomes: Mapping[int, str]

    @property
    def digest(self) -> str:
        """The same for the same history."""
        return blake2b("\n".join([*self.history, str(dict(self.outcomes))]).encode(), digest_size=8).hexdigest()


def simulate(folder: Path, data: Path, seed: int, *, crashes: int = 3) -> Told:
    """Live, crash and live again, until the run is done."""
    folder.mkdir()
    rng, endpoint = random.Random(seed), SeededEndpoint(seed)
    known: dict[int, str] = {}
    lost = wasted = number = 0
    while True:
        file, after = folder / f"{number}.db", folder / f"{number + 1}.db"
        life, paid = Life(), endpoint.answered - len(_bought(file))
        dies_at_s = rng.uniform(0.0, LONGEST_LIFE_S) if number < crashes else float("inf")

        async def one(file: Path = file, after: Path = after, life: Life = life, dies_at_s: float = dies_at_s) -> bool:
            limit = None if dies_at_s == float("inf") else dies_at_s

            def crash() -> None:
                life.is_over = True
                _copied(file, after)

            return await _until(limit, _live(file, data, life), crash)  # type: ignore[arg-type]

        with without_threads(endpoint) as patch, asyncio.Runner(loop_factory=virtual_time.VirtualLoop) as runner:
            loop = runner.get_loop()
            patch.setattr(time, "monotonic", loop.time)
            random.seed(seed)
            ended = runner.run(one())
        last = file if ended else after
        known |= life.acknowledged
        have = stored(last) if last.exists() else {}
        lost += sum(have.get(index) != outcome for index, outcome in known.items())
        wasted = max(wasted, endpoint.answered - len(_bought(last)) - paid)
        if ended:
            assert life.points is not None
            requests = len(endpoint.history)
            return Told(endpoint.history, requests, endpoint.answered, number, lost, wasted, life.points, have)
        if after.exists():
            _as_of_another_process(after)
        number += 1


def _bought(file: Path) -> set[str]:
    if not file.exists():
        return set()
    with closing(sqlite3.connect(file)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
            return set()
        return {key for (key,) in db.execute("SELECT request_key FROM completions")}
