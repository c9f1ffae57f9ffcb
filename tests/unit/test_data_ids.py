"""Ids: which field names a row, and when a second row with the same id is an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.data import DatasetView, datum_id, open_dataset
from engine.errors import DatasetError


def opened(folder: Path, text: str, name: str = "rows.jsonl", metadata: object = None) -> DatasetView:
    (folder / name).write_text(text, encoding="utf-8")
    if metadata is not None:
        (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return open_dataset(name, folder=folder, home=folder / "home")


def test_the_first_known_field_names_a_row() -> None:
    assert datum_id({"question_id": "q7", "key": 3}) == "q7"
    assert datum_id({"key": 1000}) == "1000"
    assert datum_id({"id": 0, "key": 1000}) == "0"
    assert datum_id({"id": None, "task_id": "HumanEval/3"}) == "HumanEval/3"
    assert datum_id({"question": "?"}) == ""
    assert datum_id({"id": 1, "name": "x"}, field="name") == "x"


def test_a_repeated_id_is_refused_and_both_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        opened(tmp_path, '{"id": "a"}\n\n{"id": 7}\n{"id": "b"}\n{"id": "7"}\n')
    path = tmp_path / "rows.jsonl"
    assert caught.value.message == f"{path}:5: the id '7' is also that of {path}:3"
    assert "id_field" in caught.value.hint


def test_a_repeated_id_in_csv_and_in_a_document_is_named_by_line_and_by_row(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"rows.csv:5: the id '1' is also that of .*rows.csv:2"):
        opened(tmp_path, 'id,text\n1,"two\nlines"\n2,x\n1,y\n', name="rows.csv")
    with pytest.raises(DatasetError, match=r"rows.json row 2: the id '1' is also that of .*rows.json row 0"):
        opened(tmp_path, '[{"id": 1}, {"id": 2}, {"id": 1}]', name="rows.json")


def test_equal_rows_and_other_fields_that_repeat_are_fine(tmp_path: Path) -> None:
    assert len(opened(tmp_path, '{"task_id": 1}\n{"task_id": 1}\n{"q": "x"}\n{"q": "x"}\n')) == 4


def test_the_field_id_declares_nothing_where_some_rows_lack_it(tmp_path: Path) -> None:
    assert len(opened(tmp_path, '{"id": 1}\n{"id": 1}\n{"id": null}\n')) == 3


def test_metadata_declares_another_field_or_none(tmp_path: Path) -> None:
    declared = {"details": {"id_field": "name"}}
    with pytest.raises(DatasetError, match=r"rows.jsonl:2: the name 'x' is also that of"):
        opened(tmp_path, '{"id": 1, "name": "x"}\n{"id": 2, "name": "x"}\n', metadata=declared)
    with pytest.raises(DatasetError, match=r"rows\.jsonl:2: has no 'name'"):
        opened(tmp_path, '{"name": "x"}\n{"id": 2}\n', metadata=declared)
    assert len(opened(tmp_path, '{"id": 1}\n{"id": 1}\n', metadata={"details": {"id_field": ""}})) == 2


def test_the_view_names_rows_by_the_declared_field(tmp_path: Path) -> None:
    view = opened(tmp_path, '{"id": 1, "name": "x"}\n', metadata={"details": {"id_field": "name"}})
    assert view.datum_id(view[0]) == "x"
