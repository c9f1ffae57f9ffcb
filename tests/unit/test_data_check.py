"""What is remembered about a file that was checked, and what a changed file does."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from engine.data import DatasetView, open_dataset
from engine.errors import DatasetError


def opened(path: Path) -> DatasetView:
    return open_dataset(str(path), folder=path.parent, home=path.parent / "home")


def kept(path: Path) -> list[Path]:
    return sorted((path.parent / "home" / "cache" / "datasets").glob("*"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    return path


def test_a_second_start_believes_the_first(rows: Path) -> None:
    first = opened(rows)
    (memory,) = kept(rows)
    told = json.loads(memory.read_text())
    told["summary"]["fingerprint"] = "from memory"
    memory.write_text(json.dumps(told))
    second = opened(rows)
    assert second.fingerprint == "from memory" != first.fingerprint
    assert list(second) == [{"a": 1}, {"a": 2}]
    assert second.column_names == ["a"]


def test_a_file_that_changed_is_checked_again(rows: Path) -> None:
    before = opened(rows).fingerprint
    rows.write_text('{"a": 1}\n{"a": 3}\n')
    assert opened(rows).fingerprint != before
    rows.write_text('{"a": 1}\n{"a"  3}\n')
    with pytest.raises(DatasetError, match=r"rows\.jsonl:2: broken JSON"):
        opened(rows)


def test_an_edit_that_keeps_size_and_time_of_modification_is_seen(rows: Path) -> None:
    before, status = opened(rows).fingerprint, rows.stat()
    rows.write_text('{"a": 1}\n{"a": 9}\n')
    os.utime(rows, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert rows.stat().st_mtime_ns == status.st_mtime_ns
    assert opened(rows).fingerprint != before


def test_a_broken_file_is_not_remembered_as_sound(rows: Path) -> None:
    rows.write_text("{torn\n")
    for _ in range(2):
        with pytest.raises(DatasetError, match="broken JSON"):
            opened(rows)
    assert kept(rows) == []


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"stamp": [], "summary": {}}'])
def test_a_torn_memory_is_made_anew(rows: Path, memory: str) -> None:
    before = opened(rows).fingerprint
    kept(rows)[0].write_text(memory)
    assert opened(rows).fingerprint == before
    assert json.loads(kept(rows)[0].read_text())["summary"]["rows"] == 2


def test_a_cache_that_cannot_be_written_only_costs_time(rows: Path) -> None:
    blocked = rows.parent / "blocked"
    blocked.write_text("a file where the folder should be")
    assert len(open_dataset(str(rows), folder=rows.parent, home=rows.parent, cache=blocked / "x")) == 2


def test_a_file_that_changes_after_the_check_is_not_read_on(rows: Path) -> None:
    view = opened(rows)
    rows.write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n')
    with pytest.raises(DatasetError, match="was changed after it had been checked"):
        list(view)
    rows.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        view[0]


def test_no_row_is_used_of_a_file_that_is_written_while_it_is_read(rows: Path) -> None:
    rows.write_text("".join(f'{{"a": {n:06d}}}\n'.replace(": 0", ": 1", 1) for n in range(20_000)))
    view = opened(rows)
    before = [row["a"] for row in view]
    reading = view.read()
    seen = [row["a"] for _, row in islice(reading, 100)]
    rows.write_bytes(rows.read_bytes().replace(b": 1", b": 2"))
    with pytest.raises(DatasetError, match="was changed after it had been checked"):
        seen.extend(row["a"] for _, row in reading)
    assert seen == before[: len(seen)]
    assert len(seen) < 1000


def test_what_metadata_declares_is_part_of_what_is_remembered(rows: Path) -> None:
    opened(rows)
    (rows.parent / "metadata.json").write_text('{"details": {"id_field": "b"}}')
    with pytest.raises(DatasetError, match="has no 'b'"):
        opened(rows)
