"""What `engine registry upload` takes and leaves, which version it takes, and what stands after a kill or a race."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
from cyclopts import App
from support import command, engine, environment

from engine import registry
from engine.cli import registry as commands
from engine.cli.argv import normalise
from engine.errors import UsageError


@pytest.fixture
def home() -> Path:
    return Path(os.environ["ENGINE_HOME"])


def made(folder: Path, *names: str, **texts: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(texts.get("text", name))
    return folder


def kept(entry: registry.Entry) -> list[str]:
    return sorted(entry.metadata["files"])


def test_gitignore_is_obeyed_as_git_does_and_what_it_leaves_out_is_said(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "d", "a.txt", "a.log", "keep.log", "big/x.bin", "deep/b.tmp", "deep/b.log", "c.pyc")
    (folder / ".gitignore").write_text("*.log\n!keep.log\n/big/\n")
    (folder / "deep" / ".gitignore").write_text("*.tmp\n!b.log\n")
    assert commands.upload(folder) == 0
    assert kept(registry.find("d", home=home)) == [
        *(".gitignore", "a.txt", "deep/.gitignore", "deep/b.log", "keep.log"),
    ]
    assert capsys.readouterr().err == "left behind, by .gitignore: big/, a.log, deep/b.tmp\n"


def test_a_folder_of_which_gitignore_leaves_nothing_says_why(tmp_path: Path, home: Path) -> None:
    folder = made(tmp_path / "d", "a.jsonl")
    (folder / ".gitignore").write_text("*\n")
    with pytest.raises(UsageError, match=r"holds no files; \.gitignore leaves out \.gitignore, a\.jsonl"):
        registry.upload(folder, home=home)


def test_files_with_keys_never_go_along_and_that_is_said(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "d", "a.txt", ".env", "deep/.env.local", ".env.example")
    (folder / ".gitignore").write_text("!.env\n")
    commands.upload(folder)
    assert kept(registry.find("d", home=home)) == [".env.example", ".gitignore", "a.txt"]
    assert capsys.readouterr().err == "left behind, for it may hold keys: .env, deep/.env.local\n"


def test_what_git_python_and_editors_leave_lying_about_is_no_content(tmp_path: Path, home: Path) -> None:
    names = (".git/x", ".venv/x", "__pycache__/x", ".idea/x", "a.py~", ".DS_Store", "x.pyc", ".nearai/x", ".threads/x")
    assert kept(registry.upload(made(tmp_path / "d", "a.py", *names), home=home)) == ["a.py"]


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\x1b[31m"])
def test_names_that_not_every_file_system_takes_are_refused(tmp_path: Path, home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a character that a file's name should not have"):
        registry.upload(made(tmp_path / "d", name), home=home)
    with pytest.raises(UsageError, match="differ in case alone"):
        registry.upload(made(tmp_path / "e", "a", "A"), home=home)
    assert registry.list_entries(home=home) == []


def test_a_bump_takes_the_next_version_where_it_is_taken(tmp_path: Path, home: Path) -> None:
    folder = made(tmp_path / "d", "a.txt")
    for bump in ("bump", "bump", "minor_bump", "bump", "major_bump", "bump"):
        commands.upload(folder, **{bump: True})
    versions = [entry.version for entry in registry.versions("d", home=home)]
    assert versions == ["2.0.1", "2.0.0", "1.1.1", "1.1.0", "1.0.1", "1.0.0"]
    with pytest.raises(UsageError, match="only one part"):
        commands.upload(folder, bump=True, major_bump=True)


def test_a_bump_is_written_into_the_folders_own_metadata(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "d", "a.txt")
    (folder / "metadata.json").write_text(json.dumps({"name": "d", "version": "0.3", "own": 1}))
    commands.upload(folder, bump=True)
    assert json.loads((folder / "metadata.json").read_text())["version"] == "0.3"
    commands.upload(folder, bump=True)
    assert json.loads((folder / "metadata.json").read_text()) == {"name": "d", "version": "0.3.1", "own": 1}
    assert "has version 0.3.1 now" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    commands.upload(folder)
    assert "was there already" in capsys.readouterr().out


def test_category_description_and_tags_may_be_given(tmp_path: Path, home: Path) -> None:
    folder = made(tmp_path / "d", "a.txt")
    commands.upload(folder, category="agent", description="adds", tags="Maths, easy,maths")
    entry = registry.find("d", home=home)
    assert (entry.category, entry.description, entry.tags) == ("agent", "adds", ("maths", "easy"))
    with pytest.raises(UsageError, match="tag 'a b'"):
        commands.upload(folder, tags="a b", version="2")


def test_the_same_content_with_other_metadata_is_there_already_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "d", "a.txt")
    commands.upload(folder)
    commands.upload(folder, description="new")
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "local/d/1.0.0 was there already, with the same content"
    assert told.err == "its metadata differs in description: engine registry update changes it\n"


def test_names_that_differ_in_case_and_separators_alone_are_refused(tmp_path: Path, home: Path) -> None:
    folder = made(tmp_path / "d", "a.txt")
    registry.upload(folder, home=home, name="my_set")
    with pytest.raises(UsageError, match=r"too much like local/my_set"):
        registry.upload(folder, home=home, name="My-Set")
    registry.upload(folder, home=home, name="My-Set", namespace="other")
    registry.upload(folder, home=home, name="evaluation_m_3.1", category="evaluation")
    registry.upload(folder, home=home, name="evaluation_m_3-1", category="evaluation")


async def test_an_upload_also_writes_its_row(tmp_path: Path) -> None:
    made(tmp_path / "3_digit_addition", "a.jsonl", text='{"a": 1}\n')
    ended = await engine("registry", "upload", "./3_digit_addition", "--tags", "x", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "local/3_digit_addition/1.0.0\n", "")
    import sqlite3

    database = sqlite3.connect(tmp_path / "home" / "engine.db")
    rows = database.execute("SELECT entry_id, category, tags FROM entries").fetchall()
    database.close()
    assert rows == [("local/3_digit_addition/1.0.0", "dataset", '["x"]')]


# --- kills, races, full disks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [1, 60])
def test_a_killed_upload_leaves_nothing_that_is_listed(tmp_path: Path, files: int) -> None:
    folder = made(tmp_path / "d", *(f"{number}.txt" for number in range(400)))
    root = tmp_path / "home" / "registry"
    process = subprocess.Popen(
        command("registry", "upload", folder),
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not any(len(list(each.iterdir())) >= files for each in root.glob(".incoming-*")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert registry.list_entries(home=tmp_path / "home") == []
    left = next(root.glob(".incoming-*"))
    entry = registry.upload(folder, home=tmp_path / "home")
    assert registry.verify(entry) == []
    assert left.exists(), "it may be somebody's who is slow"
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    registry.upload(folder, home=tmp_path / "home", version="2")
    assert not left.exists()


async def test_of_two_uploaders_at_once_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    made(tmp_path / "a", *(f"{n}.txt" for n in range(50)))
    made(tmp_path / "b", *(f"{n}.txt" for n in range(50)), text="other")
    codes: dict[str, tuple[int, str]] = {}

    async def upload(name: str, *more: str) -> None:
        ended = await engine("registry", "upload", name, "--name", "same", *more, cwd=tmp_path)
        codes[name] = (ended.code, ended.err)

    async with anyio.create_task_group() as group:
        group.start_soon(upload, "a")
        group.start_soon(upload, "b", "--version", "1.0")  # the same version, written otherwise
    (won, _), (lost, said) = sorted(codes.values())
    assert (won, lost) == (0, 2)
    assert "is there with another content, and a version never changes" in said
    (entry,) = registry.list_entries(home=tmp_path / "home")
    assert registry.verify(entry) == []

    async with anyio.create_task_group() as group:
        group.start_soon(upload, "a", "--bump")
        group.start_soon(upload, "b", "--bump")
    assert [code for code, _ in codes.values()] == [0, 0]
    entries = registry.list_entries(home=tmp_path / "home")
    assert len(entries) == 3
    assert all(registry.verify(each) == [] for each in entries)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from engine.cli.app import run_command_line
sys.exit(run_command_line(sys.argv[1:]))
"""


