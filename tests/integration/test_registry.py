"""The registry on disk: what `engine registry` uploads, lists and shows, and what `open_dataset` finds there."""

from __future__ import annotations

import json
import os
import random
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest

from engine import registry
from engine.cli import registry as commands
from engine.data import open_dataset
from engine.errors import UsageError


@pytest.fixture
def home() -> Path:
    return Path(os.environ["ENGINE_HOME"])


@pytest.fixture
def adding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the tutorial's script makes."""
    import datasets

    datasets.disable_progress_bars()
    rng = random.Random(42)
    pairs = rng.sample(list(product(range(1000), range(1000))), 1000)
    rows = [{"input": f"{a} + {b}", "output": str(a + b)} for a, b in pairs]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "3_digit_addition")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "3_digit_addition"


def small(folder: Path, text: str = '{"n": 1}\n', **metadata: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "test.jsonl").write_text(text)
    if metadata:
        (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_the_tutorials_dataset_is_found_under_all_its_names(
    adding: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(reference: str) -> list[dict[str, str]]:
        return list(open_dataset(reference, folder=home, home=home))

    generated = rows("generated:3_digit_addition")
    assert commands.upload(Path("./3_digit_addition")) == 0
    assert capsys.readouterr().out == "local/3_digit_addition/1.0.0\n"
    assert rows("local/3_digit_addition") == rows("3_digit_addition") == generated
    assert commands.upload(adding, namespace="near.ai", version="1.00") == 0
    assert rows("near.ai/3_digit_addition/1.00") == rows("near.ai/3_digit_addition/1.0.0") == generated
    assert len(generated) == 1000


def test_metadata_is_made_with_the_hash_of_every_file(adding: Path, home: Path) -> None:
    entry = registry.upload(adding, home=home)
    assert (entry.namespace, entry.name, entry.version, entry.category) == (
        "local",
        "3_digit_addition",
        "1.0.0",
        "dataset",
    )
    metadata = json.loads((entry.path / "metadata.json").read_text())
    assert sorted(metadata["files"]) == ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"]
    for name, mark in metadata["files"].items():
        content = (adding / name).read_bytes()
        assert mark == {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    assert metadata["content_hash"] == registry.content_hash(
        {n: registry.Mark(m["bytes"], m["sha256"]) for n, m in metadata["files"].items()}
    )
    assert not (adding / "metadata.json").exists()


def test_metadata_in_the_folder_is_kept_and_options_come_first(tmp_path: Path, home: Path) -> None:
    told = {"name": "sums", "version": "2.1", "category": "agent", "description": "adds", "tags": ["x", "y"]}
    folder = small(tmp_path / "folder", **told, details={"agent": {"welcome": "hi"}}, own="kept")
    entry = registry.upload(folder, home=home)
    assert (entry.reference, entry.category, entry.tags) == ("local/sums/2.1", "agent", ("x", "y"))
    assert entry.details == {"agent": {"welcome": "hi"}}
    assert json.loads((entry.path / "metadata.json").read_text())["own"] == "kept"
    entry = registry.upload(folder, home=home, namespace="me", name="mine", version="3", category="dataset")
    assert (entry.reference, entry.category) == ("me/mine/3", "dataset")


def test_the_same_content_again_is_fine_and_another_is_refused(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "sums")
    commands.upload(folder)
    commands.upload(folder, version="1.0")
    assert "local/sums/1.0.0 was there already, with the same content" in capsys.readouterr().out
    small(folder, '{"n": 2}\n')
    with pytest.raises(UsageError, match=r"local/sums/1\.0\.0 is there with another content") as caught:
        registry.upload(folder, home=home)
    assert "--version" in caught.value.hint
    assert registry.find("sums", home=home).path.joinpath("test.jsonl").read_text() == '{"n": 1}\n'
    assert registry.upload(folder, home=home, version="1.0.1").version == "1.0.1"
    assert sorted(path.name for path in (home / "registry").iterdir()) == [".lock", "local"]


def test_a_single_file_is_an_entry(tmp_path: Path, home: Path) -> None:
    (tmp_path / "other.txt").write_text("not this one")
    (tmp_path / "sums.jsonl").write_text('{"n": 1}\n')
    entry = registry.upload(tmp_path / "sums.jsonl", home=home)
    assert sorted(path.name for path in entry.path.iterdir()) == ["metadata.json", "sums.jsonl"]
    assert list(open_dataset("sums", folder=home, home=home)) == [{"n": 1}]


def test_the_namespace_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGINE_NAMESPACE", "me.near")
    commands.upload(small(tmp_path / "sums"))
    commands.upload(small(tmp_path / "sums"), namespace="you")
    assert capsys.readouterr().out.split() == ["me.near/sums/1.0.0", "you/sums/1.0.0"]


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": ".."}, "name '..'"),
        ({"name": ".hidden"}, "name '.hidden'"),
        ({"name": ""}, "name ''"),
        ({"version": "one"}, "version 'one'"),
        ({"version": 1}, "version 1"),
        ({"namespace": "a b"}, "namespace 'a b'"),
        ({"tags": "x"}, "tags is 'x'"),
        ({"tags": ["a b"]}, "tag 'a b'"),
        ({"details": []}, "details is []"),
    ],
)
def test_metadata_that_cannot_be_is_refused(tmp_path: Path, home: Path, told: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.upload(small(tmp_path / "sums", **told), home=home)
    assert part in caught.value.message
    assert caught.value.hint
    assert registry.list_entries(home=home) == []


def test_broken_metadata_and_folders_with_nothing_in_them_are_refused(tmp_path: Path, home: Path) -> None:
    folder = small(tmp_path / "sums")
    with pytest.raises(UsageError, match="the registry itself"):
        registry.upload(folder, home=folder / "home")
    (folder / "metadata.json").write_text("{")
    with pytest.raises(UsageError, match=r"metadata\.json: cannot be read"):
        registry.upload(folder, home=home)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="holds no files"):
        registry.upload(tmp_path / "nothing", home=home)
    with pytest.raises(UsageError, match="is not there"):
        registry.upload(tmp_path / "nowhere", home=home)


def test_links_out_of_the_folder_are_refused_and_links_within_are_followed(tmp_path: Path, home: Path) -> None:
    folder = small(tmp_path / "sums")
    (folder / "again.jsonl").symlink_to("test.jsonl")
    entry = registry.upload(folder, home=home)
    assert not (entry.path / "again.jsonl").is_symlink()
    assert (entry.path / "again.jsonl").read_text() == '{"n": 1}\n'
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="leads out of"):
        registry.upload(folder, home=home, version="2")
    (folder / "out").unlink()
    (folder / "folder").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="link to a folder"):
        registry.upload(folder, home=home, version="2")
    assert [each.version for each in registry.list_entries(home=home)] == ["1.0.0"]


