"""The battery that every store must pass in company: nothing is bought or done twice, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from engine.errors import StorageError
from engine.ports import Store
from engine.records import TaskKey, TaskResult, Usage
from tests.contract.store_kit import (
    BACKENDS,
    attempt,
    completion,
    finished,
    kill_and_leave_unburied,
    opened,
    process,
    result,
)


@pytest.fixture(params=list(BACKENDS))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database can be, that is not there yet."""
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with opened(url) as store:
        yield store


# --- calls ------------------------------------------------------------------------------------------------------


async def test_a_call_is_made_by_one_and_read_by_all(url: str) -> None:
    async with opened(url) as ours, opened(url) as theirs:
        assert await ours.claim_call("key") is True
        assert await theirs.claim_call("key") is False
        assert await ours.claim_call("key") is True, "whose claim it is gets it again"
        await ours.finish_call(completion(), [attempt()])
        assert await theirs.claim_call("key") == completion()
        assert await ours.claim_call("key") == completion()


async def test_a_released_call_is_free_and_its_attempts_are_kept(url: str) -> None:
    async with opened(url) as ours, opened(url) as theirs:
        await ours.claim_call("key")
        await theirs.release_call("key", [])
        assert await theirs.claim_call("key") is False, "nobody gives back what others hold"
        await ours.release_call("key", [attempt(fault="timeout", status=None), attempt(2.0, fault="server")])
        assert await theirs.claim_call("key") is True
        assert (await ours.stats())["attempts"] == 2


async def test_the_first_completion_wins_and_every_attempt_is_counted_once(url: str) -> None:
    async with opened(url) as ours, opened(url) as theirs:
        await ours.finish_call(completion(text="first"), [attempt(1.0)])
        await theirs.finish_call(completion(text="second"), [attempt(2.0)])
        await asyncio.gather(*(ours.finish_call(completion(text="first"), [attempt(1.0)]) for _ in range(3)))
        await asyncio.gather(*(ours.finish_call(completion("new"), [attempt(3.0)]) for _ in range(3)))
        found = await theirs.lookup("key")
        assert found is not None
        assert found.text == "first"
        figures = await ours.stats()
        assert (figures["completions"], figures["attempts"]) == (2, 3)
        assert await ours.verify() == []


async def test_no_call_is_claimed_by_two_nodes(url: str) -> None:
    keys = [f"key {n}" for n in range(300)]
    async with opened(url) as a, opened(url) as b:
        claims = await asyncio.gather(*(store.claim_call(key) for key in keys for store in (a, b)))
    ours, theirs = set(claims[::2]), set(claims[1::2])
    assert all(x is not y for x, y in zip(claims[::2], claims[1::2], strict=True))
    assert ours | theirs == {True, False}


async def test_no_call_is_claimed_by_two_processes_that_start_on_an_empty_database(url: str) -> None:
    body = """
keys = [f"key {n}" for n in range(200)]
claims = await asyncio.gather(*(store.claim_call(key) for key in keys))
say(" ".join(str(n) for n, claim in enumerate(claims) if claim is True))
sys.stdin.read()
"""
    with process(url, body) as a, process(url, body) as b, process(url, body) as c:
        lines = [other.stdout.readline().split() for other in (a, b, c) if other.stdout is not None]
    assert sorted(int(n) for line in lines for n in line) == list(range(200))


async def test_figures_name_tokens_and_cost_by_model(store: Store) -> None:
    await store.finish_call(completion("a", usage=Usage(1, 2), cost_usd=0.5), [])
    await store.finish_call(completion("b", usage=Usage(3, None), cost_usd=0.25), [])
    await store.finish_call(completion("c", model="k", usage=Usage(5, 5)), [attempt(), attempt(2.0)])
    await store.finish_task(result())
    figures = await store.stats()
    names = ("runs", "tasks", "completions", "attempts")
    assert [figures[name] for name in names] == [0, 1, 3, 2]
    assert figures["bytes"] > 0
    assert [list(row.values())[1:] for row in figures["models"]] == [["k", 1, 5, 5, None], ["m", 2, 4, None, 0.75]]


# --- crashes and cancellation -----------------------------------------------------------------------------------

HOLDING = """
assert await store.claim_call("key") is True
assert len(await store.claim_tasks([TaskKey("run", n, 0) for n in range(3)])) == 3
say("ready")
sys.stdin.read()
"""


