"""Whatever befalls a recorder or an entry, the registry stays whole and the table stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from engine.cli.app import run_command_line
from engine.data.entries import all_entries
from engine.evaluations.load import load
from engine.evaluations.solutions import read_solutions
from tests.evaluation_kit import open_store, record

ROOT = Path(__file__).resolve().parents[2]
KEY = "local/evaluation_adding_model_m_provider_fireworks"
SCORES = [1, 1, 0, 1, None, 0, 1, 1]

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.evaluation_kit import open_store, record
from storage.sqlite import SqliteStore

async def main(home):
    async def die(self, *_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    SqliteStore.save_evaluation = die
    async with open_store(home / "engine.db") as store:
        await record(store, "r1", [1, 0, 1], home=home)

asyncio.run(main(Path(sys.argv[2])))
"""

KILLED_WHEN_IT_MOVES = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from engine.evaluations import exchange as exchanging
from tests.evaluation_kit import open_store, record

left = [int(sys.argv[3])]

def dying(move):
    def moved(*words, **named):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return move(*words, **named)
    return moved

async def main(home):
    async with open_store(home / "engine.db") as store:
        os.rename, os.replace = dying(os.rename), dying(os.replace)
        exchanging._at_once = dying(exchanging._at_once)
        await record(store, "r2", [1] * 8, home=home, overwrite=sys.argv[4] == "overwrite")

asyncio.run(main(Path(sys.argv[2])))
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home, and a folder to stand in that has no bench.toml: one would name a store of its own."""
    monkeypatch.chdir(tmp_path)
    return Path(os.environ["ENGINE_HOME"])


@pytest.fixture
async def store(home):
    async with open_store(home / "engine.db") as opened:
        yield opened


def entries(home: Path) -> list[str]:
    return [entry.reference for entry in all_entries(home)]


def test_killed_between_the_entry_and_its_rows_the_entry_is_whole_and_shown(home):
    result = subprocess.run([sys.executable, "-c", KILLED, ROOT, home], check=False)
    assert result.returncode == -9
    assert entries(home) == [f"{KEY}/0.0.1"]

    async def look():
        async with open_store(home / "engine.db") as store:
            return (await load(store, home=home)).evaluations

    [shown] = anyio.run(look)
    assert shown.metrics["adding"].n == 3
    assert shown.details["outcomes"]["failed"] == 1


@pytest.mark.parametrize("how", ["overwrite", "again"])
def test_killed_at_any_move_the_registry_is_whole(home, how):
    async def fill():
        async with open_store(home / "engine.db") as store:
            await record(store, "r1", SCORES, home=home)

    anyio.run(fill)
    for moves in range(20):
        words = [sys.executable, "-c", KILLED_WHEN_IT_MOVES, ROOT, home, str(moves), how]
        killed = subprocess.run(words, check=False).returncode
        shown = [home / "registry" / name for name in entries(home)]
        assert home / "registry" / KEY / "0.0.1" in shown
        for folder in shown:
            figure = json.loads((folder / "metrics.json").read_text())["adding"]
            assert figure in (71.43, 100.0)
            assert len(list(read_solutions(folder, status=True))) == (5 if figure == 71.43 else 8)
        assert run_command_line(["registry", "verify"]) == 0
        if killed == 0:
            break
    assert moves > 0
    assert killed == 0


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a": NaN, "b": 5}', ["b"]),
        ('{"a": {"x": 1}, "b": "80.44"}', ["b"]),
        ('{"a": true, "b": 1e999, "c": 7}', ["c"]),
        ('{"a": %s, "b": 5}' % ("9" * 400), ["b"]),
        ('{"a": 5, "evaluated_entry_metadata": null}', ["a"]),
        ('{"a": 5, "evaluated_entry_metadata": {"model": "\\ud800"}}', ["a"]),
        ('{"a": 5, "evaluated_entry_metadata": "m"}', None),
        ("[" * 100_000, None),
        ('{"a": %s}' % ("9" * 6000), None),
        ("[1]", None),
        ("\x00", None),
    ],
)
def test_what_is_no_figure_is_left_out_and_what_is_one_stays(home, capsys, text, kept):
    for name, content in (("odd", text), ("sound", '{"mbpp": 26.2}')):
        folder = home / "registry" / "alomonos.near" / name / "0.1.0"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(content)
        (folder / "metadata.json").write_text("{}")
    assert run_command_line(["evaluation", "list", "--format", "json"]) == 0
    told = capsys.readouterr()
    found = {each["name"].split("/")[1]: [m["name"] for m in each["metrics"]] for each in json.loads(told.out)}
    assert found == {"sound": ["mbpp"]} | ({"odd": kept} if kept else {})
    assert ("is left out" in told.err) == (kept != ["a"])
    assert run_command_line(["evaluation", "table"]) == 0


async def test_one_malformed_entry_never_breaks_the_table(store, home):
    made = await record(store, "r1", SCORES, home=home)
    for name, text in (("broken", "{"), ("odd", '{"mbpp": "many"}'), ("seeds", '{"mbpp": 26.2}')):
        folder = home / "registry" / "alomonos.near" / name / "0.1.0"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(text)
        (folder / "metadata.json").write_text("{}")
    found = await load(store, home=home)
    assert {each.name for each in found.evaluations} == {made.name, "alomonos.near/seeds/0.1.0"}
    assert len(found.warnings) == 2
    seeds = next(each for each in found.evaluations if each.name != made.name)
    assert seeds.metrics["mbpp"].value == pytest.approx(0.262)
