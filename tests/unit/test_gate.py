"""Gate: the strict ceiling of requests in flight, and whose turn it is."""

from __future__ import annotations

import asyncio
import math
import random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calls.gate import Gate
from engine.calls.rates import duration_s, pause_asked
from tests import virtual_time


async def test_never_more_than_the_ceiling_are_in_flight_and_all_get_their_turn():
    gate = Gate(16)
    seen: list[int] = []

    async def call(lane: str) -> None:
        await gate.enter(lane)
        seen.append(gate.in_flight)
        await anyio.lowlevel.checkpoint()
        gate.leave()

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(call, f"run {number % 3}")

    assert len(seen) == 200
    assert max(seen) == gate.peak == 16
    assert gate.in_flight == 0
    assert gate.waiting == 0


async def test_runs_are_served_in_turn_however_many_calls_one_of_them_queues():
    gate = Gate(1)
    order: list[str] = []
    await gate.enter("first")

    async def call(lane: str) -> None:
        await gate.enter(lane)
        order.append(lane)
        gate.leave()

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(call, "greedy")
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call, "modest")
        await anyio.wait_all_tasks_blocked()
        gate.leave()

    assert order.index("modest") == 1


async def test_a_call_that_is_cancelled_while_it_waits_leaves_no_slot_behind():
    gate = Gate(1)
    await gate.enter("a")
    async with anyio.create_task_group() as group:
        group.start_soon(gate.enter, "b")
        await anyio.wait_all_tasks_blocked()
        assert gate.waiting == 1
        group.cancel_scope.cancel()
    assert gate.waiting == 0
    gate.leave()
    assert gate.in_flight == 0


async def test_a_call_that_is_cancelled_just_as_it_gets_a_slot_gives_it_on():
    gate = Gate(1)
    await gate.enter("a")
    got: list[str] = []

    async def call(lane: str) -> None:
        await gate.enter(lane)
        got.append(lane)
        gate.leave()

    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(call, "cancelled")
            await anyio.wait_all_tasks_blocked()
            outer.start_soon(call, "next")
            await anyio.wait_all_tasks_blocked()
            gate.leave()
            group.cancel_scope.cancel()
    assert "next" in got
    assert gate.in_flight == 0
    assert gate.waiting == 0


@settings(max_examples=60)
@given(refusals=st.lists(st.none() | st.floats(0, 3), min_size=1, max_size=6), ceiling=st.integers(1, 12))
def test_whatever_is_refused_the_ceiling_holds_and_nobody_starves(refusals: list[float | None], ceiling: int):
    async def work() -> int:
        gate = Gate(ceiling)
        done = 0

        async def call(number: int) -> None:
            nonlocal done
            await gate.enter(str(number % 4))
            assert gate.in_flight <= ceiling
            sent_at = asyncio.get_running_loop().time()
            await asyncio.sleep(0.05)
            if number < len(refusals):
                gate.refused(refusals[number], sent_at=sent_at, why="429")
            else:
                gate.accepted({})
            assert 1 <= gate.limit <= ceiling
            gate.leave(answered=number >= len(refusals))
            done += 1

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(call, number)
        assert gate.in_flight == gate.waiting == 0
        return done

    assert virtual_time.run(work()) == 40


async def test_the_state_can_be_read_off_its_repr():
    gate = Gate(2)
    await gate.enter("a")
    assert repr(gate) == "Gate(1 of 2 in flight, 0 waiting)"


class Server:
    """Allows `rate` requests a second, counted in one of the ways that servers count."""

    def __init__(self, rate: int, counts: str) -> None:
        self.rate, self.counts = rate, counts
        self.times: list[float] = []
        self.level, self.at = float(rate), 0.0

    def refuses_for(self, now: float) -> float | None:
        """Seconds to wait, or None where the request is allowed."""
        if self.counts == "bucket":
            self.level = min(self.rate, self.level + (now - self.at) * self.rate)
            self.at = now
            if self.level < 1:
                return (1 - self.level) / self.rate
            self.level -= 1
            return None
        since = int(now) if self.counts == "window" else now - 1
        self.times = [at for at in self.times if at >= since]
        if len(self.times) < self.rate:
            self.times.append(now)
            return None
        return (since + 1 - now) if self.counts == "window" else self.times[0] + 1 - now


