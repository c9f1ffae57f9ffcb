"""Text benchmarks from the command line: recordings of real models give their published scores."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from engine.endpoints.recorded import Recorded, load_recording
from engine.endpoints.server import ChatRequest, serve
from tests.support import Ended, engine, rows, scripted

PUBLISHED = {
    "bbh-code-davinci-002-direct": ("bbh", "BBHSolverStrategy", 3408, 6511),
    "mmlu_pro-Meta-Llama-3_1-8B-Instruct": ("mmlu_pro/test_recorded.jsonl.gz", "MMLUProSolverStrategy", 1259, 3000),
    "math-qwen-cot-0-4": ("math500/recorded.jsonl", "MATH500SolverStrategy", 364, 400),
}


def oracle(shared_data: Path, name: str) -> Path:
    return shared_data / "oracles" / f"{name}.jsonl.gz"


def recorded(shared_data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(oracle(shared_data, name), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def verdicts(folder: Path, order: str) -> list[tuple[str, str, str | None]]:
    with closing(sqlite3.connect(folder / "home" / "engine.db")) as db:
        return list(db.execute(f"select datum_id, outcome, answer from tasks order by {order}"))


async def replay(shared_data: Path, name: str, cwd: Path, *words: object) -> Ended:
    dataset, solver, _, _ = PUBLISHED[name]
    async with serve(Recorded(load_recording(oracle(shared_data, name)))) as server:
        model = f"{server.base_url}::m"
        return await engine("run", shared_data / dataset, solver, "--model", model, *words, cwd=cwd, timeout_s=100)


@pytest.mark.parametrize(
    ("name", "max_concurrent"),
    [
        *((name, 64) for name in PUBLISHED),
        *(pytest.param(name, 1, marks=pytest.mark.long if name.startswith("bbh") else ()) for name in PUBLISHED),
    ],
)
async def test_the_score_is_the_published_one_at_any_concurrency(shared_data, tmp_path, name, max_concurrent):
    repeats = ["--repeats", 4] if name.startswith("math") else []
    ended = await replay(shared_data, name, tmp_path, "--max_concurrent", max_concurrent, *repeats)
    _, _, passed, n = PUBLISHED[name]
    assert ended.code == 0, ended.err
    assert ended.final == f"Final score: {passed}/{n} - {100 * passed / n:.2f}%"


async def test_bbh_has_the_published_mean_over_its_files_and_each_file(shared_data, tmp_path):
    name = "bbh-code-davinci-002-direct"
    [run] = (await replay(shared_data, name, tmp_path, "--json")).runs
    published: dict[str, list[bool]] = defaultdict(list)
    for row in recorded(shared_data, name):
        published[row["id"].partition("/")[0]].append(row["expected"])
    for task, values in published.items():
        assert run["metrics"][f"bbh_direct_3shots/task/{task}"] == pytest.approx(fmean(values))
    assert run["metrics"]["bbh_direct_3shots/mean_over_tasks"] == pytest.approx(0.5276, abs=5e-5)


async def test_bbh_verdicts_are_the_published_ones_row_by_row(shared_data, tmp_path):
    name = "bbh-code-davinci-002-direct"
    await replay(shared_data, name, tmp_path)
    ours = {datum: outcome == "passed" for datum, outcome, _ in verdicts(tmp_path, "datum_index")}
    published = {row["id"]: row["expected"] for row in recorded(shared_data, name)}
    differ = [datum for datum in published if ours[datum] != published[datum]]
    # Questions that come twice are served in the order they are asked, so their rows may change places.
    assert len(differ) <= 4
    assert sum(ours.values()) == 3408


async def test_mmlu_pro_letters_are_those_of_the_published_extraction_row_by_row(shared_data, tmp_path):
    name = "mmlu_pro-Meta-Llama-3_1-8B-Instruct"
    await replay(shared_data, name, tmp_path)
    published = {str(row["id"]): row for row in recorded(shared_data, name)}
    ours = verdicts(tmp_path, "datum_index")
    assert sum(outcome == "unparsed" for _, outcome, _ in ours) == 161
    assert [(datum, answer) for datum, _, answer in ours if answer != (published[datum]["letter"] or None)] == []
    assert [datum for datum, outcome, _ in ours if (outcome == "passed") != published[datum]["expected"]] == []


async def test_mmlu_pro_is_one_answer_worse_by_the_answers_of_the_file(shared_data, tmp_path):
    name = "mmlu_pro-Meta-Llama-3_1-8B-Instruct"
    [run] = (await replay(shared_data, name, tmp_path, "--errata", "false", "--json")).runs
    assert (run["passed"], run["benchmark"]) == (1258, "mmlu_pro_0shots_as_filed")


# --- the published files as they are ----------------------------------------------------------------------------


def first_letter(request: ChatRequest) -> str:
    del request
    return "A"


FILES = [
    ("mmlu/mmlu.zip", ["MMLUSolverStrategy", "--subset", "test"], "mmlu_5shots", 14042),
    ("mmlu", ["MMLUSolverStrategy", "--subset", "val", "--mode", "cot"], "mmlu_cot", 1531),
    ("hellaswag/derived_hellaswag_val1000.jsonl.gz", ["HellaswagSolverStrategy"], "hellaswag_0shots", 1000),
    ("arc/derived_arc_challenge_test.jsonl.gz", ["ARCSolverStrategy"], "arc_challenge_0shots", 1172),
    ("mgsm", ["MGSMSolverStrategy"], "mgsm", 2750),
    ("mgsm", ["MGSMSolverStrategy", "--subset", "sw"], "mgsm", 250),
    ("drop/derived_drop_dev1000.jsonl.gz", ["DROPSolverStrategy"], "drop", 1000),
    ("math500/test.jsonl", ["MATH500SolverStrategy"], "math500", 500),
]


@pytest.mark.parametrize(("dataset", "words", "name", "size"), FILES)
async def test_published_files_are_read_as_they_are(shared_data, tmp_path, dataset, words, name, size):
    async with scripted(first_letter) as (server, _):
        model = f"{server.base_url}::m"
        plan = await engine("run", shared_data / dataset, *words, "--model", model, "--dry-run", cwd=tmp_path)
        few = await engine(
            "run", shared_data / dataset, *words, "--model", model, "--sample", 40, "--json", cwd=tmp_path
        )
    assert plan.code == 0, plan.err
    assert str(size) in plan.out.replace(",", "")
    [run] = few.runs
    assert run["errored"] == 0, few.err
    assert run["benchmark"] == name


async def test_groups_of_mmlu_are_metrics(shared_data, tmp_path):
    async with scripted(first_letter) as (server, _):
        words = (shared_data / "mmlu", "MMLUSolverStrategy", "--subset", "dev", "--model", f"{server.base_url}::m")
        [run] = (await engine("run", *words, "--json", cwd=tmp_path)).runs
    metrics = run["metrics"]
    assert run["n"] == 285
    assert len([name for name in metrics if name.startswith("mmlu_0shots/subject/")]) == 57
    assert len([name for name in metrics if name.startswith("mmlu_0shots/category/")]) == 4
    assert metrics["mmlu_0shots/mean_over_subjects"] == pytest.approx(metrics["mmlu_0shots"])


# --- votes, and rows that are not as they should be -------------------------------------------------------------


async def test_five_equal_prompts_buy_five_draws_and_a_rerun_buys_none(tmp_path):
    question = {"question": "2 + 2?", "subject": "algebra", "choices": ["3", "4"], "answer": 1}
    file = rows(tmp_path / "mmlu.jsonl", [question, {**question, "question": "1 + 3?"}])
    words = (file, "MajorityVoteStrategy", "--solver", "MMLUSolverStrategy", "--votes", 5)
    said = iter("AABBB" * 2)
    async with scripted(lambda _: next(said)) as (server, seen):
        model = ("--model", f"{server.base_url}::m", "--max_concurrent", 1)
        [run] = (await engine("run", *words, *model, "--json", cwd=tmp_path)).runs
        assert server.stats.requests == 10
        again = await engine("run", *words, *model, cwd=tmp_path)
        assert server.stats.requests == 10
    assert run["metrics"]["mmlu_0shots_majority5/agreement"] == pytest.approx(0.6)
    assert again.final == "Final score: 2/2 - 100.00%"
    del seen


def hostile(question: str) -> str:
    kinds = {"nul": "\x00", "html": "<b>A</b>", "ansi": "\x1b[31mA\x1b[0m", "bomb": "((((((" * 50_000}
    kinds |= {"latex": "\\boxed{9^{9^{9^{9}}}}", "boxes": "\\boxed{" * 50_000}
    kinds |= {"long": "x " * 3_500_000, "too large": "x" * 10_000_000}
    return next(text for kind, text in kinds.items() if kind in question)


@pytest.mark.parametrize(
    ("solver", "row"),
    [
        ("MMLUSolverStrategy", {"question": "", "subject": "s", "choices": ["x", "y"], "answer": 1}),
        ("MATH500SolverStrategy", {"problem": "", "answer": "\\frac{3}{8}"}),
    ],
)
async def test_hostile_replies_and_rows_without_fields_end_as_outcomes_and_the_run_goes_on(tmp_path, solver, row):
    field = next(iter(row))
    kinds = ["nul", "html", "ansi", "bomb", "long", "too large", "latex", "boxes"]
    data: Iterable[dict[str, Any]] = [{**row, field: f"a {kind} question"} for kind in kinds]
    file = rows(tmp_path / "math_mmlu.jsonl", [*data, {"other": 1}])
    async with scripted(lambda request: hostile(request.texts[-1][1])) as (server, _):
        words = ("run", file, solver, "--model", f"{server.base_url}::m", "--max-errors", 5, "--json")
        ended = await engine(*words, cwd=tmp_path)
    [run] = ended.runs
    assert ended.code == 0, ended.err
    assert (run["n"], run["errored"]) == (9, 2), ended.err
    assert "the row has no field" in ended.err
    assert "the reply has more than" in ended.err
