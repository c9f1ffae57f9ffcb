"""A batch of writes as one SQLite transaction; runs in the thread of the write connection.

Rows go in by statements of many rows: each statement gives the interpreter away once, and the thread would
have to win it back for each row.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from engine.errors import StorageError

from . import statements
from .group_commit import Entry
from .rows import Row
from .statements import Dialect, Insert
from .store import Kind

SQLITE = Dialect(
    fragments={
        "NOW": "((julianday('now') - 2440587.5) * 86400.0)",
        "KEYS_1": "(SELECT value AS key FROM json_each($1))",
        "KEYS_2": "(SELECT value AS key FROM json_each($2))",
        "TASKS_2": "(SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS run_id,"
        " json_extract(value, '$[2]') AS datum_index, json_extract(value, '$[3]') AS repeat FROM json_each($2))",
        "ID": "INTEGER PRIMARY KEY",
        "CLUSTERED": "WITHOUT ROWID",
    },
    native=lambda text: re.sub(r"\$(\d+)", r"?\1", text),
)

CLAIM_CALLS = SQLITE(statements.CLAIM_CALLS)
CLAIM_TASKS = SQLITE(statements.CLAIM_TASKS)
END_LEASES = SQLITE(statements.END_LEASES)
RELEASE = SQLITE(statements.RELEASE)
ATTEMPTS_OF = SQLITE(statements.ATTEMPTS_OF)
STORED_SINCE = SQLITE(statements.STORED_SINCE)
DELETE_ORPHANS = SQLITE(statements.DELETE_ORPHANS)

_MOST_ROWS = 64
_SYSTEMIC = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""Errors of the database and not of a row."""


def error_code(error: BaseException) -> int:
    """The primary result code of SQLite; 0 for an error that is not from the database."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class BatchWriter:
    """Does batches for one node on one connection, which is in autocommit mode."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._texts: dict[tuple[str, int], str] = {}

    def __call__(self, connection: sqlite3.Connection, batch: list[Entry]) -> list[Any]:
        """The results of the entries, committed; a row that cannot be stored gives its own exception.

        Raises:
            sqlite3.Error: the database is busy, full or broken; nothing of the batch is stored.
        """
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            try:
                results = self._apply(cursor, batch)
            except Exception as error:
                if error_code(error) in _SYSTEMIC:
                    raise
                cursor.execute("ROLLBACK")
                cursor.execute("BEGIN IMMEDIATE")
                results = [self._alone(cursor, entry) for entry in batch]
            cursor.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled back already
                cursor.execute("ROLLBACK")
            raise
        return results

    def _alone(self, cursor: sqlite3.Cursor, entry: Entry) -> Any:
        cursor.execute("SAVEPOINT entry")
        try:
            result = self._apply(cursor, [entry])[0]
        except Exception as error:
            if error_code(error) in _SYSTEMIC:
                raise
            cursor.execute("ROLLBACK TO entry")
            result = StorageError(f"a row cannot be stored: {error}")
            result.__cause__ = error
        cursor.execute("RELEASE entry")
        return result

    def _apply(self, cursor: sqlite3.Cursor, batch: list[Entry]) -> list[Any]:
        calls: list[Row] = []
        bodies: list[Row] = []
        attempts: list[Row] = []
        tasks: list[Row] = []
        ended: list[str] = []
        rest: list[int] = []
        for place, (kind, payload, _, _) in enumerate(batch):
            if kind is Kind.FINISH_CALL:
                calls.append(payload[0])
                bodies.append(payload[1])
                attempts += payload[2]
                ended.append(payload[0][0])
            elif kind is Kind.FINISH_TASK:
                tasks.append(payload[0])
                ended.append(payload[1])
            else:
                rest.append(place)
                if kind is Kind.RELEASE:
                    attempts += payload[1]
        if calls:
            attempts = self._insert_calls(cursor, calls, bodies, attempts)
        self._insert(cursor, statements.INSERT_ATTEMPTS, attempts)
        self._insert(cursor, statements.UPSERT_TASKS, tasks)
        if ended:
            cursor.execute(END_LEASES, (json.dumps(ended),))
        return self._in_order(cursor, batch, rest)

    def _in_order(self, cursor: sqlite3.Cursor, batch: list[Entry], places: list[int]) -> list[Any]:
        """Claims, releases and single statements, as they came; claims that follow each other are one statement."""
        results: list[Any] = [None] * len(batch)
        claims: list[int] = []
        for place in places:
            kind, payload, _, _ = batch[place]
            if kind is Kind.CLAIM_CALL:
                claims.append(place)
                continue
            self._claim(cursor, batch, claims, results)
            claims = []
            if kind is Kind.CLAIM_TASKS:
                rows = cursor.execute(CLAIM_TASKS, (self._node_id, *payload)).fetchall()
                results[place] = {row[0] for row in rows}
            elif kind is Kind.RELEASE:
                cursor.execute(RELEASE, (json.dumps(payload[0]), self._node_id))
            else:
                results[place] = [cursor.execute(*statement).fetchall() for statement in payload]
        self._claim(cursor, batch, claims, results)
        return results

    def _claim(self, cursor: sqlite3.Cursor, batch: list[Entry], places: list[int], results: list[Any]) -> None:
        if places:
            keys = json.dumps([batch[place].payload for place in places])
            ours = {row[0] for row in cursor.execute(CLAIM_CALLS, (self._node_id, keys)).fetchall()}
            for place in places:
                results[place] = batch[place].payload in ours

    def _insert_calls(
        self, cursor: sqlite3.Cursor, calls: list[Row], bodies: list[Row], attempts: list[Row]
    ) -> list[Row]:
        """Those of the attempts that are still to be stored."""
        # Ids that grow keep both tables append-only; the write lock is held, so nobody else takes them.
        last = cursor.execute(statements.LAST_ID).fetchone()[0]
        ids = range(last + 1, last + 1 + len(calls))
        stored = self._insert(cursor, statements.INSERT_CALLS, [(n, *row) for n, row in zip(ids, calls, strict=True)])
        self._insert(cursor, statements.INSERT_BODIES, [(n, *row) for n, row in zip(ids, bodies, strict=True)])
        if stored == len(calls):
            return attempts
        # Some were there: from another node, or of a caller that was cancelled in the middle and says it again.
        cursor.execute(DELETE_ORPHANS, (last,))
        keys = {row[0] for row in calls}
        new = {row[0] for row in cursor.execute(STORED_SINCE, (last,)).fetchall()}
        known = set(cursor.execute(ATTEMPTS_OF, (json.dumps(list(keys)),)).fetchall())
        twice = keys if len(keys) < len(calls) else keys - new
        once = dict.fromkeys(row for row in attempts if row[0] in twice and row not in known)
        return [row for row in attempts if row[0] not in twice] + list(once)

    def _insert(self, cursor: sqlite3.Cursor, insert: Insert, rows: Sequence[Row]) -> int:
        """How many rows were stored; a power of two of them at a time, so that few texts are prepared."""
        start = stored = 0
        while start < len(rows):
            count = min(_MOST_ROWS, 1 << ((len(rows) - start).bit_length() - 1))
            text = self._texts.get((insert.table, count))
            if text is None:
                text = self._texts[insert.table, count] = SQLITE(insert.text(count))
            stored += cursor.execute(text, list(chain.from_iterable(rows[start : start + count]))).rowcount
            start += count
        return stored
