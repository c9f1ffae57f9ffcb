"""Writing to SQLite in company: other programs, a full disk, nodes elsewhere, and many rows at a time."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StorageError
from engine.records import Completion, Outcome, TaskKey, TaskResult
from storage.group_commit import Batcher, Entry, Patience, Trouble
from storage.sqlite import SqliteStore, open_store


def result(index: int, **changes: Any) -> TaskResult:
    return TaskResult(key=TaskKey("run", index, 0), outcome=Outcome.PASSED, score=1.0, **changes)


def completion(key: str, size: int = 100) -> Completion:
    return Completion(
        request_key=key, provider="p", model="m", request="x" * size, response="", text="", finish_reason="stop"
    )


async def finished(store: SqliteStore) -> list[int]:
    return [index async for chunk in store.finished("run") for index, _, _ in chunk]


# --- batches ----------------------------------------------------------------------------------------------------


async def test_a_batch_takes_what_is_there_up_to_its_limits() -> None:
    sizes: list[int] = []

    async def work(batch: list[Entry]) -> list[Any]:
        sizes.append(len(batch))
        await asyncio.sleep(0)
        return [entry.payload for entry in batch]

    batcher = Batcher(work, batch_items=10, batch_bytes=100)
    assert await asyncio.gather(*(batcher.submit(None, n) for n in range(25))) == list(range(25))
    assert sizes == [10, 10, 5]
    sizes.clear()
    await asyncio.gather(*(batcher.submit(None, n, size) for n, size in enumerate([60, 60, 40, 500, 1])))
    assert sizes == [1, 2, 1, 1]
    await batcher.close()


async def test_a_full_queue_holds_its_callers_back() -> None:
    gate, done = asyncio.Event(), 0

    async def work(batch: list[Entry]) -> list[Any]:
        nonlocal done
        await gate.wait()
        done += len(batch)
        return [None] * len(batch)

    batcher = Batcher(work, batch_items=4, queue_bytes=100)
    callers = [asyncio.create_task(batcher.submit(None, n, 30)) for n in range(40)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert batcher._held_bytes <= 130
    gate.set()
    await asyncio.gather(*callers)
    assert done == 40
    await batcher.close()


async def test_a_worker_that_fails_for_good_fails_everyone_who_waits_and_everyone_after() -> None:
    async def work(batch: list[Entry]) -> list[Any]:
        raise StorageError("the disk is gone")

    batcher = Batcher(work, batch_items=1)
    ended = await asyncio.gather(*(batcher.submit(None, n) for n in range(3)), return_exceptions=True)
    assert [str(each) for each in ended] == ["the disk is gone"] * 3
    assert len({id(each) for each in ended}) == 3
    with pytest.raises(StorageError, match="the disk is gone"):
        await batcher.submit(None, 4)
    await batcher.close()


async def test_more_rows_than_a_statement_holds_are_written(tmp_path: Path) -> None:
    async with open_store(tmp_path / "x.db") as store:
        await asyncio.gather(*(store.finish_task(result(n)) for n in range(1003)))
        await asyncio.gather(*(store.finish_call(completion(str(n)), []) for n in range(1003)))
        assert await finished(store) == list(range(1003))
        found = await asyncio.gather(*(store.lookup(str(n)) for n in range(1003)))
        assert [each.request_key for each in found if each] == [str(n) for n in range(1003)]


async def test_bodies_larger_than_a_batch_are_written(tmp_path: Path) -> None:
    async with open_store(tmp_path / "x.db") as store:
        await asyncio.gather(*(store.finish_call(completion(str(n), size=5 << 20), []) for n in range(3)))
        found = await store.lookup("2")
        assert found is not None
        assert len(found.request) == 5 << 20


# --- others who hold the file -----------------------------------------------------------------------------------


async def test_a_write_waits_for_another_program_that_holds_the_lock(tmp_path: Path) -> None:
    async with open_store(tmp_path / "x.db") as store:
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            write = store.finish_task(result(1))
            done, _ = await asyncio.wait([write], timeout=0.15)
            assert not done
            other.execute("ROLLBACK")
            await write
        assert await finished(store) == [1]


async def test_a_lock_that_is_never_given_back_ends_in_an_error() -> None:
    locked = StorageError("is locked")
    patiently = Patience(diagnose=lambda _: (Trouble.BUSY, locked), busy_wait_s=0.05)

    async def work() -> None:
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(StorageError, match="is locked"):
        await patiently(work)


# --- a disk without room ----------------------------------------------------------------------------------------


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process grows beyond this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    heard: list[str] = []
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room(message: str) -> None:
        heard.append(message)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    async with open_store(tmp_path / "x.db", on_trouble=make_room) as store:
        await store.finish_task(result(0))
        with room_for(1 << 20):
            await asyncio.gather(*(store.finish_task(result(n, answer="x" * 10_000)) for n in range(1, 300)))
        assert await finished(store) == list(range(300))
    assert len(heard) == 1
    assert "x.db" in heard[0]
    assert "nothing is lost, trying again in 1 s" in heard[0]


async def test_a_disk_that_stays_full_ends_in_an_error_for_all_and_what_was_acknowledged_is_kept(
    tmp_path: Path,
) -> None:
    with room_for(1 << 20):
        async with open_store(tmp_path / "x.db", full_wait_s=0.05) as store:
            await store.finish_task(result(0))
            writes = [store.finish_task(result(n, answer="x" * 20_000)) for n in range(1, 600)]
            ended = await asyncio.gather(*writes, return_exceptions=True)
            failed = {type(each) for each in ended if each is not None}
            assert failed == {StorageError}
            with pytest.raises(StorageError, match="disk"):
                await store.finish_task(result(1000))
    kept = {0} | {n for n, each in enumerate(ended, 1) if each is None}
    async with open_store(tmp_path / "x.db") as store:
        assert kept <= set(await finished(store))


# --- nodes ------------------------------------------------------------------------------------------------------


def node(path: Path, node_id: str, **columns: Any) -> None:
    """A node of another host, that holds the call `key`."""
    row = {"host": "elsewhere", "boot_id": "b", "pid": 1, "pid_started": "1", "started_at": 1.0} | columns
    with closing(sqlite3.connect(path)) as connection, connection:
        names = ", ".join(["node_id", *row])
        connection.execute(
            f"INSERT INTO nodes ({names}) VALUES (?{', ?' * len(row)})",
            (node_id, *row.values()),
        )
        connection.execute("INSERT INTO leases VALUES ('key', ?, 1)", (node_id,))


async def test_a_node_elsewhere_holds_its_leases_until_its_heart_has_stopped(tmp_path: Path) -> None:
    async with open_store(tmp_path / "x.db") as store:
        node(tmp_path / "x.db", "theirs", expires_at=1e12)
        assert await store.claim_call("key") is False
        with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
            connection.execute("UPDATE nodes SET expires_at = 1.0 WHERE node_id = 'theirs'")
        assert await store.claim_call("key") is True


async def test_a_node_of_an_older_boot_of_this_host_holds_nothing(tmp_path: Path) -> None:
    async with open_store(tmp_path / "x.db") as store:
        here = store.node
        node(tmp_path / "x.db", "theirs", expires_at=1e12, host=here.host, boot_id="older", pid=here.pid)
        assert await store.claim_call("key") is True


async def test_a_node_whose_number_another_process_has_now_holds_nothing(tmp_path: Path) -> None:
    async with open_store(tmp_path / "x.db") as store:
        here = store.node
        node(tmp_path / "x.db", "theirs", expires_at=1e12, host=here.host, boot_id=here.boot_id, pid=here.pid)
        assert await store.claim_call("key") is True


async def test_the_heart_of_a_node_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.store.TTL_S", 0.03)

    def expires_at() -> float:
        with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
            [(value,)] = connection.execute("SELECT expires_at FROM nodes").fetchall()
            return float(value)

    async with open_store(tmp_path / "x.db"):
        first = expires_at()
        for _ in range(1000):
            if expires_at() != first:
                break
            await asyncio.sleep(0.01)
        assert expires_at() > first
    assert expires_at() == 0
