"""`engine benchmarks` says what ships and how it was verified; `engine new solver` writes one that runs at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.benchmarks import markdown, shipped
from engine.data.catalogue import CATALOGUE
from engine.load import BUILT_IN, solver_names
from tests.support import ROOT, engine


async def test_what_ships_is_listed_with_licence_size_and_how_it_was_verified(tmp_path: Path) -> None:
    table = await engine("benchmarks", cwd=tmp_path)
    listed = json.loads((await engine("benchmarks", "--format", "json", cwd=tmp_path)).out)
    assert table.code == 0
    assert "near.ai" not in table.err
    assert "wanted next: GPQA" in table.out
    gsm8k = next(row for row in listed["benchmarks"] if row["solver"] == "GSM8KSolverStrategy")
    assert (gsm8k["licence"], gsm8k["rows"], gsm8k["verified_by"]) == ("MIT", "1319", "recordings")
    assert gsm8k["hub"] == ["hf:openai/gsm8k@740312ad"]
    assert {row["verified_by"] for row in listed["benchmarks"]} == {
        "recordings",
        "official scorer",
        "references",
        "prompts",
    }


def test_every_solver_and_every_name_of_the_catalogue_is_listed() -> None:
    rows, further, _ = shipped()
    assert sorted(name for row in rows for name in row["datasets"]) == sorted(CATALOGUE)
    assert sorted(each["solver"] for each in rows + further) == solver_names(folder=BUILT_IN.parent / "nowhere")


def test_the_table_in_the_documentation_is_the_command_s() -> None:
    rows, _, wanted = shipped()
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [line for line in markdown(rows, wanted) if line not in text] == []


@pytest.mark.parametrize(
    ("name", "file", "class_name"), [("my_sums", "my_sums", "MySums"), ("MMLUFrench", "mmlu_french", "MmluFrench")]
)
async def test_a_new_solver_runs_at_once(tmp_path: Path, name: str, file: str, class_name: str) -> None:
    made = await engine("new", "solver", name, cwd=tmp_path)
    assert made.code == 0, made.err
    command = made.final.split()
    assert command[:3] == ["engine", "run", "generated:3_digit_addition"]
    assert command[3] == f"{file}.py:{class_name}Solver"
    ended = await engine(*command[1:], "--limit", 20, "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert (ended.runs[0]["passed"], ended.runs[0]["benchmark"]) == (20, file)


async def test_a_file_that_is_there_is_left_alone_and_a_name_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("kept")
    there = await engine("new", "solver", "Mine", cwd=tmp_path)
    wrong = await engine("new", "solver", "a/b", cwd=tmp_path)
    assert (there.code, wrong.code, (tmp_path / "mine.py").read_text()) == (2, 2, "kept")
    assert "is there already" in there.err
    assert "is no name for a solver" in wrong.err
