"""Folders of `save_to_disk`: rows equal to what `datasets` itself gives."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from engine.data import DatasetView, open_dataset
from engine.data.saved import SavedArrow
from engine.errors import DatasetError

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()


def opened(path: Path, subset: str = "") -> DatasetView:
    return open_dataset(str(path), subset=subset, folder=path.parent, home=path.parent / "home")


def plain(rows: int = 2500) -> Any:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "n": datasets.Value("int32"),
            "x": datasets.Value("float32"),
            "yes": datasets.Value("bool"),
            "label": datasets.ClassLabel(names=["no", "maybe", "yes"]),
            "parts": datasets.List(datasets.Value("string")),
            "deep": {"a": datasets.Value("int64"), "b": datasets.List({"c": datasets.Value("string")})},
        }
    )
    return datasets.Dataset.from_list(
        [
            {
                "text": None if n % 7 == 0 else f"row {n} ü",
                "n": n,
                "x": n / 3,
                "yes": bool(n % 2),
                "label": n % 3,
                "parts": [str(k) for k in range(n % 4)] if n % 5 else None,
                "deep": {"a": n, "b": [{"c": "x"}] * (n % 2)} if n % 11 else None,
            }
            for n in range(rows)
        ],
        features=features,
    )


def check_equal(view: DatasetView, reference: Any) -> None:
    assert len(view) == len(reference)
    assert list(view) == list(reference)
    some = [0, 1, 255, 256, 999, 1000, len(reference) - 1]
    some = sorted({i for i in some if i < len(reference)})
    assert list(view.read(some)) == [(i, reference[i]) for i in some]
    assert view.column_names == reference.column_names
    assert list(view.to_hf()) == list(reference)


def reads_arrow(view: DatasetView) -> bool:
    return isinstance(view._rows._form, SavedArrow)


@pytest.mark.parametrize("shards", [1, 4])
def test_a_plain_dataset_in_any_number_of_shards(tmp_path: Path, shards: int) -> None:
    plain().save_to_disk(tmp_path / "saved", num_shards=shards)
    view = opened(tmp_path / "saved")
    assert reads_arrow(view)
    check_equal(view, datasets.load_from_disk(tmp_path / "saved"))


@pytest.mark.parametrize("change", ["select", "shuffle", "filter"])
def test_a_dataset_that_was_selected_or_shuffled_before_it_was_saved(tmp_path: Path, change: str) -> None:
    whole = plain(300)
    changed = {
        "select": lambda: whole.select([5, 3, 299, 3]),
        "shuffle": lambda: whole.shuffle(seed=3),
        "filter": lambda: whole.filter(lambda n: n % 2 == 0, input_columns="n"),
    }[change]()
    changed.save_to_disk(tmp_path / "saved")
    check_equal(opened(tmp_path / "saved"), changed)


def test_the_fingerprint_is_of_the_rows_and_their_order_not_of_the_shards(tmp_path: Path) -> None:
    whole = plain(100)
    whole.save_to_disk(tmp_path / "one")
    whole.save_to_disk(tmp_path / "two", num_shards=3)
    whole.shuffle(seed=1).save_to_disk(tmp_path / "other")
    one, two, other = (opened(tmp_path / name).fingerprint for name in ("one", "two", "other"))
    assert one == two != other


def test_a_dataset_dict_has_its_splits_in_its_order(tmp_path: Path) -> None:
    whole = plain(50)
    saved = datasets.DatasetDict(train=whole, test=whole.select(range(7)), dev=whole.select([1]))
    saved.save_to_disk(tmp_path / "saved")
    with pytest.raises(DatasetError, match="several splits: train, test, dev"):
        opened(tmp_path / "saved")
    view = opened(tmp_path / "saved", "test")
    assert (view.splits, view.subset, view.path) == (("train", "test", "dev"), "test", tmp_path / "saved")
    check_equal(view, saved["test"])
    check_equal(view["train"], saved["train"])
    with pytest.raises(KeyError, match="it has train, test, dev"):
        view["validation"]


def test_one_dataset_has_the_split_it_was_saved_with(tmp_path: Path) -> None:
    plain(5).save_to_disk(tmp_path / "none")
    assert opened(tmp_path / "none").splits == ()
    with pytest.raises(DatasetError, match="has no splits"):
        opened(tmp_path / "none", "test")
    made = datasets.Dataset.from_list([{"a": 1}], split="validation")
    made.save_to_disk(tmp_path / "one")
    assert opened(tmp_path / "one", "validation")[0] == {"a": 1}


def test_what_needs_decoding_is_left_to_the_library(tmp_path: Path) -> None:
    when = dt.datetime(2024, 5, 6, 7, 8, 9)  # noqa: DTZ001 - Arrow's timestamps have no zone here
    made = datasets.Dataset.from_dict({"when": [when, None], "n": [1, 2]})
    made.save_to_disk(tmp_path / "dates")
    view = opened(tmp_path / "dates")
    assert not reads_arrow(view)
    check_equal(view, made)


def test_a_format_that_was_set_is_kept(tmp_path: Path) -> None:
    made = datasets.Dataset.from_dict({"a": [1, 2], "b": ["x", "y"]}).with_format("numpy", columns=["a"])
    made.save_to_disk(tmp_path / "formatted")
    view = opened(tmp_path / "formatted")
    assert not reads_arrow(view)
    assert [list(row) for row in view] == [["a"], ["a"]]


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    plain(50).save_to_disk(tmp_path / "saved")
    (shard,) = (tmp_path / "saved").glob("*.arrow")
    shard.write_bytes(shard.read_bytes()[:300])
    with pytest.raises(DatasetError, match="not a sound Arrow stream"):
        opened(tmp_path / "saved")
    shard.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        opened(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"state\.json: lacks '_data_files'"):
        opened(tmp_path / "saved")
