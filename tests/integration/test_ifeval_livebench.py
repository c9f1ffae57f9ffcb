"""IFEval and LiveBench through the command line: recorded replies give published scores, hostile ones a verdict."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from engine.endpoints.recorded import Recorded, load_recording
from engine.endpoints.server import ChatRequest, serve
from engine.statistics import wilson
from tests.support import engine, rows, scripted

BOMB = "\n" * 1_000_000 + "no list"
"""The published pattern for lists goes over what is left of it from each line."""
HOSTILE_FORMULA = r"\boxed{" + "x^{" * 200 + "1" + "}" * 200 + "}" + r" \boxed{((" + "a b c d e f g h" * 40 + "}"


def published(path: Path) -> dict[str, dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {str(row["id"]): row for row in map(json.loads, lines)}


def tasks(folder: Path) -> dict[str, tuple[str, float | None, str | None]]:
    with sqlite3.connect(folder / "home" / "engine.db") as db:
        found = {row[0]: tuple(row[1:]) for row in db.execute("select datum_id, outcome, score, answer from tasks")}
    db.close()
    return found


async def replay(recording: Path, *words: object, cwd: Path) -> Any:
    async with serve(Recorded(load_recording(recording))) as server:
        return await engine("run", *words, "--model", f"{server.base_url}::m", "--json", cwd=cwd)


async def test_ifeval_gives_the_published_figures_and_the_unrecorded_prompt_is_no_failure(shared_data, tmp_path):
    recording = shared_data / "oracles" / "ifeval-gpt-4-20231107.jsonl.gz"
    seen = {}
    for concurrency in (64, 1):
        cwd = tmp_path / str(concurrency)
        cwd.mkdir()
        data = shared_data / "ifeval" / "input_data.jsonl"
        ended = await replay(recording, data, "IFEvalSolverStrategy", "--max_concurrent", concurrency, cwd=cwd)
        assert ended.code == 0, ended.err
        (run,) = ended.runs
        seen[concurrency] = (run["metrics"], tasks(cwd))

    assert (run["n"], run["passed"], run["failed"], run["errored"]) == (541, 417, 123, 1)
    metrics, ended_tasks = seen[64]
    assert seen[1] == seen[64]
    assert metrics["ifeval/prompt_strict"] == 417 / 540
    assert metrics["ifeval/instruction_strict"] == pytest.approx(0.8377, abs=5e-5)
    assert metrics["ifeval/prompt_loose"] == pytest.approx(0.7963, abs=2e-3)
    assert metrics["ifeval/instruction_loose"] == pytest.approx(0.8558, abs=2e-3)
    assert "ifeval/instruction_strict/keywords:existence" in metrics
    wanted = published(recording)
    assert {key: ended_tasks[key][0] == "passed" for key in wanted} == {k: row["expected"] for k, row in wanted.items()}


def check_scores(ours: dict[str, Any], wanted: dict[str, dict[str, Any]], metrics: dict[str, float]) -> None:
    """Each score is the recorded one, and each metric the official mean of them."""
    assert {key: ours[key][1] for key in wanted} == pytest.approx({key: row["expected"] for key, row in wanted.items()})
    scores: dict[str, dict[str, list[float]]] = {}
    for row in wanted.values():
        scores.setdefault(row["category"], {}).setdefault(row["task"], []).append(row["expected"])
    tasks_of = {category: {task: fmean(each) for task, each in by.items()} for category, by in scores.items()}
    groups = {category: fmean(by.values()) for category, by in tasks_of.items()}
    expected = {f"task/{task}": mean for by in tasks_of.values() for task, mean in by.items()}
    expected |= {f"group/{category}": mean for category, mean in groups.items()} | {"average": fmean(groups.values())}
    assert {name.split("/", 1)[1]: value for name, value in metrics.items()} == pytest.approx(expected)


async def test_livebench_gives_the_official_score_of_every_question_at_any_concurrency(shared_data, tmp_path):
    recording = shared_data / "oracles" / "livebench-zft-community-8b-bs4.jsonl.gz"
    chosen = ("--release", "all", "--category", "reasoning,data_analysis,instruction_following")
    seen = []
    for concurrency in (64, 1):
        cwd = tmp_path / str(concurrency)
        cwd.mkdir()
        words = (shared_data / "livebench", "LiveBenchSolverStrategy", *chosen, "--max-errors", "50%")
        ended = await replay(recording, *words, "--max_concurrent", concurrency, cwd=cwd)
        assert ended.code == 0, ended.err
        seen.append((ended.runs[0]["metrics"], tasks(cwd)))
    assert seen[0] == seen[1]
    wanted = {key: row for key, row in published(recording).items() if row["category"] != "math"}
    assert len(wanted) == 550
    check_scores(seen[0][1], wanted, seen[0][0])


@pytest.mark.long
async def test_livebench_gives_the_official_score_with_computer_algebra_too(shared_data, tmp_path):
    recording = shared_data / "oracles" / "livebench-zft-community-8b-bs4.jsonl.gz"
    words = (shared_data / "livebench", "LiveBenchSolverStrategy", "--release", "all", "--max-errors", "50%")
    ended = await replay(recording, *words, cwd=tmp_path)

    assert ended.code == 0, ended.err
    (run,) = ended.runs
    assert (run["n"], run["errored"]) == (1118, 386)
    check_scores(tasks(tmp_path), published(recording), run["metrics"])


def question(number: int, **more: Any) -> dict[str, Any]:
    common = {"question_id": f"q{number}", "category": "data_analysis", "task": "cta", "ground_truth": "yes"}
    dates = {"livebench_release_date": "2024-06-24", "livebench_removal_date": ""}
    return {**common, **dates, "turns": [f"question {number}"], **more}


def folder_of(tmp_path: Path, *questions: dict[str, Any]) -> Path:
    folder = tmp_path / "live_bench"
    for each in questions:
        place = folder / each["category"] / each["task"]
        place.mkdir(parents=True, exist_ok=True)
        with (place / "question.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(each) + "\n")
    return folder


async def test_a_release_holds_what_was_released_and_not_removed_by_then(tmp_path):
    folder = folder_of(
        tmp_path,
        question(1),
        question(2, livebench_removal_date="2024-11-25"),
        question(3, livebench_release_date="2025-04-02"),
        question(4, livebench_removal_date="2025-04-02"),
        question(5, category="reasoning", task="spatial"),
    )
    async with scripted(lambda _: "yes") as (server, responder):
        words = ("run", folder, "LiveBenchSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        default = await engine(*words, cwd=tmp_path)
        old = await engine(*words, "--release", "2024-06-24", "--task", "cta", cwd=tmp_path)
        none = await engine(*words, "--category", "math", cwd=tmp_path)

    assert [run["n"] for run in (*default.runs, *old.runs)] == [3, 3]
    assert sorted(responder.seen) == ["question 1", "question 2", "question 4", "question 5"], "equal calls are shared"
    assert set(default.runs[0]["metrics"]) == {
        "live_bench/average", "live_bench/group/data_analysis", "live_bench/group/reasoning",
        "live_bench/task/cta", "live_bench/task/spatial",
    }  # fmt: skip
    assert none.code == 2
    assert "no LiveBench question" in none.err


async def test_figures_of_tasks_have_their_n_and_their_interval(tmp_path):
    folder = folder_of(
        tmp_path,
        *(question(number, turns=["yes" if number % 2 else "no"]) for number in range(8)),
        question(8, category="reasoning", task="spatial"),
    )
    async with scripted(lambda request: request.texts[-1][1]) as (server, _):
        run = ("run", folder, "LiveBenchSolverStrategy", "--model", f"{server.base_url}::m", "--record")
        ended = await engine(*run, cwd=tmp_path)
        assert ended.code == 0, ended.err
    shown = json.loads((await engine("evaluation", "show", "latest", "--format", "json", cwd=tmp_path)).out)
    metrics = {each["name"].removeprefix("live_bench/"): each for each in shown["metrics"]}
    cta, expected = metrics["task/cta"], wilson(4, 8)
    assert (cta["value"], cta["n"], cta["unit"]) == (0.5, 8, "fraction")
    assert (cta["ci_low"], cta["ci_high"]) == pytest.approx((expected.low, expected.high))
    assert metrics["group/data_analysis"]["n"] == 8
    assert metrics["task/spatial"]["n"] == 1
    assert metrics["average"]["ci_low"] is None, "a mean of means has no interval here"


async def test_turns_are_said_in_one_session_and_the_last_reply_is_scored(tmp_path):
    folder = folder_of(tmp_path, question(1, turns=["first", "second"]), question(2))

    def answer(request: ChatRequest) -> str:
        texts = [text for _, text in request.texts]
        return "yes" if texts in (["first", "no", "second"], ["question 2"]) else "no"

    async with scripted(answer) as (server, _):
        words = ("run", folder, "LiveBenchSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, cwd=tmp_path)
    assert ended.runs[0]["passed"] == 2, ended.err


async def test_tasks_that_cannot_be_scored_stop_the_run_unless_left_out(tmp_path):
    folder = folder_of(tmp_path, question(1), question(2, category="coding", task="LCB_generation"))
    async with scripted(lambda _: "yes") as (server, responder):
        words = ("run", folder, "LiveBenchSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        refused = await engine(*words, cwd=tmp_path)
        sent = len(responder.seen)
        ended = await engine(*words, "--only_scored", "true", cwd=tmp_path)
    assert refused.code == 2
    assert "LCB_generation (1)" in refused.err
    assert sent == 0
    assert (ended.runs[0]["n"], ended.runs[0]["passed"]) == (1, 1)


@pytest.mark.parametrize(("line", "message"), [("{", "question.jsonl:2"), ("[1]", "question.jsonl:2"), ("", "")])
async def test_a_broken_question_is_named_with_file_and_line(tmp_path, line, message):
    folder = folder_of(tmp_path, question(1))
    with (folder / "data_analysis" / "cta" / "question.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    (folder / "more").mkdir()
    shutil.copy(folder / "data_analysis" / "cta" / "question.jsonl", folder / "more" / "other.jsonl")
    async with scripted(lambda _: "yes") as (server, _):
        words = ("run", folder, "LiveBenchSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, cwd=tmp_path)
    assert ended.code == (2 if message else 0)
    assert message in ended.err


async def test_hostile_replies_end_with_an_outcome_and_the_run_goes_on(tmp_path):
    replies = {"bomb": BOMB, "nul": "a\x00b <b>\x1b[31m", "surrogate": "\ud800", "blank": " ", "good": "* a"}
    kinds = ["detectable_format:number_bullet_lists", "punctuation:no_comma"]
    prompts = [
        {"key": name, "prompt": name, "instruction_id_list": kinds, "kwargs": [{"num_bullets": 1}, {}]}
        for name in replies
    ]
    data = rows(tmp_path / "ifeval.jsonl", [*prompts, {"key": "bare", "prompt": "bare"}])
    async with scripted(lambda request: replies.get(request.texts[-1][1], "")) as (server, responder):
        words = ("run", data, "IFEvalSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, "--max-errors", "50%", cwd=tmp_path)
    outcomes = {key: outcome for key, (outcome, _, _) in tasks(tmp_path).items()}
    assert ended.code == 0, ended.err
    assert outcomes == {
        "bomb": "failed", "nul": "failed", "surrogate": "failed", "blank": "empty", "good": "passed", "bare": "errored",
    }  # fmt: skip
    assert sorted(responder.seen) == sorted(replies), "a prompt is sent as it is, and a row without one is not"


@pytest.mark.long
async def test_a_formula_that_never_ends_is_given_up(tmp_path):
    folder = folder_of(tmp_path, question(1, category="math", task="AMPS_Hard", ground_truth="x"), question(2))
    async with scripted(lambda _: HOSTILE_FORMULA) as (server, _):
        words = ("run", folder, "LiveBenchSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.runs[0]["failed"] == 2
