"""The view that solvers get as `dataset_ref`: rows, splits, and what only a Hugging Face dataset has."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from engine.data import DatasetView, open_dataset
from engine.errors import DatasetError
from engine.ports import Dataset


def write_lines(path: Path, count: int, text: str = "row") -> Path:
    path.write_text("".join(json.dumps({"n": n, "text": f"{text} {n}"}) + "\n" for n in range(count)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "test.jsonl", 5000, "test")
    write_lines(tmp_path / "train.jsonl", 30, "train")
    return tmp_path


def opened(folder: Path, reference: str = "test.jsonl", subset: str = "") -> DatasetView:
    return open_dataset(reference, subset=subset, folder=folder, home=folder / "home")


def test_a_view_is_the_dataset_of_the_ports(folder: Path) -> None:
    view = opened(folder)
    assert isinstance(view, Dataset)
    assert view.name == "test.jsonl"
    assert view.path == folder / "test.jsonl"
    assert view.subset == ""
    assert (len(view), view.num_rows, view.column_names) == (5000, 5000, ["n", "text"])


def test_rows_are_indexed_from_both_ends(folder: Path) -> None:
    view = opened(folder)
    assert view[0] == {"n": 0, "text": "test 0"}
    assert [view[i]["n"] for i in (1023, 1024, 1025, 4999, -1, -5000)] == [1023, 1024, 1025, 4999, 4999, 0]
    for beyond in (5000, -5001):
        with pytest.raises(IndexError):
            view[beyond]


@pytest.mark.parametrize("indices", [[], [0], [4999], [0, 1, 2], [10, 1500, 1501, 4096, 4998], range(0, 5000, 7)])
def test_read_gives_the_wanted_rows_with_their_index(folder: Path, indices: list[int]) -> None:
    assert [(i, row["n"]) for i, row in opened(folder).read(iter(indices))] == [(i, i) for i in indices]


def test_read_without_indices_gives_all_and_can_be_left_at_any_time(folder: Path) -> None:
    view = opened(folder)
    assert [i for i, _ in view.read()] == list(range(5000)) == [row["n"] for row in view]
    reading = view.read()
    next(reading)
    reading.close()


def test_indices_that_do_not_ascend_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="ascend"):
        list(opened(folder).read([3, 2]))


def test_reading_a_late_row_holds_nothing_of_those_before(folder: Path) -> None:
    view = opened(folder)
    tracemalloc.start()
    assert next(view.read([4999]))[1]["n"] == 4999
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_reading_all_rows_takes_constant_memory(tmp_path: Path) -> None:
    view = opened(write_lines(tmp_path / "big.jsonl", 100_000).parent, "big.jsonl")
    tracemalloc.start()
    assert sum(1 for _ in view.read()) == 100_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_file_has_its_siblings_as_splits(folder: Path) -> None:
    view = opened(folder)
    assert view.splits == ("test", "train")
    assert "train" in view
    assert "dev" not in view
    train = view["train"]
    assert (len(train), train.subset, train[0]["text"]) == (30, "train", "train 0")
    assert train["test"][0] == view[0]
    assert train.fingerprint != view.fingerprint == view["test"].fingerprint
    assert opened(folder, subset="train").fingerprint == train.fingerprint


def test_a_split_that_is_not_there_is_a_key_error_that_lists_those_that_are(folder: Path) -> None:
    with pytest.raises(KeyError) as caught:
        opened(folder)["tain"]
    assert isinstance(caught.value, DatasetError)
    assert "it has test, train" in str(caught.value)
    assert "did you mean 'train'" in str(caught.value)
    with pytest.raises(DatasetError, match="it has test, train"):
        opened(folder, subset="dev")


def test_a_folder_of_splits_needs_a_choice_and_a_single_one_is_taken(folder: Path) -> None:
    with pytest.raises(DatasetError, match="several splits: test, train") as caught:
        opened(folder, ".")
    assert "--subset" in caught.value.hint
    assert len(opened(folder, ".", subset="train")) == 30
    only = folder / "only"
    only.mkdir()
    write_lines(only / "part.jsonl", 3)
    (only / "metadata.json").write_text('{"description": "three"}')
    (only / "README.md").write_text("three")
    view = opened(folder, "only")
    assert (len(view), view.splits, view.path) == (3, ("part",), only / "part.jsonl")
    assert view.metadata == {"description": "three"}


def test_two_files_of_one_split_are_refused_when_that_split_is_asked_for(folder: Path) -> None:
    (folder / "train.csv").write_text("a\n1\n")
    assert len(opened(folder)) == 5000
    with pytest.raises(DatasetError, match=r"train\.csv and train\.jsonl would be one split"):
        opened(folder, subset="train")
    assert opened(folder, "train.csv", subset="train")[0] == {"a": "1"}


def test_a_broken_sibling_does_no_harm_until_it_is_asked_for(folder: Path) -> None:
    (folder / "dev.jsonl").write_text("{torn\n")
    view = opened(folder)
    with pytest.raises(DatasetError, match=r"dev\.jsonl:1: broken JSON"):
        view["dev"]


def test_any_other_folder_is_of_a_custom_format(folder: Path) -> None:
    deep = folder / "lean" / "src"
    deep.mkdir(parents=True)
    (deep / "a.lean").write_text("theorem a")
    view = opened(folder, "lean")
    assert (len(view), view.path, view.splits) == (0, folder / "lean", ())
    with pytest.raises(DatasetError, match="custom format"):
        list(view)
    before = view.fingerprint
    assert opened(folder, "lean").fingerprint == before
    (deep / "a.lean").write_text("theorem b")
    assert opened(folder, "lean").fingerprint != before
    (folder / "nothing").mkdir()
    with pytest.raises(DatasetError, match="empty folder"):
        opened(folder, "nothing")


def test_a_solver_that_changes_its_datum_changes_no_other(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"parts": [1, 2]}]')
    view = opened(tmp_path, "rows.json")
    view[0]["parts"].append(3)
    assert view[0] == {"parts": [1, 2]}


def test_what_only_hugging_face_has_makes_it_one(folder: Path) -> None:
    view = opened(folder, subset="train")
    assert view.to_hf() is view.to_hf()
    assert list(view.to_hf()) == list(view)
    assert view.filter(lambda row: row["n"] % 2).num_rows == 15
    assert view.select([3, 1])["n"] == [3, 1]
    assert list(view.features) == ["n", "text"]
    assert view["n"][:3] == [0, 1, 2]
    assert view[1:3] == {"n": [1, 2], "text": ["train 1", "train 2"]}
    with pytest.raises(AttributeError, match="to_hf"):
        _ = view.nonsense


def test_fields_that_some_rows_lack_are_none_in_hugging_face_and_mixed_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n{"x": 2, "y": "late"}\n')
    assert list(opened(tmp_path, "a.jsonl").to_hf()) == [{"x": 1, "y": None}, {"x": 2, "y": "late"}]
    (tmp_path / "b.jsonl").write_text('{"x": 1}\n{"x": "one"}\n')
    with pytest.raises(DatasetError, match="cannot become a Hugging Face dataset"):
        opened(tmp_path, "b.jsonl").to_hf()


def test_opening_reading_and_indexing_files_imports_no_heavy_library(folder: Path) -> None:
    code = """
import sys
from pathlib import Path
from engine.data import open_dataset
view = open_dataset("test.jsonl", folder=Path(sys.argv[1]), home=Path(sys.argv[1]) / "home")
list(view), view[3], view["train"][0]
assert not {"datasets", "pyarrow", "pandas", "numpy"} & set(sys.modules), "heavy"
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=Path(__file__).parents[2])
