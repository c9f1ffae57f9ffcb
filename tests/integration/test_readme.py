"""What the README shows can be typed: its solver runs, its SQL asks, its commands and flags are there."""

from __future__ import annotations

import re
import sqlite3
import sys

import anyio
import pytest

from engine.cli.app import run_command_line
from tests.support import ROOT, engine, environment, rows, scripted

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CAPITALS = {"France": "Paris", "Peru": "Lima", "Chad": "N'Djamena"}


def block(kind: str, containing: str) -> str:
    (found,) = (
        text for text in re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL) if containing in text
    )
    return found


async def test_the_solver_runs_as_it_is_told_and_the_database_answers(tmp_path):
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "capitals.py").write_text(block("python", "class CapitalsSolver"))
    rows(tmp_path / "capitals.jsonl", [{"country": name, "capital": city} for name, city in CAPITALS.items()])
    (typed,) = re.findall(r"`engine (run capitals\.jsonl [^`]+)`", TEXT)

    def answer(request) -> str:
        question = request.texts[-1][1]
        said = next(city for name, city in CAPITALS.items() if name.lower() in question.lower())
        return said.upper() if question.isupper() else "Cusco" if said == "Lima" else said

    async with scripted(answer) as (server, responder):
        words = typed.replace("--model M", f"--model {server.base_url}::m").split()
        shouted = await engine(*words, cwd=tmp_path)
        plain = await engine(*words[:-2], cwd=tmp_path)
    assert shouted.final == "Final score: 3/3 - 100.00%", shouted.err
    assert plain.final == "Final score: 2/3 - 66.67%", plain.err
    assert sum(seen.isupper() for seen in responder.seen) == 3
    db = sqlite3.connect(tmp_path / "home" / "engine.db")
    counted = {(row[0], row[4]): row[5] for row in db.execute(block("sql", "FROM tasks"))}
    db.close()
    assert counted == {("capitals", "passed"): 2, ("capitals", "failed"): 1, ("capitals_shouted", "passed"): 3}


async def test_the_program_runs_as_it_stands(tmp_path):
    (tmp_path / "program.py").write_text(block("python", "async with Engine"))
    words = [sys.executable, "program.py"]
    with anyio.fail_after(90):
        done = await anyio.run_process(words, cwd=tmp_path, env=environment(tmp_path / "home"), check=False)
    assert done.stdout.decode().startswith("0.98 Interval(low=0.9"), done.stderr.decode()
    assert done.stderr == b""


LISTED = block("text", "engine plan bench.toml")
COMMANDS = sorted(
    {
        (group, word.split()[0])
        for line in LISTED.splitlines()
        if (found := re.match(r"engine (?:(evaluation|registry|cache|benchmark|new) )?(.*?)(  |$)", line))
        for group in [found[1] or ""]
        for word in found[2].split(" | ")
    }
)


@pytest.mark.parametrize(("group", "command"), COMMANDS)
def test_each_command_is_there(group, command, capsys):
    assert run_command_line((*group.split(), command, "--help")) == 0
    assert capsys.readouterr().out.startswith(f"Usage: engine {' '.join((*group.split(), command))}")


def test_each_flag_of_run_is_there(capsys):
    run_command_line(("run", "--help"))
    there = set(re.findall(r"-[-a-z]+", capsys.readouterr().out))
    section = LISTED.partition("engine plan")[0]
    named = {flag.replace("_", "-") for flag in re.findall(r"--[a-z_-]+|(?<= )-[a-z]\b", section)} - {"--shots"}
    assert len(named) > 20
    assert named - there == set()
