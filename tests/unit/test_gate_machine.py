"""The gate under any order of events, in virtual time: never above its ceiling, never before its time, never stuck."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.calls.gate import Change, Gate
from tests.virtual_time import VirtualLoop

LANES = st.sampled_from("abc")
SECONDS = st.floats(0.0, 20.0, allow_nan=False)


class Waiter:
    """One request: whether it is in, and when it went."""

    def __init__(self, lane: str, number: int) -> None:
        self.lane, self.number = lane, number
        self.entered_at: float | None = None
        self.task: asyncio.Task[None]


class Gates(RuleBasedStateMachine):
    """Requests come, go, are refused and cancelled in any order; the model knows who may be in."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Waiter] = []
        self.inside: list[Waiter] = []
        self.paused_until = 0.0
        self.number = 0
        self.in_a_minute: list[float] = []
        self.order: dict[str, list[int]] = defaultdict(list)
        self.changes: list[Change] = []

    @initialize(ceiling=st.integers(1, 5), per_minute=st.none() | st.integers(30, 600))
    def opens(self, ceiling: int, per_minute: int | None) -> None:
        self.loop = VirtualLoop()
        self.ceiling, self.per_minute = ceiling, per_minute
        self.gate = Gate(
            ceiling,
            requests_per_minute=per_minute,
            longest_pause_s=600.0,
            changed=self.changes.append,
            clock=self.loop.time,
        )

    def _pass(self, seconds: float = 0.0) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for _ in range(3):  # who was let in takes a step or two to know
            self.loop.run_until_complete(asyncio.sleep(0))
        for waiter in [each for each in self.waiting if each.task.done()]:
            self.waiting.remove(waiter)
            if not waiter.task.cancelled():
                waiter.task.result()
            self.inside.append(waiter)

    def _do(self, work: Callable[..., None], *arguments: object, **more: object) -> None:
        async def call() -> None:
            work(*arguments, **more)

        self.loop.run_until_complete(call())

    async def _enter(self, waiter: Waiter) -> None:
        await self.gate.enter(waiter.lane)
        now = self.loop.time()
        assert now >= self.paused_until - 1e-9, "nobody leaves while the provider asks to wait"
        assert self.gate.in_flight <= self.gate.limit <= self.ceiling
        waiter.entered_at = now
        self.in_a_minute.append(now)
        self.order[waiter.lane].append(waiter.number)

    @rule(lane=LANES)
    def comes(self, lane: str) -> None:
        self.number += 1
        waiter = Waiter(lane, self.number)
        waiter.task = self.loop.create_task(self._enter(waiter))
        self.waiting.append(waiter)
        self._pass()

    @rule(which=st.integers(0, 9))
    def is_answered(self, which: int) -> None:
        if self.inside:
            self.inside.pop(which % len(self.inside))
            self._do(self.gate.accepted, {})
            self._do(self.gate.leave, answered=True)
            self._pass()

    @rule(which=st.integers(0, 9), asked=st.none() | SECONDS | st.just(10_000.0))
    def is_refused(self, which: int, asked: float | None) -> None:
        if not self.inside:
            return
        waiter = self.inside.pop(which % len(self.inside))
        assert waiter.entered_at is not None
        self._do(self.gate.refused, asked, sent_at=waiter.entered_at, why="429")
        if asked is not None and asked <= 600.0:
            self.paused_until = max(self.paused_until, self.loop.time() + asked)
        self._do(self.gate.leave)
        self._pass()

    @rule(which=st.integers(0, 9))
    def is_cancelled(self, which: int) -> None:
        if self.waiting:
            waiter = self.waiting.pop(which % len(self.waiting))
            waiter.task.cancel()
            self._pass()

    @rule(wait=st.floats(0.1, 30.0))
    def falls_silent(self, wait: float) -> None:
        self._do(self.gate.one_by_one, wait, "no answer any more")
        self.paused_until = max(self.paused_until, self.loop.time() + wait)
        self._pass()

    @rule()
    def answers_again(self) -> None:
        self.paused_until = 0.0
        self._do(self.gate.let_all, "it answers again")
        self._pass()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self._pass(seconds)

    @invariant()
    def counts_are_right(self) -> None:
        if hasattr(self, "gate"):
            assert self.gate.in_flight == len(self.inside) <= self.ceiling
            assert 1 <= self.gate.limit <= self.ceiling
            assert self.gate.waiting == len(self.waiting)
            assert all(change.why and 1 <= change.limit <= self.ceiling for change in self.changes)

    @invariant()
    def each_run_is_served_in_its_order(self) -> None:
        assert all(numbers == sorted(numbers) for numbers in self.order.values())

    def teardown(self) -> None:
        if not hasattr(self, "gate"):
            return
        try:
            for _ in range(len(self.waiting) + 1):
                while self.inside:
                    self.is_answered(0)
                self._pass(700.0)
            assert not self.waiting, "nobody waits for ever"
            self._at_most_per_minute()
        finally:
            for waiter in self.waiting:
                waiter.task.cancel()
            self._pass()
            self.loop.close()

    def _at_most_per_minute(self) -> None:
        for at in self.in_a_minute if self.per_minute else ():
            recent = sum(at - 60.0 < other <= at for other in self.in_a_minute)
            assert recent <= self.per_minute + self.per_minute / 60 + 1


TestGates = Gates.TestCase
TestGates.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
