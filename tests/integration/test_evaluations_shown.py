"""What commands show of evaluations: to a person, to a spreadsheet and to a program."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from engine.cli.app import run_command_line
from engine.cli.show import interval_line
from tests.evaluation_kit import finish, open_store, put_run, record

SCORES = [1, 1, 0, 1, None, 0, 1, 1]
Say = Callable[..., str]


@pytest.fixture
def say(capsys, monkeypatch, tmp_path) -> Say:
    """`engine evaluation WORDS` on two models, `one` that is right in five of seven tasks, and `two` that always is."""
    monkeypatch.chdir(tmp_path)
    home = Path(os.environ["ENGINE_HOME"])

    async def fill() -> None:
        async with open_store(home / "engine.db") as store:
            await record(store, "r1", SCORES, home=home, model="one")
            await record(store, "r2", [1] * 8, home=home, model="two")

    anyio.run(fill)

    def said(*words: str, code: int = 0, err: bool = False) -> str:
        assert run_command_line(["evaluation", *words]) == code
        out = capsys.readouterr()
        return out.err if err else out.out

    return said


def test_csv_of_a_comparison_holds_the_figures_of_json_as_numbers(say):
    alike = json.loads(say("compare", "two", "one", "--format", "json"))
    [row] = csv.DictReader(io.StringIO(say("compare", "two", "one", "--format", "csv")))
    assert (row["a_name"], row["b_name"]) == ("two", "one")
    numbers = ("n", "a", "b", "difference", "ci_low", "ci_high", "p_value", "minimum_detectable")
    assert {name: float(row[name]) for name in numbers} == {name: alike[name] for name in numbers}
    assert float(row["difference"]) == -2 / 7
    pairs = list(csv.DictReader(io.StringIO(say("compare", "one", "two", "latest", "--format", "csv"))))
    assert [float(each["difference"]) for each in pairs] == [2 / 7, 2 / 7, 0.0]


def test_csv_of_lists_ranks_and_one_evaluation_holds_a_number_to_a_column(say):
    def rows(*words: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(say(*words, "--format", "csv"))))

    wanted = ["two", "one"]
    listed = rows("list")
    assert [each["model"] for each in listed] == wanted
    assert [(float(each["score"]), each["n"], each["lost"]) for each in listed] == [(1.0, "8", "0"), (5 / 7, "7", "1")]
    ranks = rows("metric", "adding")
    assert [(each["rank_best"], each["rank_worst"], float(each["value"])) for each in ranks] == [
        ("1", "2", 1.0),
        ("1", "2", 5 / 7),
    ]
    alike = json.loads(say("show", "one", "--format", "json"))["metrics"]
    shown = rows("show", "one")
    assert [each["name"] for each in shown] == [each["name"] for each in alike]
    assert (float(shown[0]["value"]), float(shown[0]["ci_low"])) == (alike[0]["value"], alike[0]["ci_low"])


async def test_n_beside_a_score_is_what_the_score_is_made_from_in_a_run(tmp_path):
    async with open_store(tmp_path / "bench.db") as store:
        lost = await finish(store, await put_run(store, "r1", SCORES))
        whole = await finish(store, await put_run(store, "r2", [1, 0]))
        partly = await finish(store, await put_run(store, "r3", [1, 0, ..., ...]))
    assert "n 7 of 8 tasks" in interval_line(lost.report)
    assert "· n 2 ·" in interval_line(whole.report)
    assert "n 2 of 4 tasks" in interval_line(partly.report)
    assert (lost.report.as_dict()["n"], partly.report.as_dict()["n"]) == (8, 4)  # to which the outcomes sum


def test_n_in_a_column_is_what_it_is_in_a_cell(say):
    wanted = ("table", "--columns", "adding,n,lost,tasks", "--where", "model:one", "--format")
    [row] = json.loads(say(*wanted, "json"))["rows"]
    assert (row["n"], row["lost"], row["tasks"], row["doubt"]["adding"]["n"]) == (7, 1, 8, 7)
    [row] = csv.DictReader(io.StringIO(say(*wanted, "csv")))
    assert (row["n"], row["lost"], row["tasks"], row["adding:n"]) == ("7", "1", "8", "7")
    shown = json.loads(say("show", "one", "--format", "json"))
    assert (shown["n"], shown["lost"], shown["tasks"]) == (7, 1, 8)


def test_a_solution_tells_which_task_it_is_what_was_answered_and_what_came_of_it(say):
    name = json.loads(say("show", "one", "--format", "json"))["name"]
    file = Path(os.environ["ENGINE_HOME"], "registry", name, "solutions.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2] |= {"answer": "it is \x1b[31m5\u202e", "datum_id": "q2", "repeat": 1}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = say("read_solutions", "one", "--status", "false")
    assert found.startswith("Found 3 solutions with status=False")
    first = found.split("-" * 80)[1].splitlines()
    assert first[2:5] == ["datum_index: 2", 'datum_id: "q2"', "repeat: 1"]
    for said in (
        "status: false",
        "info: null",
        'outcome: "failed"',
        "score: 0.0",
        'answer: "it is \\u001b[31m5\\u202e"',
    ):
        assert said in first
    assert "\x1b" not in found
    assert "\u202e" not in found
    [errored] = say("read_solutions", "one", "--status", "errored").split("-" * 80)[1:]
    assert "answer" not in errored.replace('"answer"', "")
    assert say("read_solutions", "one", "--status", "errored").startswith("Found 1 solution with status=errored")


@pytest.mark.parametrize("command", [("table",), ("metric", "adding"), ("export", "csv")])
def test_a_filter_above_one_on_a_fraction_is_told_to_be_meant_in_percent(say, command):
    said = say(*command, "--where", "adding>80", err=True)
    assert "'adding' is a fraction in 0-1 and never near 80: write 80% for percent" in said
    assert "fraction" not in say(*command, "--where", "adding>80%", err=True)
    assert "two" in say(*command, "--where", "adding>80%")
    assert "fraction" not in say(*command, "--where", "adding/n>2", err=True)


def test_an_export_of_nothing_says_so(say):
    assert say("export", "csv", "--tag", "nosuch").count("\n") == 1
    assert "nothing is exported: no figure has these tags" in say("export", "csv", "--tag", "nosuch", err=True)
    assert "no row matches --where" in say("export", "jsonl", "--where", "model:nosuch", err=True)
    assert say("export", "csv", err=True) == ""


def test_what_is_compared_with_itself_is_said_to_be(say):
    assert "both are of one run, r1" in say("compare", "one", "one")
    assert "both are of one run" in json.loads(say("compare", "one", "one", "--format", "json"))["warnings"][0]
    assert "one run" not in say("compare", "one", "two")
