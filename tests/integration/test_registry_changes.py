"""What may change about an entry that is there: its metadata, whether it is shown; and whether its content did."""

from __future__ import annotations

import json
import os
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
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums").mkdir()
    (tmp_path / "sums" / "test.jsonl").write_text('{"n": 1}\n')
    return tmp_path / "sums"


def describe(folder: Path, **metadata: object) -> None:
    (folder / "metadata.json").write_text(json.dumps(metadata))


def test_update_changes_the_metadata_and_never_the_content(
    folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = registry.upload(folder, home=home)
    describe(folder, name="sums", version="1.0", description="adds", tags=["A"], own=1, files={}, content_hash="x")
    (folder / "test.jsonl").write_text("changed")
    assert commands.update(folder) == 0
    assert json.loads(capsys.readouterr().out)["entry"] == "local/sums/1.0.0"
    after = registry.find("sums", home=home)
    assert (after.description, after.tags, after.metadata["own"]) == ("adds", ("a",), 1)
    for key in ("files", "content_hash", "created_at", "version"):
        assert after.metadata[key] == before.metadata[key]
    assert registry.verify(after) == []
    describe(folder, name="sums", version="3.0")
    with pytest.raises(UsageError, match=r"local/sums/3\.0 is not in") as caught:
        commands.update(folder)
    assert "upload" in caught.value.hint
    describe(folder, name="../sums", version="1.0")
    with pytest.raises(UsageError, match=r"the name '\.\./sums' cannot be one"):
        commands.update(folder)


def test_update_takes_an_entrys_own_folder_and_this_one(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = registry.upload(folder, home=home)
    metadata = json.loads((entry.path / "metadata.json").read_text())
    (entry.path / "metadata.json").write_text(json.dumps({**metadata, "tags": ["Mine"]}))
    monkeypatch.chdir(entry.path)
    commands.update()
    assert json.loads(capsys.readouterr().out)["tags"] == ["mine"]
    assert registry.verify(registry.find("sums", home=home)) == []
    (entry.path / "metadata.json").write_text(json.dumps({**metadata, "tags": ["no way"]}))
    with pytest.raises(UsageError, match="tag 'no way'"):
        commands.update()


def test_a_hidden_version_is_not_the_newest_and_is_found_by_its_full_name(folder: Path, home: Path) -> None:
    registry.upload(folder, home=home)
    registry.upload(folder, home=home, version="2.0")
    (hidden,) = registry.hide("local/sums/2.0", home=home, reason="wrong labels")
    assert (hidden.hidden, hidden.metadata["hidden_reason"]) == (True, "wrong labels")
    assert registry.find("sums", home=home).version == "1.0.0"
    assert registry.find("local/sums/latest", home=home).version == "1.0.0"
    assert registry.find("local/sums/2.0.0", home=home).version == "2.0"
    assert [entry.version for entry in registry.hide("sums", home=home)] == ["2.0", "1.0.0"]
    assert registry.list_entries(home=home, hidden=False) == []
    assert registry.find("sums", home=home).version == "2.0", "all are hidden, so the newest is meant"
    assert list(open_dataset("sums", folder=home, home=home)) == [{"n": 1}]
    assert [entry.hidden for entry in registry.unhide("sums", home=home)] == [False, False]
    assert "hidden_reason" not in registry.find("local/sums/2.0", home=home).metadata


def test_an_upload_again_does_not_show_what_was_hidden(folder: Path, home: Path) -> None:
    registry.upload(folder, home=home)
    registry.hide("sums", home=home)
    added = registry.add(folder, registry.Wish(), home=home)
    assert (added.new, added.entry.hidden, added.differs) == (False, True, ())


def test_verify_names_what_is_missing_changed_or_too_much(
    folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)
    entry = registry.upload(folder, home=home)
    registry.upload(folder, home=home, name="whole")
    assert commands.verify() == 0
    assert capsys.readouterr().out == "2 entries checked, 0 broken\n"
    (entry.path / "a").unlink()
    (entry.path / "b").write_text("B")
    (entry.path / "c").unlink()
    (entry.path / "c").symlink_to(entry.path / "test.jsonl")
    (entry.path / "new\x1b[31m.txt").write_text("x")
    assert commands.verify() == 5
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 entries checked, 1 broken"
    told = {line.split("\t")[1]: line.split("\t")[2] for line in lines[:-1]}
    assert told["a"] == "is missing"
    assert told["b"] == "is not what was uploaded"
    assert told["c"] == "has become a link"
    assert any("\\x1b[31m" in text for pair in told.items() for text in pair)
    assert commands.verify("whole") == 0


def test_an_entry_that_was_put_there_by_hand_has_no_manifest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = home / "registry" / "local" / "hand" / "1.0"
    place.mkdir(parents=True)
    (place / "test.jsonl").write_text('{"n": 1}\n')
    (place / "metadata.json").write_text('{"category": "dataset"}')
    assert commands.verify() == 0
    assert capsys.readouterr().out == "0 entries checked, 0 broken, 1 have no manifest\n"
    assert commands.verify("hand") == 5
    assert commands.hide("hand") == 0
    assert registry.find("hand", home=home).hidden


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"files": 1}', '{"files": {"../x": {"bytes": 1, "sha256": "%s"}}}' % ("0" * 64)]
)
def test_a_broken_manifest_is_found(folder: Path, home: Path, text: str) -> None:
    entry = registry.upload(folder, home=home)
    (entry.path / "metadata.json").write_text(text)
    assert registry.verify(registry.find("sums", home=home)) != []
    assert commands.verify() == 5


def test_a_template_is_made_from_the_folders_name_and_never_written_over(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my-agent" / "0.2"
    folder.mkdir(parents=True)
    (folder / "agent.py").write_text("pass")
    assert commands.metadata_template(folder) == 0
    assert capsys.readouterr().out == f"{folder / 'metadata.json'}\n"
    made = json.loads((folder / "metadata.json").read_text())
    assert (made["name"], made["version"], made["category"]) == ("my-agent", "0.2", "agent")
    with pytest.raises(UsageError, match="is there already"):
        commands.metadata_template(folder)
    commands.metadata_template(folder, "model", "A model", force=True)
    made = json.loads((folder / "metadata.json").read_text())
    assert (made["category"], made["description"]) == ("model", "A model")
    assert registry.upload(folder, home=home).reference == "local/my-agent/0.2"
    (tmp_path / "plain").mkdir()
    assert registry.template(tmp_path / "plain")["version"] == "1.0.0"
    with pytest.raises(UsageError, match="is no folder"):
        commands.metadata_template(tmp_path / "nowhere")
