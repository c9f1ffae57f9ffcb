"""`engine benchmark list`: stored runs, newest first, with how far they got and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from support import SUM, command, environment, rows, sums

from engine.cli import benchmark as commands
from engine.cli.argv import normalise
from engine.cli.benchmarks import benchmarks, shipped
from engine.cli.listing import widths_that_fit
from engine.errors import UsageError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs of two datasets: a part, the whole, and the whole once more with --force."""
    folder = tmp_path_factory.mktemp("runs")
    for name, count in (("adding", 6), ("more", 7)):
        (folder / name).mkdir()
        rows(folder / name / "test.jsonl", sums(count))
    solver, *options = SUM
    run = (solver, "-q", "--model", "simulated::calculator", *options)
    for words in (
        ("registry", "upload", "adding", "--namespace", "near.ai", "--version", "1.00"),
        ("run", "near.ai/adding/1.00", *run, "--limit", "4"),
        ("run", "more/test.jsonl", *run),
        ("run", "more/test.jsonl", *run, "--force"),
    ):
        subprocess.run(command(*words), cwd=folder, env=environment(folder / "home"), check=True, capture_output=True)
    return folder


@pytest.fixture
def stored(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, to stand in."""
    monkeypatch.chdir(finished)
    monkeypatch.setenv("ENGINE_HOME", str(finished / "home"))
    return finished


def call(*words: str) -> None:
    """The command as the command line parses it."""
    app = App(result_action="return_value")
    app.command("engine.cli.benchmark:list_", name="list")
    assert app(normalise(["list", *words]), exit_on_error=False, print_error=False) == 0


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    call(*words, "--format", "json")
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_runs_are_listed_with_what_is_done_of_the_dataset(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newest, whole, part = shown(capsys)
    assert (part["namespace"], part["benchmark"]) == ("near.ai", "near.ai/adding/1.00")
    assert (part["done"], part["total"], part["planned"], part["status"]) == (4, 6, 4, "ended")
    assert (whole["done"], whole["total"], whole["generation"], newest["generation"]) == (7, 7, 0, 1)
    assert part["solver"] == "TemplateSolver"
    assert part["args"]["model"] == "calculator"
    assert part["errors"] == 0
    assert 0 <= part["score"] <= 1
    assert part["solved"] == part["score"] * 4
    assert part["input_tokens"] > 0
    assert part["cost_usd"] == 0.0
    assert newest["created_at"] >= whole["created_at"] >= part["created_at"]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--namespace", "near.ai"), 1),
        (("--namespace", "near"), 0),
        (("--benchmark", "adding"), 1),
        (("--benchmark-name=test.jsonl"), 2),
        (("--benchmark_name", "test.jsonl", "--total", "1"), 1),
        (("--solver", "Template"), 3),
        (("--solver", "Other"), 0),
        (("--args", '"model": "calculator"'), 3),
        (("--solver_args", "nothing"), 0),
        (("--limit", "2"), 2),
        (("--offset", "2"), 1),
    ],
)
def test_runs_are_filtered(stored: Path, capsys: pytest.CaptureFixture[str], words: Any, count: int) -> None:
    assert len(shown(capsys, *([words] if isinstance(words, str) else words))) == count


def test_off_a_terminal_there_are_lines_with_tabs(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("--total", "2")
    told = capsys.readouterr()
    head, *lines = [line.split("\t") for line in told.out.splitlines()]
    assert head == list(commands.COLUMNS)
    first = dict(zip(head, lines[0], strict=True))
    assert (first["benchmark"], first["solver"], first["done"]) == ("more/test.jsonl", "TemplateSolver#1", "7/7")
    assert first["score"].endswith("%")
    assert first["cost"] == "$0.00"
    assert json.loads(first["args"])["prompt"] == "{input}"
    assert told.err == "1 more: --offset 2, or --total N\n"


def test_where_nothing_is_stored_no_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands.list_() == 0
    assert capsys.readouterr().err == "nothing is stored yet\n"
    assert commands.list_(format="json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert list(Path(os.environ["ENGINE_HOME"]).iterdir()) == []
    with pytest.raises(UsageError, match="no page"):
        commands.list_(total=0)
    with pytest.raises(UsageError, match="use table or json"):
        commands.list_(format="xml")


def test_the_embedded_batchs_database_is_not_passed_over_in_silence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path / "home"))
    run = command("run", "bench.toml", "-q", "--limit", "2")
    subprocess.run(run, cwd=tmp_path, env=environment(tmp_path / "home"), check=True, capture_output=True)
    call()
    assert "bench.db here, of the batch that comes with the engine, is not looked at" in capsys.readouterr().err
    (tmp_path / "bench.toml").write_text('[storage]\nurl = "sqlite:///bench.db"\n')
    assert [line["name"] for line in shown(capsys)] == ["3_digit_addition"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_a_run_is_one_line_with_what_tells_it_from_others(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    ids = [run["id"] for run in shown(capsys)]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    call()
    told = capsys.readouterr()
    head, *lines = told.out.splitlines()
    assert len(lines) == 3
    assert max(map(len, [head, *lines])) <= width
    assert head.split()[0] == "id"
    assert {"benchmark", "model", "score", "done"} <= {*head.split()}
    assert all(line.startswith(run) for line, run in zip(lines, ids, strict=True))
    if width > 60:
        assert all("more/test.jsonl" in line and " 7/7" in line for line in lines[:2])
        assert all("calculator" in line and "100.00%" in line for line in lines)
    assert ("args" in told.err.partition(" left out")[0]) == (width < 120)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_ships_is_a_line_each_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    assert benchmarks() == 0
    table = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert len(table) == 1 + len(shipped()[0])
    assert max(map(len, table)) <= width
    assert any("GSM8KSolverStrategy" in line for line in table)


def test_a_column_without_any_text_and_columns_without_room_are_left_out() -> None:
    assert widths_that_fit({"id": 10, "args": 90, "n": 3}, ("id",), limit=40) == {"id": 10, "args": 23, "n": 3}
    assert widths_that_fit({"id": 10, "args": 90, "n": 3}, ("id",), limit=20) == {"id": 10, "n": 3}
    assert widths_that_fit({"id": 10, "name": 30}, ("id", "name"), limit=30) == {"id": 10, "name": 18}
