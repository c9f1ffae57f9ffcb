"""Two processes' worth of stores on one file do what a dict would, through closing, crashing and cancelling."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.records import Attempt, Completion, Outcome, Selection, TaskKey, TaskResult, Usage
from storage.sqlite import SqliteStore, open_store

WHO = st.integers(0, 1)
KEYS = st.sampled_from(["a", "b", "c"])
TASKS = st.sampled_from([TaskKey("run", index, repeat) for index in range(3) for repeat in range(2)])
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
TOKENS = st.one_of(st.none(), st.integers(), st.sampled_from([2**63 - 1, 2**63, -(2**64)]))
REAL = st.floats() | st.none()


def clean(text: str) -> str:
    return "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)


def fits(number: int | None) -> int | None:
    return number if number is not None and abs(number) < 2**63 else None


def finite(number: float | None) -> float | None:
    return number if number is not None and abs(number) < float("inf") else None


class Stores(RuleBasedStateMachine):
    """The model: what is stored, and which store holds which lease."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.life = 0
        self.completions: dict[str, Completion] = {}
        self.tasks: dict[TaskKey, TaskResult] = {}
        self.leases: dict[Any, int] = {}
        self.attempts = 0
        self.stores: list[SqliteStore] = []
        self.stacks: list[AsyncExitStack] = []

    @initialize()
    def open(self) -> None:
        self.stacks = [AsyncExitStack() for _ in range(2)]
        self.stores = [self.runner.run(self.enter(stack)) for stack in self.stacks]

    async def enter(self, stack: AsyncExitStack) -> SqliteStore:
        return await stack.enter_async_context(open_store(self.path))

    @property
    def path(self) -> Path:
        return self.folder / f"{self.life}.db"

    def free(self, key: Any, who: int) -> bool:
        return self.leases.get(key, who) == who

    @rule(who=WHO, key=KEYS)
    def claim_call(self, who: int, key: str) -> None:
        claim = self.runner.run(self.stores[who].claim_call(key))
        assert claim == self.completions.get(key, self.free(key, who))
        if claim is True:
            self.leases[key] = who

    @rule(who=WHO, key=KEYS, text=TEXT, tokens=TOKENS, cost=REAL, stopped=st.booleans())
    def finish_call(self, who: int, key: str, text: str, tokens: int | None, cost: float | None, stopped: bool) -> None:
        fields: dict[str, Any] = {"request_key": key, "provider": "p", "model": "m", "finish_reason": "stop"}
        given = Completion(
            **fields, request=text, response=text, text=text, choices=(text, text), usage=Usage(tokens), cost_usd=cost
        )
        attempt = Attempt(started_at=float(self.attempts), fault="ok", seconds=0.1, message=text)
        self.runner.run(self.written(self.stores[who].finish_call(given, [attempt]), stopped))
        self.attempts += 1
        self.leases.pop(key, None)
        seen = clean(text)
        stored = Completion(
            **fields,
            request=seen,
            response=seen,
            text=seen,
            choices=(seen, seen),
            usage=Usage(fits(tokens)),
            cost_usd=finite(cost),
        )
        self.completions.setdefault(key, stored)

    async def written(self, write: Any, stopped: bool) -> None:
        """The write, or the write of a caller who is cancelled in the middle of it."""
        task = asyncio.create_task(write)
        await asyncio.sleep(0)
        if stopped:
            task.cancel()
            await asyncio.wait([task])
            for store in self.stores:
                await store.release_tasks([TaskKey("another run", 0, 0)])  # what was submitted before is written
        else:
            await task

    @rule(who=WHO, key=KEYS)
    def release_call(self, who: int, key: str) -> None:
        attempt = Attempt(started_at=float(self.attempts), fault="timeout", seconds=1.0)
        self.runner.run(self.stores[who].release_call(key, [attempt]))
        self.attempts += 1
        if self.leases.get(key) == who:
            del self.leases[key]

    @rule(who=WHO, keys=st.lists(TASKS, max_size=6), again=st.booleans())
    def claim_tasks(self, who: int, keys: list[TaskKey], again: bool) -> None:
        outcomes = frozenset({"errored"}) if again else frozenset()
        claimed = self.runner.run(self.stores[who].claim_tasks(keys, again=outcomes))
        done = {key for key, each in self.tasks.items() if each.outcome.value not in outcomes}
        assert claimed == [key for key in dict.fromkeys(keys) if key not in done and self.free(key, who)]
        self.leases.update(dict.fromkeys(claimed, who))

    @rule(
        who=WHO, key=TASKS, text=TEXT, score=REAL, failed=st.booleans(), info=st.none() | st.lists(TEXT | st.integers())
    )
    def finish_task(self, who: int, key: TaskKey, text: str, score: float | None, failed: bool, info: Any) -> None:
        outcome = Outcome.ERRORED if failed else Outcome.SCORED
        kept = TaskResult(key=key, outcome=outcome, score=score, answer=text, info=info, metrics={"x": score or 0.0})

        async def finish() -> None:
            await self.stores[who].finish_task(kept)

        self.runner.run(finish())
        self.leases.pop(key, None)
        seen = [clean(each) if isinstance(each, str) else each for each in info] if info is not None else None
        metrics = {} if finite(score or 0.0) is None else {"x": score or 0.0}
        self.tasks[key] = TaskResult(
            key=key, outcome=outcome, score=finite(score), answer=clean(text), info=seen, metrics=metrics
        )

    @rule(who=WHO, keys=st.lists(TASKS))
    def release_tasks(self, who: int, keys: list[TaskKey]) -> None:
        self.runner.run(self.stores[who].release_tasks(keys))
        self.leases = {key: owner for key, owner in self.leases.items() if key not in keys or owner != who}

    @rule(who=WHO)
    def reopen(self, who: int) -> None:
        self.runner.run(self.stacks[who].aclose())
        self.stores[who] = self.runner.run(self.enter(self.stacks[who]))
        self.leases = {key: owner for key, owner in self.leases.items() if owner != who}

    @rule()
    def crash(self) -> None:
        """Go on with the files as a power cut would leave them, and with nodes that are gone."""
        before, self.life = self.path, self.life + 1
        for suffix in ("", "-wal"):
            shutil.copy(f"{before}{suffix}", f"{self.path}{suffix}")
        self.close()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE nodes SET pid_started = 'another process' WHERE expires_at > 0")
        self.leases.clear()
        self.open()

    @invariant()
    def everything_is_there(self) -> None:
        if not self.stores:
            return
        for store in self.stores:
            self.runner.run(self.check(store))

    async def check(self, store: SqliteStore) -> None:
        found = await asyncio.gather(*(store.lookup(key) for key in "abc"))
        assert {each.request_key: each for each in found if each} == self.completions
        stored = [each async for chunk in store.results("run") for each in chunk]
        assert stored == [self.tasks[key] for key in sorted(self.tasks)]
        tally = await store.tally("run", Selection(stop=3, repeats=2))
        assert tally.finished == len(self.tasks)
        figures = await store.stats()
        assert (figures["completions"], figures["attempts"]) == (len(self.completions), self.attempts)

    def close(self) -> None:
        for stack in self.stacks:
            self.runner.run(stack.aclose())

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        shutil.rmtree(self.folder)


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
