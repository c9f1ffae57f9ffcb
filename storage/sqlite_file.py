"""Opening a SQLite file safely: whose it is, which schema it has, how it is set, and errors that a person can read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

from engine.errors import ConfigError, OlderSchemaError, StorageError

from .group_commit import Trouble
from .sqlite_batch import SQLITE, error_code

T = TypeVar("T")

APPLICATION_ID = 0x656E6762
"""Marks the files that are ours: `engb`."""
BUSY_MS = 50
READ_BUSY_MS = 5_000
_URL = "sqlite:///"
_EXAMPLE = "sqlite:///bench.db is a file beside you, sqlite:////data/bench.db an absolute path"


class Connection(aiosqlite.Connection):
    """A connection whose thread also runs whole functions: one hop for many statements."""

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work(connection, *arguments)` returns, run in the thread that owns the connection."""
        result: T = await self._execute(work, self._conn, *arguments)  # type: ignore[no-untyped-call]
        return result

    def break_off(self) -> None:
        """Make what runs at this moment fail; from any thread."""
        if self._connection is not None:
            self._connection.interrupt()


def file_path(path_or_url: str | Path, *, folder: Path | None = None) -> Path:
    """The file that a path or a URL like `sqlite:///bench.db` means; a relative one is in `folder`.

    Raises:
        ConfigError: it is another kind of URL, or names no file.
    """
    text = str(path_or_url)
    if text.startswith(_URL):
        text = text.removeprefix(_URL)
    elif "://" in text or text.startswith("sqlite:"):
        raise ConfigError(f"the storage url {text!r} is not one of SQLite", hint=_EXAMPLE)
    if text in {"", ":memory:"}:
        raise ConfigError(f"the storage url {str(path_or_url)!r} names no file", hint=_EXAMPLE)
    return (folder or Path()) / Path(text).expanduser()


def connector(path: Path, *, read_only: bool) -> Connection:
    """A connection to the file, not yet opened; a file that is there is changed by nothing here.

    Raises:
        StorageError: there is no such file to read, or no folder to write in.
    """
    if path.is_dir():
        raise StorageError(f"the database {str(path)!r} is a folder", hint="name a file in it, as bench.db")
    if read_only:
        if not path.is_file():
            raise StorageError(f"there is no database {str(path)!r}", hint="a run makes it; or name another file")
        return Connection(lambda: _open_read_only(path), 64)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder of the database {str(path)!r} cannot be made: {error.strerror}",
            hint="ENGINE_HOME, or storage.url in bench.toml, must name a folder that you may write in",
        ) from error
    return Connection(lambda: sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None), 64)


def _open_read_only(path: Path) -> sqlite3.Connection:
    url = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection = sqlite3.connect(url, timeout=READ_BUSY_MS / 1000, isolation_level=None, uri=True)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if error_code(error) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} or log.exists():
            raise
        # In a folder that is read-only the log cannot be made; without one the file alone is whole.
        return sqlite3.connect(url + "&immutable=1", isolation_level=None, uri=True)
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def migrations() -> tuple[str, ...]:
    """The numbered migrations in order, in the words of SQLite; their number is the schema's version."""
    found = sorted((entry.name, entry) for entry in (files(__package__) / "migrations").iterdir())
    texts = (entry.read_text(encoding="utf-8") for name, entry in found if name.endswith(".sql"))
    return tuple(SQLITE(text) for text in texts)


