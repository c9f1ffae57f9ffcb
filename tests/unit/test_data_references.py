"""References: what a name means, in which order it is looked for, and what is said when nothing is there."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import pytest

from engine.data import DatasetView, open_dataset
from engine.errors import DatasetError


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def put(home: Path, reference: str, rows: int, category: str = "dataset") -> Path:
    folder = home / "registry" / reference
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(rows)))
    (folder / "metadata.json").write_text(json.dumps({"category": category}))
    return folder


def opened(reference: str, here: Path, home: Path, subset: str = "") -> DatasetView:
    return open_dataset(reference, subset=subset, folder=here, home=home)


def test_the_generated_rows_are_those_of_the_tutorial(here: Path, home: Path) -> None:
    rng = random.Random(42)
    pairs = rng.sample(list(product(range(1000), range(1000))), 1000)
    view = opened("generated:3_digit_addition", here, home)
    assert list(view) == [{"input": f"{a} + {b}", "output": str(a + b)} for a, b in pairs]
    assert list(view.read([2, 500, 999])) == [(i, view[i]) for i in (2, 500, 999)]
    assert (len(view), view.path, view.splits) == (1000, None, ())
    assert view.fingerprint == opened("generated:3_digit_addition", here, home).fingerprint
    assert view.to_hf()[7] == view[7]
    assert not home.exists()


def test_a_generated_dataset_that_is_not_there_and_a_split_of_it(here: Path, home: Path) -> None:
    with pytest.raises(DatasetError, match=r"did you mean '3_digit_addition'\?"):
        opened("generated:3_digit_adition", here, home)
    with pytest.raises(DatasetError, match="has no splits"):
        opened("generated:3_digit_addition", here, home, subset="test")


def test_paths_are_relative_to_the_folder_or_absolute_or_begin_at_home(
    here: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "rows.jsonl").write_text('{"n": 1}\n')
    monkeypatch.setenv("HOME", str(here))
    for reference in ("rows.jsonl", "./rows.jsonl", str(here / "rows.jsonl"), "~/rows.jsonl", "../here/rows.jsonl"):
        view = opened(reference, here, home)
        assert (view.name, view.path) == (reference, here / "rows.jsonl")


def test_an_entry_is_found_by_full_name_newest_version_or_unique_name(here: Path, home: Path) -> None:
    for version, rows in {"0.9": 1, "0.10": 2, "0.11rc1": 3, "nightly": 4}.items():
        put(home, f"near.ai/adding/{version}", rows)
    assert len(opened("near.ai/adding/0.9", here, home)) == 1
    assert len(opened("near.ai/adding", here, home)) == 3
    assert len(opened("near.ai/adding/latest", here, home)) == 3
    assert len(opened("adding", here, home)) == 3
    assert len(opened("near.ai/adding/nightly", here, home)) == 4
    assert len(opened("near.ai/adding/0.9", here, home, subset="test")) == 1


def test_a_version_is_found_as_written_and_by_equality(here: Path, home: Path) -> None:
    put(home, "near.ai/adding/1.00", 5)
    for version in ("1.00", "1.0.0", "1", "v1.0"):
        view = opened(f"near.ai/adding/{version}", here, home)
        assert (len(view), view.name) == (5, f"near.ai/adding/{version}")
        assert view.path == home / "registry/near.ai/adding/1.00/test.jsonl"
    put(home, "near.ai/adding/1.0.0", 6)
    assert len(opened("near.ai/adding/1.0.0", here, home)) == 6
    assert len(opened("near.ai/adding/1.00", here, home)) == 5


def test_a_bare_name_in_two_namespaces_must_be_named_in_full(here: Path, home: Path) -> None:
    put(home, "a/adding/1.0", 1)
    put(home, "b/adding/2.0", 1)
    with pytest.raises(DatasetError, match=r"any of a/adding/1\.0, b/adding/2\.0"):
        opened("adding", here, home)


def test_a_path_comes_before_an_entry(here: Path, home: Path) -> None:
    put(home, "near.ai/adding/1.0", 5)
    (here / "adding").mkdir()
    (here / "adding" / "test.jsonl").write_text('{"n": 1}\n')
    assert len(opened("adding", here, home)) == 1
    assert len(opened("near.ai/adding", here, home)) == 5


def test_an_entry_of_another_category_is_no_dataset(here: Path, home: Path) -> None:
    put(home, "near.ai/helper/1.0", 1, category="agent")
    with pytest.raises(DatasetError, match="category 'agent'"):
        opened("helper", here, home)


def test_the_metadata_of_an_entry_is_in_the_view(here: Path, home: Path) -> None:
    put(home, "near.ai/adding/1.0", 1)
    assert opened("adding", here, home).metadata == {"category": "dataset"}


@pytest.mark.parametrize("reference", ["near.ai/ading/1.0", "ading", "rwos.jsonl", "generated:x"])
def test_what_is_not_there_is_named_with_where_it_was_looked_for(reference: str, here: Path, home: Path) -> None:
    put(home, "near.ai/adding/1.0", 1)
    (here / "rows.jsonl").write_text('{"n": 1}\n')
    with pytest.raises(DatasetError) as caught:
        opened(reference, here, home)
    assert repr(reference) in caught.value.message or "generated" in caught.value.message
    if not reference.startswith("generated"):
        assert str(here / reference) in caught.value.message
        assert str(home / "registry") in caught.value.message
        assert "did you mean" in caught.value.hint


@pytest.mark.parametrize("reference", ["", " ", "../../etc/passwd-", "a/b/c/d", "x" * 5000, "..", "C:\\x", "json:x"])
def test_odd_references_are_data_set_errors(reference: str, here: Path, home: Path) -> None:
    with pytest.raises(DatasetError):
        opened(reference, here, home)


def test_dots_never_lead_out_of_the_registry(here: Path, home: Path) -> None:
    (home / "secret" / "x").mkdir(parents=True)
    (home / "secret" / "x" / "test.jsonl").write_text('{"n": 1}\n')
    (home / "registry").mkdir()
    with pytest.raises(DatasetError, match="is not there"):
        opened("../secret/x", here, home)
    with pytest.raises(DatasetError, match="is not there"):
        opened("nowhere/../x", here, home)