async def test_what_a_killed_process_held_is_free_at_once(url: str) -> None:
    keys = [TaskKey("run", n, 0) for n in range(3)]
    async with opened(url) as store:
        with process(url, HOLDING) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            assert await store.claim_call("key") is False
            assert await store.claim_tasks(keys) == []
            kill_and_leave_unburied(other)
            assert await asyncio.gather(*(store.claim_call("key") for _ in range(5))) == [True] * 5
            assert await store.claim_tasks(keys) == keys


async def test_a_new_process_takes_over_from_a_killed_one_at_once(url: str) -> None:
    with process(url, HOLDING) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.send_signal(signal.SIGKILL)
        other.wait()
    async with opened(url) as store:
        assert await store.claim_call("key") is True
        assert len(await store.claim_tasks([TaskKey("run", n, 0) for n in range(3)])) == 3


async def test_whatever_was_acknowledged_is_there_after_kill_9(url: str) -> None:
    body = """
async def work(lane):
    for n in range(100_000):
        key = f"{lane}.{n}"
        await store.claim_call(key)
        await store.finish_call(Completion(request_key=key, provider="p", model="m", request="x" * 1000,
            response="y" * 1000, text=key, finish_reason="stop"), [])
        await store.finish_task(TaskResult(key=TaskKey(f"run {lane}", n, 0), outcome=Outcome.PASSED, score=1.0))
        say(key)
await asyncio.gather(*(work(lane) for lane in range(32)))
"""
    with process(url, body) as other:
        assert other.stdout is not None
        acknowledged = [other.stdout.readline() for _ in range(300)]
        other.kill()
        acknowledged += other.stdout.readlines()
    keys = [line.rstrip() for line in acknowledged if line.endswith("\n")]
    async with opened(url) as store:
        found = await asyncio.gather(*(store.lookup(key) for key in keys))
        assert [each.text if each else None for each in found] == keys
        tasks = {f"{lane}.{n}" for lane in range(32) for n, _, _ in await finished(store, f"run {lane}")}
        assert set(keys) <= tasks
        assert await store.verify() == []


async def test_a_caller_that_is_cancelled_in_mid_write_leaves_a_whole_store(store: Store) -> None:
    callers = [asyncio.create_task(store.finish_call(completion(f"key {n}"), [attempt(n)])) for n in range(50)]
    await asyncio.sleep(0)  # each has submitted its row
    for caller in callers[::2]:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    again = [store.finish_call(completion(f"key {n}"), [attempt(n)]) for n in range(0, 50, 2)]
    await asyncio.gather(*again)  # as one who was paid and interrupted does
    figures = await store.stats()
    assert (figures["completions"], figures["attempts"]) == (50, 50)


async def _finished(store: Store, result: TaskResult) -> None:
    await store.finish_task(result)


async def test_what_was_submitted_is_written_when_the_surrounding_tasks_are_cancelled(url: str) -> None:
    with anyio.CancelScope() as scope:
        async with opened(url) as store, anyio.create_task_group() as group:
            for n in range(500):
                group.start_soon(_finished, store, result(n))
            await anyio.lowlevel.cancel_shielded_checkpoint()
            scope.cancel()
    async with opened(url) as store:
        assert len(await finished(store)) == 500


async def test_a_closed_store_says_so(url: str) -> None:
    async with opened(url) as store:
        pass
    with pytest.raises(StorageError, match="closed"):
        await store.finish_task(result())
    with pytest.raises(StorageError, match="closed"):
        await store.lookup("key")


async def test_a_store_opened_to_read_reads_and_changes_nothing(url: str) -> None:
    async with opened(url) as store:
        await store.finish_call(completion(), [])
        async with opened(url, read_only=True) as reader:
            assert await reader.lookup("key") == completion()
    async with opened(url, read_only=True) as reader:
        assert await reader.lookup("key") == completion()
        assert (await reader.stats())["completions"] == 1
        with pytest.raises(StorageError, match="read only"):
            await reader.claim_call("key")
        with pytest.raises(StorageError, match="read only"):
            await reader.finish_task(result())


async def test_a_database_that_is_not_there_cannot_be_read(url: str) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        async with opened(url, read_only=True):
            pass