def test_a_disk_that_is_full_is_said_and_nothing_is_listed(tmp_path: Path) -> None:
    folder = made(tmp_path / "d", "a.txt", "b.bin", text="x" * 50_000)
    ended = subprocess.run(
        [sys.executable, "-c", FULL, "registry", "upload", str(folder)],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 5
    assert "cannot be written" in ended.stderr
    assert registry.list_entries(home=tmp_path / "home") == []
    assert list((tmp_path / "home" / "registry").glob(".incoming-*")) == []


# --- lists ------------------------------------------------------------------------------------------------------


def on_terminal(folder: Path, *words: str) -> str:
    """What the command shows on a terminal of 200 columns."""
    ours, theirs = pty.openpty()
    env = environment(folder / "home", COLUMNS="200", TERM="xterm")
    process = subprocess.Popen(command(*words), cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:  # Linux says so when the other end is gone
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_the_seeds_table_and_nothing_in_it_acts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = made(tmp_path / "d", "a.txt")
    name = "evaluation_mbpp_model_llama-v3p2-1b-instruct_provider_fireworks"
    wish = registry.Wish(
        namespace="alomonos.near",
        name=name,
        version="0.0.1",
        category="evaluation",
        description="\x1b[31mred\x07 \u202e" + "word " * 20,
        tags=("one-long-tag", "two-long-tag"),
    )
    registry.add(folder, wish, home=home)
    registry.upload(folder, home=home)
    shown = on_terminal(tmp_path, "registry", "list", "--category=evaluation")
    lines = [line for line in shown.splitlines() if line]
    assert [cell.strip() for cell in lines[1].strip("│").split("│")] == ["entry", "category", "description", "tags"]
    assert "│ alomonos.near/evaluation_mbpp_model_llama-v3p2-1b- " in lines[3]
    assert "│ instruct_provider_fireworks/0.0.1 " in lines[4]
    assert "\\x1b[31mred\\x07 \\u202eword" in lines[3]
    assert "\x1b[31m" not in shown
    assert "\x07" not in shown
    assert "local/d" not in shown
    assert all(len(line.split("│")[3].strip()) <= 50 for line in lines[3:5])


def test_list_shows_newest_versions_pages_and_what_is_hidden_when_asked(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "d", "a.txt")
    for version in ("1.9", "1.10", "2.0rc1"):
        registry.upload(folder, home=home, version=version)
    registry.upload(folder, home=home, name="e")
    registry.hide("local/d/2.0rc1", home=home, reason="wrong")

    def shown(**options: object) -> list[str]:
        commands.list_(**options)
        return [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()[1:]]

    assert shown() == ["local/d/1.10", "local/e/1.0.0"]
    assert shown(show_all=True) == ["local/d/2.0rc1", "local/e/1.0.0"]
    assert shown(show_latest_version=False) == ["local/d/1.10", "local/d/1.9", "local/e/1.0.0"]
    assert shown(total=1) == ["local/d/1.10"]
    assert shown(total=1, offset=1) == ["local/e/1.0.0"]
    commands.list_(total=1)
    assert capsys.readouterr().err == "1 more: --offset 1, or --total N\n"
    commands.list_(show_all=True)
    assert "local/d/2.0rc1\tdataset\t[hidden: wrong]" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no page"):
        commands.list_(total=0)


def call(*words: str) -> int:
    """A command as the command line parses it."""
    app = App(result_action="return_value")
    for name in ("download", "update", "hide", "unhide", "verify", "upload", "list_"):
        app.command(f"engine.cli.registry:{name}", name=name.rstrip("_"))
    app.command("engine.cli.registry:metadata_template", name=("metadata-template", "metadata_template"))
    result: int = app(normalise(words), exit_on_error=False, print_error=False)
    return result


def test_every_command_is_spelled_as_the_seed_and_its_successors_spell_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "d", "a.txt")
    monkeypatch.chdir(tmp_path)
    assert call("metadata_template", "d", "model", "A model") == 0
    assert call("upload", "./d", "--minor_bump", "--tags", "a,b") == 0
    assert call("upload", "./d", "--bump", "true") == 0
    assert call("update", "d") == 0
    assert call("hide", "local/d/1.0.1", "--reason", "old") == 0
    assert call("unhide", "d") == 0
    assert call("verify", "d") == 0
    theirs = os.environ["ENGINE_HOME"]
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path / "other"))
    assert call("download", "local/d", "--from", theirs, "--max_gb", "1") == 0
    capsys.readouterr()
    for words in (["--show_all", "--show_latest_version", "False"], ["--show-latest-version=false", "--total", "1"]):
        assert call("list", *words) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith("local/d/1.0.1\tmodel\tA model")
