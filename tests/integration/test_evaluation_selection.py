"""What was recorded stays what it was: a trial is compared as the trial that it is, and hides no fuller evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import Ended, engine

ADDING = ("run", "generated:3_digit_addition", "ThreeDigitAdditionSolver", "--quiet")


@pytest.fixture
def told(tmp_path):
    async def tell(*words: str, code: int = 0, cwd: Path = tmp_path, **more: str) -> Ended:
        ended = await engine(*words, cwd=cwd, **more)
        assert ended.code == code, ended
        return ended

    return tell


async def solve(told, model: str, *words: str, code: int = 0) -> Ended:
    return await told(
        *ADDING, "--model", f"simulated::{model}", "--set", "providers.simulated.latency_s=0.001", *words, code=code
    )


async def test_without_a_bench_toml_a_run_is_kept_in_the_home(told, tmp_path):
    await solve(told, "d1", "--limit", "3")
    assert (tmp_path / "home" / "engine.db").is_file()
    assert not list(tmp_path.glob("*.db"))


async def test_a_recorded_trial_is_compared_as_it_was_recorded_whatever_its_run_holds_since(told):
    for model in ("d1", "d2"):
        await solve(told, model, "--limit", "20", "--record")
        await solve(told, model, "--limit", "60")
    assert json.loads((await told("evaluation", "compare", "d1", "d2", "--format", "json")).out)["n"] == 20
    assert (await told("evaluation", "compare", "d1", "d2")).out.startswith("20 shared data")
    [first, _] = json.loads((await told("evaluation", "list", "--format", "json")).out)
    assert (
        json.loads((await told("evaluation", "metric", "3_digit_addition", "--format", "json")).out)["rows"][0]["n"]
        == 20
    )
    assert json.loads((await told("evaluation", "compare", first["run_id"], "d1", "--format", "json")).out)["n"] == 20


async def test_an_endpoint_with_a_low_ceiling_is_compared_by_its_calls_and_not_by_our_queue(told):
    for name, ceiling in (("wide", 40), ("narrow", 1)):
        await told(
            *(*ADDING, "--model", f"{name}::d1", "--limit", "40", "--record"),
            *("--set", f"providers.{name}.kind=simulated", "--set", f"providers.{name}.latency_s=0.02"),
            *("--set", f"providers.{name}.max_concurrent={ceiling}", "--set", f"providers.{name}.seed={ceiling}"),
        )
    [line] = [
        each
        for each in (await told("evaluation", "compare", "wide::d1", "narrow::d1")).out.splitlines()
        if each.startswith("B for each of A")
    ]
    assert "time a task takes" not in line
    assert float(line.rpartition("latency of a call ")[2].removesuffix("x")) < 4  # tasks wait 20 times as long


async def test_a_trial_stands_behind_a_fuller_evaluation_and_says_so(told):
    await solve(told, "d1", "--limit", "40", "--record")
    said = (await solve(told, "d1", "--limit", "5", "--record")).err
    assert len([line for line in said.splitlines() if "40" in line and "table keeps showing" in line]) == 1
    [row] = json.loads((await told("evaluation", "metric", "3_digit_addition", "--format", "json")).out)["rows"]
    assert row["n"] == 40
    [row] = json.loads((await told("evaluation", "table", "--format", "json")).out)["rows"]
    assert row["doubt"]["3_digit_addition"]["n"] == 40
    assert json.loads((await told("evaluation", "show", "d1", "--format", "json")).out)["n"] == 40
    assert json.loads((await told("evaluation", "show", "latest", "--format", "json")).out)["n"] == 5
    assert "keeps" not in (await solve(told, "d1", "--limit", "40", "--record")).err
    assert "keeps" not in (await solve(told, "d1", "--record")).err
    assert json.loads((await told("evaluation", "show", "d1", "--format", "json")).out)["n"] == 1000


@pytest.mark.parametrize("here", ["a", "b", "c"])
async def test_a_trial_in_another_database_stands_behind_the_fuller_one_from_any_folder(told, tmp_path, here):
    await solve(told, "d1", "--set", "storage.url=sqlite:///a.db", "--limit", "40", "--record")
    said = await solve(told, "d1", "--set", "storage.url=sqlite:///b.db", "--limit", "5", "--record")
    assert "table keeps showing" in said.err
    (tmp_path / "bench.toml").write_text(f'[storage]\nurl = "sqlite:///{here}.db"\n')
    [row] = json.loads((await told("evaluation", "table", "--format", "json")).out)["rows"]
    assert row["doubt"]["3_digit_addition"]["n"] == 40
    everything = json.loads((await told("evaluation", "list", "--history", "--format", "json")).out)
    assert [each["n"] for each in everything] == [5, 40]
    [shown] = json.loads((await told("evaluation", "list", "--format", "json")).out)
    assert shown["n"] == 40
    assert json.loads((await told("evaluation", "show", "d1", "--format", "json")).out)["n"] == 40


async def test_where_there_is_only_a_trial_it_is_shown(told):
    assert "keeps" not in (await solve(told, "d1", "--sample", "7", "--record")).err
    [row] = json.loads((await told("evaluation", "table", "--format", "json")).out)["rows"]
    assert row["doubt"]["3_digit_addition"]["n"] == 7


async def test_a_metric_that_is_not_there_is_told_with_the_nearest_and_no_match_is_a_line(told):
    await solve(told, "d1", "--limit", "3", "--record")
    said = (await told("evaluation", "metric", "digit_addition", code=2)).err
    assert "there is no metric 'digit_addition'" in said
    assert "did you mean '3_digit_addition'" in said
    for words in (("--where", "tag:paper"), ("--tag", "paper")):
        for command in (("table",), ("metric", "3_digit_addition")):
            [line] = (await told("evaluation", *command, *words)).out.splitlines()
            assert line.startswith("nothing matches: ")


async def test_an_evaluation_is_found_in_the_database_of_its_batch_from_any_folder(told, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    batch = tmp_path / "study" / "mine.toml"
    batch.write_text(
        '[storage]\nurl = "sqlite:///own.db"\n[[benchmark]]\ndataset = "generated:3_digit_addition"\n'
        'solver = "ThreeDigitAdditionSolver"\nmodels = ["simulated::d1", "simulated::d2"]\nrecord = true\nlimit = 8\n'
    )
    there = {"cwd": tmp_path / "elsewhere", "ENGINE_HOME": str(tmp_path / "home")}
    await told("run", str(batch), "--quiet", **there)
    assert not (tmp_path / "home" / "engine.db").exists()

    assert json.loads((await told("evaluation", "compare", "d1", "d2", "--format", "json", **there)).out)["n"] == 8
    await told("evaluation", "bundle", "d1", "--output", "d1.bundle", **there)
    await told("verify", "d1.bundle", **there)
    await told("evaluation", "tag", "d1", "+paper", **there)
    assert json.loads((await told("evaluation", "show", "d1", "--format", "json", **there)).out)["tags"] == ["paper"]
    await told("evaluation", "hide", "d2", **there)
    assert "d2" not in (await told("evaluation", "list", **there)).out

    (tmp_path / "study" / "own.db").rename(tmp_path / "moved.db")
    said = (await told("evaluation", "compare", "d1", "d2", code=2, **there)).err
    assert "own.db" in said
    assert "engine.db" in said


async def test_an_evaluation_without_any_score_stands_behind_one_that_has_some(told):
    await solve(told, "d1", "--limit", "6", "--record")
    faults = ("--set", 'providers.simulated.fault_rates={"400"=1.0}')
    said = await solve(told, "d1", "--limit", "6", "--record", "--force", *faults, code=1)
    assert "has no score: the table keeps showing" in said.err
    [row] = json.loads((await told("evaluation", "metric", "3_digit_addition", "--format", "json")).out)["rows"]
    assert row["n"] == 6


async def test_what_the_model_said_is_shown_beside_a_solution(told, tmp_path):
    (tmp_path / "echo.py").write_text(
        "from solvers import SolverStrategy\n"
        "class Echo(SolverStrategy):\n"
        "    def __init__(self, dataset_ref, model='', agent=''):\n        super().__init__(model, agent)\n"
        "    def evaluation_name(self): return 'echo'\n"
        "    def compatible_datasets(self): return ['rows']\n"
        "    async def solve(self, datum):\n"
        "        return await self.start_inference_session('').run_task(datum['q']) == datum['q']\n"
    )
    (tmp_path / "rows.jsonl").write_text('{"q": "12 + 30 = ?"}\n')
    words = ("run", "rows.jsonl", "echo.py:Echo", "--model", "simulated::calculator", "--record", "--quiet")
    await told(*words)
    plainly = (await told("evaluation", "read_solutions", "latest", "--status", "false")).out
    assert "reply:" not in plainly
    said = (await told("evaluation", "read_solutions", "latest", "--status", "false", "--replies")).out
    assert said.startswith(plainly.rstrip())
    assert "42" in said.partition("reply:\n    ")[2]
