"""Runs become evaluations that are whole, found again, and told by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import anyio
import pytest

from engine.api import Choice, Engine
from engine.cli.app import run_command_line
from engine.data.entries import all_entries
from engine.data.reference import open_dataset
from engine.errors import StorageError, UsageError
from engine.evaluations.evaluation import EvaluationStore
from engine.evaluations.load import load
from engine.evaluations.ranking import ranking
from engine.evaluations.record import FinishedRun, record_run
from engine.evaluations.solutions import read_solutions
from engine.events import RunStarted
from engine.records import Outcome, Selection
from engine.reserved import FIGURES
from engine.statistics import ClusteredMean, Interval, mean_interval, wilson
from tests.evaluation_kit import finish, open_store, put_run, record

ROOT = Path(__file__).resolve().parents[2]
KEY = "local/evaluation_adding_model_m_provider_fireworks"
SCORES = [1, 1, 0, 1, None, 0, 1, 1]


@pytest.fixture
def home() -> Path:
    return Path(os.environ["ENGINE_HOME"])


@pytest.fixture
async def store(home):
    async with open_store(home / "engine.db") as opened:
        yield opened


def entries(home: Path) -> list[str]:
    return [entry.reference for entry in all_entries(home)]


async def test_a_recorded_run_is_an_entry_with_the_seeds_files_and_rows_with_all_figures(store, home):
    made = await record(store, "r1", SCORES, home=home)
    folder = home / "registry" / made.name
    flat = json.loads((folder / "metrics.json").read_text())
    assert made.name == f"{KEY}/0.0.1"
    assert flat["adding"] == 71.43
    assert flat["evaluated_entry_metadata"] == {"model": "m", "provider": "fireworks"}
    assert json.loads((folder / "metadata.json").read_text())["category"] == "evaluation"
    [again] = (await load(store, home=home)).evaluations
    assert again == made
    score = again.metrics["adding"]
    assert (score.value, score.n, score.unit, score.higher_is_better) == (5 / 7, 7, "fraction", True)
    assert score.ci_low == pytest.approx(0.3589, abs=1e-4)
    assert (again.n, again.lost, again.tasks) == (7, 1, 8)
    assert again.metrics["adding/errored"].value == 1 / 8
    assert again.metrics["adding/cost_usd"].value == pytest.approx(0.08)
    assert again.metrics["adding/cost_per_correct_usd"].value == pytest.approx(0.08 / 5)
    assert again.metrics["adding/duration_p50_s"].value == 2.0
    solutions = list(read_solutions(folder, status=True))
    assert len(solutions) == 5
    assert solutions[0]["datum"] == {"question": "0 + 0", "answer": "0", "passage": 0}
    assert entries(home) == [made.name]


REFUSED = Outcome.REFUSED
PARTIAL = [0.5, 0.75, 0.25, 1, 0.5, REFUSED, 0.75, REFUSED, None]


@pytest.mark.parametrize(
    ("scores", "rule"),
    [
        ([1, 0, 1, REFUSED, 1, None], lambda: wilson(3, 4)),
        (PARTIAL, lambda: mean_interval(3.75, 2.6875, 6)),
        ([0.5, 0.5, 0.5, REFUSED], lambda: wilson(1.5, 3)),
        ([[1, 0], [0.5, REFUSED], [1, 1]], lambda: clustered([[1, 0], [0.5], [1, 1]])),
        ([[0.5, 1], [REFUSED, REFUSED], [0, 1]], lambda: clustered([[0.5, 1], [0, 1]])),
    ],
)
async def test_the_score_over_answered_tasks_has_the_interval_of_its_kind(store, home, scores, rule):
    made = await record(store, "r1", scores, home=home)
    answered, expected = made.metrics["adding/score_answered"], rule()
    flat = [each for cell in scores for each in (cell if isinstance(cell, list) else [cell])]
    values = [each for each in flat if each not in (None, REFUSED)]
    assert (answered.n, answered.value) == (len(values), pytest.approx(sum(values) / len(values)))
    assert (answered.ci_low, answered.ci_high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("scores", [SCORES, PARTIAL, [[1, 0], [REFUSED, None]]])
async def test_every_figure_that_the_engine_adds_has_a_name_that_no_solver_can_take(store, home, scores):
    made = await record(store, "r1", scores, home=home)
    names = {name.removeprefix("adding/") for name in made.metrics if "@" not in name and "^" not in name}
    assert names - {"adding"} <= FIGURES
    assert len(names) > 15


def clustered(cells: list[list[float]]) -> Interval | None:
    mean = ClusteredMean()
    for values in cells:
        mean.add(values)
    return mean.interval(share=True)


async def test_the_same_again_is_a_new_version_and_the_table_shows_the_newest(store, home):
    first = await record(store, "r1", SCORES, home=home)
    second = await record(store, "r1", SCORES, home=home)
    assert (first.name, second.name) == (f"{KEY}/0.0.1", f"{KEY}/0.0.2")
    assert [each.name for each in (await load(store, home=home)).evaluations] == [second.name]
    history = await load(store, home=home, history=True)
    assert [each.evaluation_id for each in history.evaluations] == [second.evaluation_id, first.evaluation_id]


async def test_overwriting_keeps_the_version_and_what_was_there(store, home):
    first = await record(store, "r1", SCORES, home=home)
    second = await record(store, "r2", [1] * 8, home=home, overwrite=True)
    assert first.name == second.name
    assert entries(home) == [first.name]
    assert json.loads((home / "registry" / first.name / "metrics.json").read_text())["adding"] == 100.0
    [shown] = (await load(store, home=home)).evaluations
    assert shown.evaluation_id == second.evaluation_id
    assert len((await load(store, home=home, history=True)).evaluations) == 2
    [kept] = (home / "registry" / KEY).glob(".replaced-0.0.1-*")
    assert json.loads((kept / "metrics.json").read_text())["adding"] == 71.43


async def test_a_run_with_open_tasks_is_recorded_only_when_asked_and_marked(store, home):
    with pytest.raises(UsageError, match="2 of 4 tasks are open"):
        await record(store, "r1", [1, 0, ..., ...], home=home)
    made = await record(store, "r1", [1, 0, ..., ...], home=home, partial=True)
    assert "partial" in made.tags
    assert made.name == f"{KEY}_partial/0.0.1"
    assert made.lost == 2


async def test_recorders_at_the_same_time_each_get_a_version(store, home):
    finished = await finish(store, await put_run(store, "r1", SCORES))
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(lambda: record_run(store, finished, home=home))
    assert sorted(entries(home)) == [f"{KEY}/0.0.{n}" for n in range(1, 6)]
    assert len((await load(store, home=home, history=True)).evaluations) == 5


async def test_rows_that_cannot_be_written_leave_no_entry(store, home, monkeypatch):
    first = await record(store, "r1", SCORES, home=home)

    async def full(*_, **__):
        raise StorageError("the disk is full")

    monkeypatch.setattr(store, "save_evaluation", full, raising=False)
    for overwrite in (False, True):
        with pytest.raises(StorageError):
            await record(store, "r2", [1] * 8, home=home, overwrite=overwrite)
    assert entries(home) == [first.name]
    assert json.loads((home / "registry" / first.name / "metrics.json").read_text())["adding"] == 71.43


async def test_a_hidden_model_hides_its_evaluations_however_it_is_spelt(store, home):
    await record(store, "r1", SCORES, home=home, model="accounts/fireworks/models/llama-v3p1-8b-instruct")
    await record(store, "r2", SCORES, home=home, model="llama-v3p1-70b-instruct")
    folder = home / "registry" / "near.ai" / "Llama-3.1-8B-Instruct" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text('{"category": "model", "show_entry": false}')
    found = await load(store, home=home)
    assert ([each.model for each in found.evaluations], found.hidden) == (["llama-v3p1-70b-instruct"], 1)


async def test_hidden_models_hide_their_evaluations(store, home):
    await record(store, "r1", SCORES, home=home)
    folder = home / "registry" / "near.ai" / "m" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text('{"category": "model", "show_entry": false}')
    found = await load(store, home=home)
    assert (found.evaluations, found.hidden) == ((), 1)
    assert len((await load(store, home=home, hidden=True)).evaluations) == 1


async def test_ranks_are_ranges_where_no_difference_is_shown(store, home):
    made = [
        await record(store, "r1", [1] * 60, home=home, model="best"),
        await record(store, "r2", [1] * 30 + [0] * 30, home=home, model="half"),
        await record(store, "r3", [1] * 31 + [0] * 29, home=home, model="alike"),
        await record(store, "r4", [0.5] * 30 + [0.25] * 30, home=home, model="partly"),
    ]
    ranked = await ranking(store, made, "adding")
    assert [(each.evaluation.model, each.rank) for each in ranked] == [
        ("best", "1"),
        ("alike", "2–3"),
        ("half", "2–3"),
        ("partly", "4"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "ranks"),
    [
        ([1] * 5, [1] * 291 + [0] * 9, ["1–2", "1–2"]),  # 5 of 5 say little
        ([1] * 4 + [0], [1] * 300, ["1", "2"]),
        ([1] * 60, [0] * 60, ["1", "2"]),
        ([[1, 1, 1]] * 60, [[0, 0, 0]] * 60, ["1", "2"]),
        ([0.75] * 5, [0.5, 0.25] * 150, ["1–2", "1–2"]),  # no spread is no certainty
        ([0.75, 0.8] * 30, [0.5, 0.25] * 30, ["1", "2"]),
    ],
)
async def test_ranks_of_runs_that_share_no_data_claim_no_more_than_their_data_show(store, home, first, second, ranks):
    made = [
        await record(store, "r1", first, home=home, model="one"),
        await record(store, "r2", second, home=home, model="two", parts={"dataset": "f2"}),
    ]
    assert [each.rank for each in await ranking(store, made, "adding")] == ranks


def test_reading_a_table_beside_a_bench_toml_stays_light(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    Path("bench.toml").write_text(
        '[storage]\nurl = "sqlite:///own.db"\n[providers.x]\nbase_url = "http://127.0.0.1:1/v1"\n'
    )

    async def fill():
        async with open_store(tmp_path / "own.db") as store:
            await record(store, "r1", SCORES, home=home, model="from-own-db")

    anyio.run(fill)
    light = "import sys; from engine.cli.app import run_command_line as run; run(['evaluation', 'table']); "
    light += "assert not {'pydantic', 'openai', 'scipy', 'numpy', 'aiohttp'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", light],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "from-own-db" in done.stdout


@pytest.mark.parametrize("words", ["table", "table --sort -x --columns x", "list", "metric gsm8k"])
def test_with_nothing_recorded_a_command_says_what_to_do_and_makes_nothing(home, capsys, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["evaluation", *words.split()]) == 0
    assert "--record" in capsys.readouterr().out
    assert run_command_line(["evaluation", "tag", "latest", "+x"]) == 2
    assert not (home / "engine.db").exists()


def test_how_many_data_show_a_difference_is_planned_before_it_is_paid(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["plan", "--detect", "2.0"]) == 0
    assert capsys.readouterr().out.startswith("9809 data show a difference of 2 points")
    assert run_command_line(["plan", "--detect", "2.0", "--discordant", "12", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["needed"] == 2353
    words = ["generated:3_digit_addition", "ThreeDigitAdditionSolver", "--model", "simulated::calculator"]
    assert run_command_line(["plan", *words, "--detect", "2.0"]) == 0
    said = capsys.readouterr().out
    assert "to show 2 points its 1000 data are too few, it takes 9809; they show 6.3" in said
    assert run_command_line(["plan", "--detect", "0"]) == 2
    for detect, discordant in (("5", "2"), ("2", "1")):
        capsys.readouterr()
        assert run_command_line(["plan", "--detect", detect, "--discordant", discordant]) == 2
        assert f"--detect {detect} is more than --discordant {discordant}" in capsys.readouterr().err
    assert run_command_line(["plan", "--detect", "60"]) == 0
    assert "differ on 60.0 % of the data" in capsys.readouterr().out


def test_solutions_are_read_by_the_seeds_status_or_by_outcome(home, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    async def fill():
        async with open_store(home / "engine.db") as store:
            await record(store, "r1", SCORES, home=home, model="one")

    anyio.run(fill)

    def found(status: str) -> str:
        assert run_command_line(["evaluation", "read_solutions", "one", "--status", status]) == 0
        return capsys.readouterr().out.splitlines()[0]

    assert found("true") == "Found 5 solutions with status=True"
    assert found("False") == "Found 3 solutions with status=False"
    assert found("failed") == "Found 2 solutions with status=failed"
    assert found("errored") == "Found 1 solution with status=errored"
    assert found("refused") == "No solutions found matching criteria"
    assert run_command_line(["evaluation", "read_solutions", "one", "--status", "wrong"]) == 2
    assert "true, false, or one of passed, failed" in capsys.readouterr().err


def test_the_command_line_tells_the_seeds_story(home, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    async def fill():
        async with open_store(home / "engine.db") as store:
            await record(store, "r1", SCORES, home=home, model="one")
            await record(store, "r2", [1] * 8, home=home, model="two")

    anyio.run(fill)

    def say(*words: str, code: int = 0) -> str:
        assert run_command_line(["evaluation", *words]) == code
        return capsys.readouterr().out

    assert "71.43 [35.89, 91.78] n=7 lost=1" in say("table", "--num_columns=8")
    assert "fireworks" in say("table", "--all_key_columns", "--num_columns=8")
    assert "adding/cost_usd" in say("table", "--all_metrics")
    found = json.loads(say("table", "--format", "json", "--sort", "-adding"))
    assert [row["adding"] for row in found["rows"]] == [1.0, 5 / 7]
    assert json.loads(say("compare", "one", "two", "--format", "json"))["fixed"] == [2, 5]
    assert "2 fixed: 2, 5" in say("compare", "one", "two")
    clustered = json.loads(say("compare", "one", "two", "--cluster", "passage", "--format", "json"))
    assert (clustered["n"], clustered["test"], clustered["difference"]) == (7, "paired_bootstrap", 2 / 7)
    assert (
        json.loads(say("compare", "one", "two", "--cluster", "answer", "--format", "json"))["test"] == "mcnemar_exact"
    )
    say("compare", "one", "two", "--cluster", "nothing", code=2)
    assert say("compare", "two", "one", "--max-regression", "1.0", code=1)
    assert say("compare", "one", "two", "--max_regression=50")
    assert "1–2" in say("metric", "adding")
    assert "adding/unparsed" in say("show", "latest")
    shown = json.loads(say("show", "one", "--cluster", "passage", "--format", "json"))["clustered"]
    assert (shown["n"], shown["clusters"], shown["value"]) == (7, 2, 5 / 7)
    # residuals by passage: 3 of 4 and 2 of 3 are right, the mean is 5/7
    assert shown["stderr"] == pytest.approx((2 * ((3 - 20 / 7) ** 2 + (2 - 15 / 7) ** 2)) ** 0.5 / 7, rel=1e-9)
    assert "in 2 clusters" in say("show", "one", "--cluster", "passage")
    assert "paper" in say("tag", "two", "+paper", "-draft")
    assert "one" not in say("table", "--where", "tag:paper")
    assert "is hidden" in say("hide", "one", "--reason", "a mistake")
    assert "1 hidden" in say("table")
    assert run_command_line(["registry", "hide", "local/evaluation_adding_model_two_provider_fireworks"]) == 0
    assert "2 hidden" in say("table")
    assert run_command_line(["registry", "unhide", "local/evaluation_adding_model_two_provider_fireworks"]) == 0
    capsys.readouterr()
    assert "1 hidden" in say("table")
    say("view", "save", "mine", "--columns", "adding", "--hidden")
    assert "one" in say("table", "--view", "mine")
    assert "9809 data" in say("power", "--detect", "2.0")
    assert run_command_line(["evaluation", "show", "nobody"]) == 2


def test_exports_can_be_read_where_they_are_meant_to_go(home, capsys, monkeypatch, tmp_path):
    import pyarrow.parquet

    monkeypatch.chdir(tmp_path)

    async def fill():
        async with open_store(home / "engine.db") as store:
            await record(store, "r1", [[1, 0.5], [0, None]], home=home, tags=("=1+1",))

    anyio.run(fill)
    for name in ("jsonl", "csv", "parquet", "inspect", "html"):
        assert run_command_line(["evaluation", "export", name, "--output", f"out.{name}"]) == 0
    [line] = Path("out.jsonl").read_text().splitlines()
    assert json.loads(line)["metrics"][0]["value"] == 0.5
    rows = pyarrow.parquet.read_table("out.parquet").to_pylist()
    assert next(row for row in rows if row["metric"] == "adding")["n"] == 3
    log = json.loads(Path("out.inspect").read_text())
    assert [sample["epoch"] for sample in log["samples"]] == [1, 2, 1, 2]
    assert log["samples"][0]["input"] == "0 + 0"
    assert log["samples"][3]["error"]["message"]
    assert "<table>" in Path("out.html").read_text()
    assert run_command_line(["evaluation", "export", "xlsx"]) == 2
    assert "csv, html, inspect, jsonl, parquet" in capsys.readouterr().err


async def test_a_real_run_is_recorded_with_its_data_and_its_origin(home, tmp_path):
    async with Engine(storage=f"sqlite:///{tmp_path / 'b.db'}", folder=tmp_path) as engine:
        async with engine.events(of=()) as events:
            report = await engine.run(
                "generated:3_digit_addition",
                "ThreeDigitAdditionSolver",
                model="simulated::calculator",
                choice=Choice(limit=40),
            )
            started = await anext(event async for event in events if isinstance(event, RunStarted))
        selection = Selection(stop=40)
        tally = await engine.store.tally(report.run_id, selection)
        dataset = open_dataset("generated:3_digit_addition", subset="", folder=tmp_path, home=home)
        finished = FinishedRun(report=report, record=started.record, selection=selection, tally=tally, dataset=dataset)
        made = await record_run(cast("EvaluationStore", engine.store), finished, home=home, namespace="alomonos.near")
    assert made.name.startswith("alomonos.near/evaluation_3_digit_addition_model_calculator_provider_simulated/")
    assert made.metrics["3_digit_addition"].value == report.score
    assert made.details["dataset_rows"] == 1000
    assert made.details["sampling"]["temperature"] == 0
    solutions = list(read_solutions(home / "registry" / made.name))
    assert len(solutions) == 40
    assert set(solutions[0]["datum"]) == {"input", "output"}