def prepare(connection: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Set the connection for writing, and bring the file to the newest schema in one transaction.

    Safe to repeat, and for several processes at once on a new file.

    Raises:
        StorageError: the file belongs to another program or to a newer engine; it is left as it was.
        sqlite3.Error: the file is busy, damaged or cannot be written.
    """
    version = schema_version(connection, path, newest=len(steps))
    if version == 0:
        connection.execute("PRAGMA page_size = 8192")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(
            f"the database {str(path)!r} is on a file system without shared memory (journal mode {mode!r})",
            hint="put it on a local disk; network folders lose data",
        )
    settings = (
        *("synchronous = FULL", f"busy_timeout = {BUSY_MS}", "foreign_keys = ON", "wal_autocheckpoint = 1000"),
        *(f"journal_size_limit = {64 << 20}", "cell_size_check = ON"),
        # Else what undoes a statement is a file: half of all that is written, and a quarter of the writer's time.
        "temp_store = MEMORY",
    )
    for setting in settings:
        connection.execute(f"PRAGMA {setting}").fetchall()
    if version < len(steps):
        _migrate(connection, path, steps)


def prepare_to_read(connection: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Set the connection for reading; an older schema is refused, for nothing may be changed.

    Raises:
        OlderSchemaError: the schema is not the newest.
    """
    version = schema_version(connection, path, newest=len(steps))
    if version < len(steps):
        raise OlderSchemaError(
            f"the database {str(path)!r} has schema {version}, and this engine reads schema {len(steps)}",
            hint="open it once for writing, as a run does, to bring it up to date",
        )
    for setting in ("query_only = ON", "cell_size_check = ON", f"busy_timeout = {READ_BUSY_MS}"):
        connection.execute(f"PRAGMA {setting}").fetchall()


def schema_version(connection: sqlite3.Connection, path: Path, *, newest: int) -> int:
    """The schema's version of a file that is ours; 0 for a new one.

    Raises:
        StorageError: the file is of another program, or its schema is newer than `newest`.
    """
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (owner or tables):
        raise StorageError(
            f"the database {str(path)!r} belongs to another program", hint="name another file; it was not changed"
        )
    if version > newest:
        raise StorageError(
            f"the database {str(path)!r} has schema {version}, and this engine knows schemas up to {newest}",
            hint="install the newer engine that made it, or name another file; it was not changed",
        )
    return version


def _migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited for the lock.
        for step in steps[schema_version(connection, path, newest=len(steps)) :]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def quick_check(connection: sqlite3.Connection, path: Path) -> None:
    """Look through the file for damage; what is not found before `Connection.break_off` is not found.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        [[answer]] = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if error_code(error) == sqlite3.SQLITE_INTERRUPT:
            return
        raise
    if answer != "ok":
        raise _damaged(path, answer)


def vacuum(connection: sqlite3.Connection) -> None:
    """Give room back; by a temporary file, for in memory the copy would be as large as the database.

    Raises:
        sqlite3.Error: others read or write, or the disk is full; nothing is changed.
    """
    connection.execute("PRAGMA temp_store = DEFAULT")
    try:
        connection.execute("VACUUM").fetchall()
    finally:
        connection.execute("PRAGMA temp_store = MEMORY")


def diagnose(path: Path, error: Exception) -> tuple[Trouble, StorageError]:
    """What an error of the database means, and the one that a person reads."""
    if isinstance(error, StorageError):
        return Trouble.FATAL, error
    code, name = error_code(error), getattr(error, "sqlite_errorname", "")
    if code == sqlite3.SQLITE_CORRUPT:
        return Trouble.FATAL, _damaged(path, str(error))
    trouble, what, hint = _TROUBLES.get(code, (Trouble.FATAL, "failed: {error}", ""))
    return trouble, StorageError(f"the database {str(path)!r} " + what.format(error=error, name=name), hint=hint)


_LOCKED = (Trouble.BUSY, "is locked by another program", "end the program that holds it, as a database browser")
_DENIED = (Trouble.FATAL, "cannot be opened or written: {error}", "check who may write to the file and its folder")
_TROUBLES = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_FULL: (Trouble.FULL, "does not fit: its disk is full", "make room on the disk"),
    sqlite3.SQLITE_IOERR: (Trouble.FULL, "is on a disk that fails ({name})", "check its space, quota and connection"),
    sqlite3.SQLITE_NOTADB: (Trouble.FATAL, "is no SQLite database", "name another file; it was not changed"),
    sqlite3.SQLITE_READONLY: _DENIED,
    sqlite3.SQLITE_CANTOPEN: _DENIED,
    sqlite3.SQLITE_PERM: _DENIED,
}


def _damaged(path: Path, what: str) -> StorageError:
    hint = f"keep a copy, then save what can be read: sqlite3 {path.name} .recover | sqlite3 saved.db"
    return StorageError(f"the database {str(path)!r} is damaged: {' '.join(what.split())}", hint=hint)