def test_what_is_no_content_stays_behind(tmp_path: Path, home: Path) -> None:
    folder = small(tmp_path / "sums")
    for name in (".git", "__pycache__"):
        (folder / name).mkdir()
        (folder / name / "x").write_text("x")
    for name in (".env", "test.jsonl~"):
        (folder / name).write_text("x")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "kept.txt").write_text("x")
    entry = registry.upload(folder, home=home)
    kept = sorted(path.relative_to(entry.path).as_posix() for path in entry.path.rglob("*") if path.is_file())
    assert kept == ["deep/er/kept.txt", "metadata.json", "test.jsonl"]


def test_find_takes_full_names_newest_versions_and_unique_names(tmp_path: Path, home: Path) -> None:
    folder = small(tmp_path / "sums")
    for version in ("1.9", "1.10"):
        registry.upload(folder, home=home, namespace="a", version=version)
    assert registry.find("sums", home=home).reference == "a/sums/1.10"
    assert registry.find("a/sums/latest", home=home).reference == "a/sums/1.10"
    assert registry.find("a/sums/1.9.0", home=home).reference == "a/sums/1.9"
    registry.upload(folder, home=home, namespace="b")
    with pytest.raises(UsageError, match=r"any of a/sums/1\.10, b/sums/1\.0\.0"):
        registry.find("sums", home=home)
    with pytest.raises(UsageError, match="is not in") as caught:
        registry.find("a/smus", home=home)
    assert "did you mean 'a/sums'" in caught.value.hint


def test_list_filters_and_prints_lines_with_tabs_off_a_terminal(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.upload(small(tmp_path / "a", tags=["x", "y"], description="two\nlines"), home=home)
    registry.upload(small(tmp_path / "b", tags=["x"], category="model"), home=home, namespace="me")
    assert commands.list_() == 0
    assert capsys.readouterr().out.splitlines() == [
        "entry\tcategory\tdescription\ttags",
        "local/a/1.0.0\tdataset\ttwo lines\tx, y",
        "me/b/1.0.0\tmodel\t\tx",
    ]
    for options, expected in (
        ({"category": "model"}, ["me/b/1.0.0"]),
        ({"namespace": "local"}, ["local/a/1.0.0"]),
        ({"tags": "x, y"}, ["local/a/1.0.0"]),
        ({"tags": "z"}, []),
    ):
        commands.list_(**options)
        assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()[1:]] == expected


def test_one_broken_entry_spoils_no_list(tmp_path: Path, home: Path) -> None:
    entry = registry.upload(small(tmp_path / "a"), home=home)
    registry.upload(small(tmp_path / "b"), home=home)
    (entry.path / "metadata.json").write_text("{")
    told = {each.name: each.description for each in registry.list_entries(home=home)}
    assert told == {"a": "(metadata.json cannot be read)", "b": ""}


def test_info_shows_an_entry_as_json(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = registry.upload(small(tmp_path / "a", tags=["x"], details={"id_field": "n"}), home=home)
    assert commands.info("a") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["entry"] == "local/a/1.0.0"
    assert shown["path"] == str(entry.path)
    assert (shown["tags"], shown["details"]) == (["x"], {"id_field": "n"})