async def simulate(counts: str, *, whole_seconds: bool, ceiling: int, latency_s: float, until_s: float = 120.0):
    loop = asyncio.get_running_loop()
    server, gate, rng = Server(100, counts), Gate(ceiling), random.Random(1)
    allowed: list[float] = []
    refused: list[float] = []

    async def worker() -> None:
        while loop.time() < until_s:
            await gate.enter("run")
            sent_at = loop.time()
            wait_s = server.refuses_for(sent_at)
            await asyncio.sleep(latency_s * rng.lognormvariate(0, 0.3))
            if wait_s is None:
                allowed.append(sent_at)
                gate.accepted({}, seconds=loop.time() - sent_at)
            else:
                wait_s = max(1, math.ceil(wait_s)) if whole_seconds else wait_s
                refused.append(sent_at)
                gate.refused(wait_s, sent_at=sent_at, why="429")
            gate.leave(answered=wait_s is None)
            if wait_s is not None:
                await asyncio.sleep(wait_s + rng.uniform(0, 0.1))

    await asyncio.gather(*[worker() for _ in range(ceiling * 5 // 4 + 8)])
    return allowed, refused


@pytest.mark.parametrize("whole_seconds", [True, False])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
def test_a_rate_that_nobody_told_is_learned_and_kept(counts, whole_seconds):
    """Of what 100 requests a second allow after 10 s at least 95 % is used, and 5 % are refused at most."""
    work = simulate(counts, whole_seconds=whole_seconds, ceiling=64, latency_s=0.05)
    allowed, refused = virtual_time.run(work)
    used = sum(10 <= at < 110 for at in allowed) / (100 * 100)
    assert used >= 0.95
    assert len(refused) <= 0.05 * (len(allowed) + len(refused))


def test_the_same_seed_is_the_same_history():
    one, two = (
        virtual_time.run(simulate("window", whole_seconds=True, ceiling=32, latency_s=0.1, until_s=30)) for _ in "ab"
    )
    assert one == two


def test_a_known_limit_by_the_minute_is_kept_without_a_refusal():
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        gate, left = Gate(64, requests_per_minute=600), []

        async def worker() -> None:
            while loop.time() < 60:
                await gate.enter("run")
                left.append(loop.time())
                await asyncio.sleep(0.01)
                gate.leave()

        await asyncio.gather(*[worker() for _ in range(80)])
        return left

    left = virtual_time.run(work())
    minute = [at for at in left if at < 60]
    assert 580 <= len(minute) <= 610
    assert max(sum(start <= at < start + 1 for at in minute) for start in range(60)) <= 21


def test_tokens_by_the_minute_are_reserved_and_corrected_by_what_was_used():
    async def work() -> int:
        loop = asyncio.get_running_loop()
        gate, done = Gate(64, tokens_per_minute=60_000), 0

        async def worker() -> None:
            nonlocal done
            while loop.time() < 60:
                await gate.enter("run", 1000)
                await asyncio.sleep(0.05)
                gate.accepted({}, reserved=1000, used=500)
                gate.leave(answered=True)
                done += 500 if loop.time() <= 60 else 0

        await asyncio.gather(*[worker() for _ in range(20)])
        return done

    assert 57_000 <= virtual_time.run(work()) <= 62_000


def test_long_answers_and_other_faults_change_nothing():
    async def work() -> Gate:
        gate = Gate(8)
        for _ in range(50):
            await gate.enter("run")
            await asyncio.sleep(30)
            gate.accepted({})
            gate.leave(answered=True)
        return gate

    gate = virtual_time.run(work())
    assert gate.limit == 8
    assert gate.pace.rate is None


def test_a_pause_that_was_asked_for_stops_everybody():
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        gate, left = Gate(4), []
        await gate.enter("a")
        gate.refused(20.0, sent_at=loop.time(), why="429")
        gate.leave()

        async def call(lane: str) -> None:
            await gate.enter(lane)
            left.append(loop.time())
            gate.leave()

        await asyncio.gather(*[call(str(number)) for number in range(6)])
        return left

    left = virtual_time.run(work())
    assert min(left) >= 20.0
    assert max(left) <= 25.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("0.5", 0.5),
        ("1h2m", 3720.0),
        ("", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_durations_are_read_as_providers_write_them(text, seconds):
    assert duration_s(text) == seconds


def test_headers_that_say_nothing_is_left_ask_for_a_pause_until_the_reset():
    assert pause_asked({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}) == 2.0
    assert pause_asked({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "2s"}) is None
    assert pause_asked({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "23h"}) is None
    assert pause_asked({}) is None


def test_a_refusal_without_retry_after_is_judged_by_the_headers_of_others():
    now = 1_800_000_000.0
    assert pause_asked({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, refused=True, wall_s=now) == 12.0
    in_ms = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000007000"}
    assert pause_asked(in_ms, refused=True, wall_s=now) == 7.0
    assert pause_asked(in_ms) is None
    assert pause_asked({"ratelimit-remaining": "0", "ratelimit-reset": "3"}, refused=True) == 3.0
    assert pause_asked({"ratelimit-remaining": "4", "ratelimit-reset": "3"}, refused=True) is None
