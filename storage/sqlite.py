"""The store on one SQLite file: the default, for any number of processes on one machine.

Three connections, each with a thread of its own: one writes, in batches; one looks completions up; one
answers the long questions, so that a report never holds up a run.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiosqlite

from engine.errors import StorageError

from . import statements
from .group_commit import Batcher, Entry, Patience, Trouble, again, to_its_end
from .rows import Row, completion_of
from .sqlite_batch import SQLITE, BatchWriter
from .sqlite_file import (
    Connection,
    connector,
    diagnose,
    file_path,
    migrations,
    prepare,
    prepare_to_read,
    quick_check,
    vacuum,
)
from .store import BatchedStore

_LOOKUPS_AT_ONCE = 64
_CHECK_S = 2.0
"""How long an unclean shutdown may delay the next start."""
_CLOSING_WAIT_S = 2.0
"""What was written is safe in the log; so long is a failing disk given to bring it into the file."""
_LOOKUP = SQLITE(statements.LOOKUP)


@asynccontextmanager
async def open_store(
    path_or_url: str | Path,
    *,
    folder: Path | None = None,
    read_only: bool = False,
    full_wait_s: float = 300.0,
    on_trouble: Callable[[str], None] | None = None,
) -> AsyncIterator[SqliteStore]:
    """The store in this file (`bench.db`, `sqlite:///bench.db`); the file and its folder are made where missing.

    A relative path is relative to `folder`, or to the current one. With `read_only` the file must be there,
    nothing is changed, and everything that would write raises. While the disk is full, writes wait up to
    `full_wait_s` and `on_trouble` hears of it. What was submitted is written before this ends, also when the
    surrounding tasks were cancelled.

    Raises:
        ConfigError: the URL is not one of SQLite, or names no file.
        StorageError: the file is no database, damaged, of another program or of a newer engine, or cannot be
            opened; it is left as it was. At the end: it could not be made whole.
    """
    path = file_path(path_or_url, folder=folder)
    store = SqliteStore(path, read_only=read_only, full_wait_s=full_wait_s, on_trouble=on_trouble)
    try:
        await store.start()
        yield store
    except BaseException:
        # The error that is on its way says more than one of closing, which is only told.
        try:
            await store.close()
        except StorageError as error:
            if on_trouble is not None:
                on_trouble(error.message)
        raise
    await store.close()


class SqliteStore(BatchedStore):
    """`engine.ports.Store` on a SQLite file; made by `open_store`."""

    def __init__(
        self, path: Path, *, read_only: bool, full_wait_s: float, on_trouble: Callable[[str], None] | None
    ) -> None:
        self._path = path
        self._read_only = read_only
        self._closed = False
        self._closing_wait_s = min(full_wait_s, _CLOSING_WAIT_S)
        self._writing = connector(path, read_only=read_only)
        self._looking_up = connector(path, read_only=read_only)
        self._scanning = connector(path, read_only=read_only)
        self._patiently = Patience(diagnose=self._diagnose, full_wait_s=full_wait_s, on_trouble=on_trouble)
        lookups = Batcher(self._look_up, batch_items=_LOOKUPS_AT_ONCE)
        writer = None if read_only else Batcher(self._commit)
        super().__init__(SQLITE, self._fetch, writer=writer, lookups=lookups)
        self._apply = BatchWriter(self.node.node_id)

    async def start(self) -> None:
        """Open the file and become one of its nodes.

        Raises:
            StorageError: see `open_store`.
        """
        steps = migrations()
        opening = Patience(diagnose=self._diagnose, full_wait_s=0.0)
        if not self._read_only:
            await opening(lambda: self._open(self._writing, prepare, steps))
        for connection in (self._looking_up, self._scanning):
            await opening(lambda connection=connection: self._open(connection, prepare_to_read, steps))  # type: ignore[misc]
        if not self._read_only:
            not_left = await self._not_left()
            dead = [node_id for node_id, is_dead, over in not_left if is_dead or over]
            if dead:
                await opening(self._check)
            await self._join(dead)

    async def close(self) -> None:
        """Write what is queued, leave, and make the file whole; safe to repeat.

        Raises:
            StorageError: what was written could not be brought from the log into the file.
        """
        if self._closed:
            return
        self._closed = True
        await to_its_end(self._close())

    async def _close(self) -> None:
        try:
            await self._drain()
            await self._stop(self._looking_up, self._scanning)
            if _is_open(self._writing):
                patiently = Patience(diagnose=self._diagnose, busy_wait_s=1.0, full_wait_s=self._closing_wait_s)
                await patiently(self._checkpoint)
        finally:
            await self._stop(self._looking_up, self._scanning, self._writing)

    async def stats(self) -> dict[str, Any]:
        """As `Reading.stats`, and `bytes`, the size of the file with its log."""
        log = self._path.with_name(self._path.name + "-wal")
        sizes = [file.stat().st_size for file in (self._path, log) if file.exists()]
        return {**await super().stats(), "path": str(self._path), "bytes": sum(sizes)}

    async def prune(self, *, before: float, model: str = "") -> int:
        """As `BatchedStore.prune`; the file gives its room back."""
        pruned = await super().prune(before=before, model=model)
        if pruned:
            patiently = Patience(diagnose=self._diagnose, busy_wait_s=5.0, full_wait_s=0.0)
            with suppress(StorageError):  # others are at work: what is stored next takes the room
                await patiently(lambda: self._writing.run(vacuum))
        return pruned

    # Connections ------------------------------------------------------------------------------------------------

    async def _open(
        self, connection: Connection, prepare: Callable[[sqlite3.Connection, Path, Sequence[str]], None], steps: Any
    ) -> None:
        if not _is_open(connection):
            try:
                await connection
            except BaseException:
                # Its thread still answers aiosqlite's own stop; it must not find the loop gone, and say so at length.
                connection._thread.join(1.0)  # it has nothing else to do
                raise
        await connection.run(prepare, self._path, steps)

    async def _check(self) -> None:
        timer = asyncio.get_running_loop().call_later(_CHECK_S, self._scanning.break_off)
        try:
            await self._scanning.run(quick_check, self._path)
        finally:
            timer.cancel()

    async def _checkpoint(self) -> None:
        # A busy answer is no error: another process is still there and will do it.
        await self._writing.run(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    async def _drain(self) -> None:
        try:
            await self._leave()
        except StorageError:
            pass  # whoever waited for a write has heard of it; the lease runs out by itself
        finally:
            if self._writer is not None:
                await self._writer.close()
            await self._lookups.close()

    async def _stop(self, *connections: aiosqlite.Connection) -> None:
        # A connection left open would keep the process from exiting, whatever happened before.
        for connection in connections:
            await connection.close()

    # Batches ----------------------------------------------------------------------------------------------------

    async def _commit(self, batch: list[Entry]) -> Sequence[Any]:
        return await self._patiently(lambda: self._writing.run(self._apply, batch))

    async def _look_up(self, batch: list[Entry]) -> Sequence[Any]:
        keys = json.dumps(list({entry.payload for entry in batch}))
        try:
            rows = await self._looking_up.run(_fetch, _LOOKUP, (keys,))
            found = {row[0]: completion_of(row) for row in rows}
        except (sqlite3.Error, ValueError) as error:
            meant = self._diagnose(error)[1]
            return [again(meant) for _ in batch]
        return [found.get(entry.payload) for entry in batch]

    async def _fetch(self, text: str, parameters: tuple[Any, ...]) -> list[Row]:
        try:
            return await self._scanning.run(_fetch, text, parameters)
        except (sqlite3.Error, ValueError) as error:
            raise self._diagnose(error)[1] from error

    def _diagnose(self, error: Exception) -> tuple[Trouble, StorageError]:
        return diagnose(self._path, error)


def _fetch(connection: sqlite3.Connection, text: str, parameters: tuple[Any, ...]) -> list[Row]:
    return connection.execute(text, parameters).fetchall()


def _is_open(connection: aiosqlite.Connection) -> bool:
    return connection._connection is not None
