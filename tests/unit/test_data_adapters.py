"""Published files of other shapes: MMLU's archive, MGSM's files without a header, BIG-Bench Hard's folder."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine.data.reference import open_dataset
from engine.errors import DatasetError

QUOTED = 'Which?\nTwo "lines"'


def opened(path: Path, subset: str = "") -> Any:
    return open_dataset(str(path), subset=subset, folder=path.parent, home=path.parent / "home")


def rows_of(path: Path, subset: str = "") -> list[dict[str, Any]]:
    return [row for _, row in opened(path, subset).read()]


@pytest.fixture
def mmlu(tmp_path: Path) -> Path:
    folder = tmp_path / "mmlu"
    for split in ("dev", "val", "test"):
        (folder / "data" / split).mkdir(parents=True)
        quoted = QUOTED.replace('"', '""')
        text = f'"{quoted}",None,nan,007,"a, b",C\nShort?,1,2,3,4,A\n'
        (folder / "data" / split / f"anatomy_{split}.csv").write_text(text, encoding="utf-8")
    return folder


def packed(folder: Path, archive: Path) -> Path:
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w") as into:
        for path in sorted(folder.rglob("*.csv")):
            into.write(path, path.relative_to(folder))
    return archive


def test_mmlu_is_read_from_a_folder_an_archive_and_a_folder_with_the_archive(mmlu, tmp_path):
    archive = packed(mmlu, tmp_path / "packed" / "mmlu.zip")
    expected = {
        "id": "anatomy/0",
        "question": QUOTED,
        "subject": "anatomy",
        "choices": ["None", "nan", "007", "a, b"],
        "answer": 2,
    }
    for path in (mmlu, archive, archive.parent):
        view = opened(path, "test")
        assert (view.splits, len(view)) == (("dev", "test", "val"), 2)
        assert rows_of(path, "test")[0] == expected
        assert opened(path, "dev")["val"][1]["answer"] == 0


def test_a_row_of_mmlu_without_its_letter_is_an_error_that_says_where(mmlu):
    (mmlu / "data" / "test" / "anatomy_test.csv").write_text("Short?,1,2,3,4\n")
    with pytest.raises(DatasetError, match=r"anatomy_test\.csv:1: 5 columns"):
        opened(mmlu, "test")


def test_another_archive_is_not_taken_for_mmlu(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as into:
        into.writestr("readme.csv", "a,b\n")
    with pytest.raises(DatasetError, match="no known format"):
        opened(tmp_path / "other.zip")


def test_mgsm_is_a_split_for_each_language_and_all_of_them_together(tmp_path):
    folder = tmp_path / "mgsm"
    folder.mkdir()
    (folder / "mgsm_en.tsv").write_text("How many?\t1,200\nAnd now?\t-3\n")
    (folder / "mgsm_th.tsv").write_text("เท่าไร\t18\n", encoding="utf-8")
    assert [row["id"] for row in rows_of(folder)] == ["en/0", "en/1", "th/0"]
    assert rows_of(folder, "th") == [{"id": "th/0", "question": "เท่าไร", "answer": "18", "language": "th"}]
    assert len(rows_of(folder / "mgsm_en.tsv")) == 2
    (folder / "mgsm_en.tsv").write_text("no number\n")
    with pytest.raises(DatasetError, match=r"mgsm_en\.tsv:1"):
        opened(folder, "en")


def test_bbh_is_all_tasks_with_their_names_and_the_canary(tmp_path):
    folder = tmp_path / "bbh"
    folder.mkdir()
    for name in ("b_task", "a_task"):
        document = {"canary": "never train on this", "examples": [{"input": name, "target": "x"}] * 2}
        (folder / f"{name}.json").write_text(json.dumps(document))
    expected = {"id": "a_task/0", "task": "a_task", "input": "a_task", "target": "x", "canary": "never train on this"}
    assert rows_of(folder)[0] == expected
    assert [row["task"] for row in rows_of(folder)] == ["a_task", "a_task", "b_task", "b_task"]
    assert len(rows_of(folder, "b_task")) == len(rows_of(folder / "b_task.json")) == 2
    assert opened(folder).fingerprint != opened(folder, "a_task").fingerprint


def test_a_task_of_bbh_without_a_target_is_an_error_that_says_where(tmp_path):
    (tmp_path / "task.json").write_text(json.dumps({"canary": "c", "examples": [{"input": "x"}]}))
    with pytest.raises(DatasetError, match=r"task\.json row 0"):
        opened(tmp_path / "task.json")
