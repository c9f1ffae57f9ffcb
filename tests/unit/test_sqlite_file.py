"""Opening SQLite files: whose they are, which schema they have, and what is said of those that cannot be used."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, StorageError
from engine.records import Completion
from storage import backend
from storage.sqlite import open_store
from storage.sqlite_file import APPLICATION_ID, file_path, migrations, prepare

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
GARBAGE = [b"hello", b'{"a": 1}\n' * 900, os.urandom(20_000), b"SQLite format 3\0" + b"x" * 90]


def completion(key: str) -> Completion:
    return Completion(
        request_key=key, provider="p", model="m", request="x" * 500, response="y" * 500, text="z", finish_reason="stop"
    )


async def filled(path: Path, rows: int = 200) -> Path:
    """A closed database with completions."""
    async with open_store(path) as store:
        await asyncio.gather(*(store.finish_call(completion(str(n)), []) for n in range(rows)))
    return path


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql://x/y", "rows://x", "store:///x.db", "migrations://x"])
def test_what_no_backend_takes_is_refused_also_where_a_file_here_has_its_name(url):
    with pytest.raises(ConfigError, match=f"no storage for urls like '{url.partition(':')[0]}'"):
        backend(url)


def ask(path: Path, text: str, *, uri: bool = False) -> Any:
    with closing(sqlite3.connect(path, uri=uri)) as connection, connection:
        return connection.execute(text).fetchall()


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def refused(path: Path, **options: Any) -> StorageError:
    """The error of opening this file, which is left as it was, with nothing beside it and no thread behind it."""
    threads, content = threading.enumerate(), content_of(path)
    with pytest.raises(StorageError) as caught:
        async with open_store(path, **options):
            pass
    for thread in set(threading.enumerate()) - set(threads):
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert content_of(path) == content
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 5
    return caught.value


# --- urls -------------------------------------------------------------------------------------------------------


def test_three_slashes_are_relative_and_four_are_absolute(tmp_path: Path) -> None:
    assert file_path("sqlite:///bench.db") == Path("bench.db")
    assert file_path("sqlite:////data/bench.db") == Path("/data/bench.db")
    assert file_path("a/bench.db", folder=tmp_path) == tmp_path / "a" / "bench.db"
    assert file_path("sqlite:////data/bench.db", folder=tmp_path) == Path("/data/bench.db")
    assert file_path(tmp_path / "x.db") == tmp_path / "x.db"


@pytest.mark.parametrize("url", ["sqlite://bench.db", "sqlite:///", "", ":memory:", "mysql://host/db", "sqlite:x"])
def test_a_url_that_names_no_sqlite_file_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        file_path(url)


def test_a_backend_is_found_by_the_scheme() -> None:
    for url in ("sqlite:///x.db", "x.db", Path("x.db"), "C:/x.db"):
        assert backend(url).__name__ == "storage.sqlite"
    with pytest.raises(ConfigError, match="mysql"):
        backend("mysql://host/db")


async def test_the_folder_is_made(tmp_path: Path) -> None:
    async with open_store("sqlite:///a/b/bench.db", folder=tmp_path):
        assert (tmp_path / "a" / "b" / "bench.db").is_file()


# --- settings and schema ----------------------------------------------------------------------------------------


async def test_a_new_file_has_the_settings_that_were_measured(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", rows=1)
    assert files_in(tmp_path) == ["x.db"], "closing brings the log into the file"
    found = [ask(path, f"PRAGMA {name}")[0][0] for name in ("page_size", "journal_mode", "application_id")]
    assert found == [8192, "wal", APPLICATION_ID]
    assert ask(path, "PRAGMA user_version") == [(len(migrations()),)]
    async with open_store(path) as store:
        names = ("synchronous", "busy_timeout", "foreign_keys", "journal_size_limit", "cell_size_check", "temp_store")
        values = await store._writing.run(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in names])
    assert values == [2, 50, 1, 64 << 20, 1, 2]


async def test_every_table_and_column_is_in_the_documentation(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", rows=0)
    text = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    documented = {name: set(re.findall(r"^\| `(\w+)`", body, re.MULTILINE)) for name, body in sections.items()}
    tables = [name for (name,) in ask(path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    assert documented == {name: {row[1] for row in ask(path, f"PRAGMA table_info({name})")} for name in tables}


async def test_the_queries_in_the_documentation_run(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", rows=1)
    text = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    queries = [query for query in block.split(";") if query.strip()]
    assert len(queries) >= 4
    for query in queries:
        ask(path, query)


def test_an_older_schema_is_brought_up_to_date_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    older, newer = migrations(), "ALTER TABLE runs ADD COLUMN note TEXT;\nCREATE TABLE notes (x TEXT);"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        prepare(connection, path, older)
        with pytest.raises(sqlite3.OperationalError):
            prepare(connection, path, (*older, newer, "NONSENSE"))
        assert connection.execute("PRAGMA user_version").fetchone() == (len(older),)
        assert "note" not in [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        prepare(connection, path, (*older, newer))
        assert connection.execute("PRAGMA user_version").fetchone() == (len(older) + 1,)
        assert "note" in [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        prepare(connection, path, (*older, newer))


async def test_tokens_of_an_older_file_that_nobody_told_become_unknown_and_all_else_stays(tmp_path: Path) -> None:
    path, told = tmp_path / "x.db", [(1, 0, 0), (1, 7, 0), (0, 0, 0), (2, 9, 4)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        prepare(connection, path, migrations()[:1])
        for index, (calls, read, written) in enumerate(told):
            row = ("r", index, 0, "passed", 0.5, f"q{index}", 1, calls, 0, 3, read, written, None, 0.25, 1.5, 2.5)
            row = (*row, '{"x": 1}', '["t"]', "answer", "null", None)
            connection.execute(f"INSERT INTO tasks VALUES ({', '.join('?' * len(row))})", row)
    before = ask(path, "SELECT * FROM tasks ORDER BY datum_index")
    async with open_store(path):
        pass
    after = ask(path, "SELECT * FROM tasks ORDER BY datum_index")
    assert [row[10:12] for row in after] == [(None, None), (7, 0), (0, 0), (9, 4)]
    assert [row[:10] + row[12:] for row in after] == [row[:10] + row[12:] for row in before]
    assert "WITHOUT ROWID" in ask(path, "SELECT sql FROM sqlite_master WHERE name = 'tasks'")[0][0]


async def test_an_older_schema_cannot_be_opened_to_read(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    ask(path, f"PRAGMA application_id = {APPLICATION_ID}")
    assert "has schema 0" in (await refused(path, read_only=True)).message
    await filled(path, rows=1)


async def test_a_newer_schema_is_refused_naming_both_versions(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db")
    ask(path, "PRAGMA user_version = 99")
    error = await refused(path)
    assert "has schema 99" in error.message
    assert f"up to {len(migrations())}" in error.message


# --- files that cannot be used ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", GARBAGE)
async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    assert "is no SQLite database" in (await refused(path)).message
    assert "is no SQLite database" in (await refused(path, read_only=True)).message


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    await filled(tmp_path / "x.db", rows=1)


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db")
    os.truncate(path, path.stat().st_size // 2)
    assert "is damaged" in (await refused(path)).message


async def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    ask(path, "CREATE TABLE bookmarks (url TEXT)")
    assert "belongs to another program" in (await refused(path)).message
    assert ask(path, "PRAGMA journal_mode") == [("delete",)]


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "is a folder" in (await refused(tmp_path)).message


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made" in (await refused(tmp_path / "file" / "x.db")).message


@contextmanager
def protected(path: Path) -> Iterator[None]:
    """The file and its folder can be read and not written; root, who may write everywhere, is nobody meanwhile."""
    path.chmod(0o444)
    path.parent.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.parent.chmod(0o755)


async def test_a_file_that_may_not_be_written_is_refused_and_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = await filled(Path(folder) / "x.db", rows=3)
        with protected(path):
            assert "cannot be opened or written" in (await refused(path)).message
            async with open_store(path, read_only=True) as store:
                assert (await store.stats())["completions"] == 3


# --- damage -----------------------------------------------------------------------------------------------------


def damage(path: Path) -> None:
    """Random pages in the middle, which opening alone does not notice."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 // 2 * 8192)
        file.write(os.urandom(10 * 8192))


async def test_damage_is_found_after_an_unclean_shutdown(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", rows=600)
    damage(path)
    ask(path, "UPDATE nodes SET expires_at = 1e12, pid_started = 'another process'")
    for _ in range(2):
        assert "is damaged" in (await refused(path)).message


async def test_a_whole_file_opens_after_an_unclean_shutdown(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db")
    ask(path, "UPDATE nodes SET expires_at = 1e12, pid_started = 'another process'")
    await filled(path)
    assert ask(path, "SELECT count(*) FROM nodes WHERE expires_at > 0") == [(0,)]


async def test_damage_that_is_met_while_reading_is_an_error_and_no_hang(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", rows=600)
    damage(path)
    async with open_store(path) as store:
        with pytest.raises(StorageError, match="is damaged"):
            await store.verify()


async def test_a_changed_body_is_found_by_its_hash(tmp_path: Path) -> None:
    path = await filled(tmp_path / "x.db", rows=300)
    ask(path, "UPDATE bodies SET text = 'forged' WHERE id = 7")
    ask(path, "DELETE FROM bodies WHERE id = 300")
    async with open_store(path) as store:
        assert await store.verify() == ["6", "299"]
