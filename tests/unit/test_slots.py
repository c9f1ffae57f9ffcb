"""Slots: the strict ceiling of requests in flight, and whose turn it is."""

from __future__ import annotations

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calls.slots import Slots


async def test_never_more_than_the_ceiling_are_in_flight_and_all_get_their_turn():
    slots = Slots(16)
    seen: list[int] = []

    async def call(lane: str) -> None:
        await slots.acquire(lane)
        seen.append(slots.in_flight)
        await anyio.lowlevel.checkpoint()
        slots.release()

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(call, f"run {number % 3}")

    assert len(seen) == 200
    assert max(seen) == slots.peak == 16
    assert slots.in_flight == 0
    assert slots.waiting == 0


async def test_runs_are_served_in_turn_however_many_calls_one_of_them_queues():
    slots = Slots(1)
    order: list[str] = []
    await slots.acquire("first")

    async def call(lane: str) -> None:
        await slots.acquire(lane)
        order.append(lane)
        slots.release()

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(call, "greedy")
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call, "modest")
        await anyio.wait_all_tasks_blocked()
        slots.release()

    assert order.index("modest") == 1


async def test_a_call_that_is_cancelled_while_it_waits_leaves_no_slot_behind():
    slots = Slots(1)
    await slots.acquire("a")
    async with anyio.create_task_group() as group:
        group.start_soon(slots.acquire, "b")
        await anyio.wait_all_tasks_blocked()
        assert slots.waiting == 1
        group.cancel_scope.cancel()
    assert slots.waiting == 0
    slots.release()
    assert slots.in_flight == 0


async def test_a_call_that_is_cancelled_just_as_it_gets_a_slot_gives_it_on():
    slots = Slots(1)
    await slots.acquire("a")
    got: list[str] = []

    async def call(lane: str) -> None:
        await slots.acquire(lane)
        got.append(lane)
        slots.release()

    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(call, "cancelled")
            await anyio.wait_all_tasks_blocked()
            outer.start_soon(call, "next")
            await anyio.wait_all_tasks_blocked()
            slots.release()
            group.cancel_scope.cancel()
    assert "next" in got
    assert slots.in_flight == 0
    assert slots.waiting == 0


@settings(max_examples=60, deadline=None)
@given(limits=st.lists(st.integers(-3, 30), min_size=1, max_size=8), ceiling=st.integers(1, 12))
def test_a_limit_that_moves_never_passes_the_ceiling_and_starves_nobody(limits: list[int], ceiling: int):
    async def work() -> None:
        slots = Slots(ceiling)
        done = 0

        async def call(number: int) -> None:
            nonlocal done
            await slots.acquire(str(number % 4))
            assert slots.in_flight <= ceiling
            await anyio.lowlevel.checkpoint()
            slots.release()
            done += 1

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(call, number)
            for limit in limits:
                slots.resize(limit)
                assert 1 <= slots.limit <= ceiling
                await anyio.lowlevel.checkpoint()
        assert done == 40

    anyio.run(work)


async def test_the_state_can_be_read_off_its_repr():
    slots = Slots(2)
    await slots.acquire("a")
    assert repr(slots) == "Slots(1 of 2 in flight, 0 waiting)"
