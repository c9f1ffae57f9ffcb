"""What a person does with `engine run`: ceilings, resuming, forcing, regrading, going offline."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from engine.endpoints.server import Answer
from storage.sqlite_file import migrations, prepare
from tests.support import ROOT, SUM, adds, engine, rows, scripted, sums


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return rows(tmp_path / "sums.jsonl", sums(40))


async def test_the_endpoint_sees_just_as_many_requests_in_flight_as_it_may(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(80))
    async with scripted(lambda request: Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.1)) as (
        server,
        _,
    ):
        ended = await engine(
            "run", data, *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 16, cwd=tmp_path
        )
    assert ended.final == "Final score: 80/80 - 100.00%"
    assert server.stats.max_in_flight == 16


async def test_a_plain_rerun_sends_nothing_and_force_buys_anew_and_keeps_the_history(data, tmp_path):
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        first = await engine(*words, cwd=tmp_path)
        plain = await engine(*words, cwd=tmp_path)
        assert server.stats.requests == 40
        forced = await engine(*words, "--force", cwd=tmp_path)
        assert server.stats.requests == 80
        after = await engine(*words, cwd=tmp_path)
        assert server.stats.requests == 80, "a plain rerun goes on with the newest generation"
    assert [first.runs[0]["requests"], plain.runs[0]["requests"], forced.runs[0]["requests"]] == [40, 0, 40]
    assert first.runs[0]["run_id"] == plain.runs[0]["run_id"] != forced.runs[0]["run_id"] == after.runs[0]["run_id"]
    db = sqlite3.connect(tmp_path / "home" / "engine.db")
    assert db.execute("select count(*) from completions").fetchone() == (80,)
    db.close()


async def test_a_scorer_that_raises_and_is_then_mended_sends_nothing_again(data, tmp_path):
    solver = tmp_path / "mine.py"
    text = """
from solvers import SolverStrategy

class Mine(SolverStrategy):
    sampling = {"temperature": 0.7}
    def __init__(self, dataset_ref, model="", agent=""):
        super().__init__(model, agent)
    def evaluation_name(self): return "mine"
    def compatible_datasets(self): return ["sums"]
    async def solve(self, datum):
        text = await self.start_inference_session("x").run_task(datum["input"])
        BROKEN
        return text == datum["output"]
"""
    solver.write_text(text.replace("BROKEN", "raise RuntimeError('oops')"))
    async with scripted(adds) as (server, _):
        words = ("run", data, f"{solver}:Mine", "--model", f"{server.base_url}::m", "--json")
        broken = await engine(*words, cwd=tmp_path)
        solver.write_text(text.replace("BROKEN", "pass"))
        mended = await engine(*words, cwd=tmp_path)
    assert broken.code == 1
    assert broken.runs[0]["errored"] == 40
    assert broken.runs[0]["score"] is None
    assert mended.code == 0
    assert mended.runs[0]["passed"] == 40
    assert mended.runs[0]["requests"] == 0
    assert server.stats.requests == 40


async def test_errored_tasks_of_an_ended_run_are_done_again_only_when_asked_for(data, tmp_path):
    broken = {"is": True}

    def answer(request):
        return (
            Answer(status=400, code="bad", message="no")
            if broken["is"] and "7 + 8" in request.texts[-1][1]
            else adds(request)
        )

    async with scripted(answer) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json", "--max-errors", "10%")
        first = await engine(*words, cwd=tmp_path)
        broken["is"] = False
        plain = await engine(*words, cwd=tmp_path)
        sent = server.stats.requests
        retried = await engine(*words, "--retry-errors", cwd=tmp_path)
    assert [run["errored"] for run in (first.runs[0], plain.runs[0], retried.runs[0])] == [1, 1, 0]
    assert sent == 40
    assert server.stats.requests == 41
    assert first.runs[0]["score"] == 1.0, "failure is data and never a score"
    assert first.runs[0]["passed"] == 39


async def test_offline_sends_nothing_and_skips_what_is_not_stored(data, tmp_path):
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        await engine(*words, "--limit", 10, cwd=tmp_path)
        ended = await engine(*words, "--offline", cwd=tmp_path)
    run = ended.runs[0]
    assert (run["passed"], run["skipped"], run["n"]) == (10, 30, 40)
    assert ended.code == 1
    assert server.stats.requests == 10


async def test_regrade_scores_stored_completions_again_without_a_call(data, tmp_path):
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        await engine(*words, cwd=tmp_path)
        db = sqlite3.connect(tmp_path / "home" / "engine.db")
        db.execute("update tasks set outcome = 'failed', score = 0")
        db.commit()
        db.close()
        ended = await engine(*words, "--regrade", cwd=tmp_path)
    assert ended.runs[0]["passed"] == 40
    assert server.stats.requests == 40


async def test_a_limit_and_then_all_is_one_run_that_goes_on(data, tmp_path):
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        some = await engine(*words, "--limit", 15, cwd=tmp_path)
        every = await engine(*words, cwd=tmp_path)
        sample = await engine(*words, "--sample", 5, "--seed", 3, cwd=tmp_path)
    assert [run["n"] for run in (some.runs[0], every.runs[0], sample.runs[0])] == [15, 40, 5]
    assert some.runs[0]["run_id"] == every.runs[0]["run_id"] == sample.runs[0]["run_id"]
    assert server.stats.requests == 40


async def test_equal_prompts_at_temperature_zero_are_one_call_and_repeats_are_draws_of_their_own(tmp_path):
    data = rows(tmp_path / "same.jsonl", [{"input": "1 + 1", "output": "2"}] * 5)
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        await engine(*words, cwd=tmp_path)
        assert server.stats.requests == 1
        repeated = await engine(*words, "--repeats", 5, cwd=tmp_path)
        assert server.stats.requests == 5
        await engine(*words, "--temperature", 0.5, cwd=tmp_path)
        assert server.stats.requests == 10, "above zero each task draws for itself"
    assert repeated.runs[0]["n"] == 25


async def test_two_processes_on_one_run_share_its_tasks_and_both_end_right(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(300))
    ended = []
    async with scripted(lambda request: Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.02)) as (
        server,
        _,
    ):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json", "--max_concurrent", 8)

        async def one() -> None:
            ended.append(await engine(*words, cwd=tmp_path))

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
    assert [each.code for each in ended] == [0, 0], ended
    assert [each.runs[0]["passed"] for each in ended] == [300, 300]
    assert server.stats.requests == 300


async def test_one_json_object_a_line_and_the_last_one_is_the_end(data, tmp_path):
    async with scripted(adds) as (server, _):
        ended = await engine("run", data, *SUM, "--model", f"{server.base_url}::m", "--json", cwd=tmp_path)
    objects = [json.loads(line) for line in ended.out.splitlines()]
    assert objects[-1]["event"] == "end"
    assert objects[-1]["exit_code"] == 0
    run = objects[-1]["runs"][0]
    promised = (
        "run_id benchmark model agent n passed failed scored refused truncated empty unparsed errored skipped score "
        "ci_low ci_high cached requests input_tokens output_tokens cost_usd duration_s metrics"
    )
    assert set(promised.split()) <= set(run)
    section = (ROOT / "docs" / "json.md").read_text(encoding="utf-8").partition("## A run")[2]
    documented = {name for line in section.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])}
    assert documented == set(run)
    outcomes = ("passed", "failed", "scored", "refused", "truncated", "empty", "unparsed", "errored", "skipped")
    assert sum(run[name] for name in outcomes) == run["n"] == 40


TALKS = """
from engine import SolverStrategy

print("imported")


class Talks(SolverStrategy):
    def evaluation_name(self):
        print("named")
        return "talks"

    def compatible_datasets(self):
        return ["*"]

    def solve(self, datum):
        print("solved in a thread")
        return True
"""


@pytest.mark.parametrize("command", ["run", "plan", "check", "cache explain"])
async def test_what_a_solver_prints_is_no_result(data, tmp_path, command):
    (tmp_path / "talks.py").write_text(TALKS)
    bench = f"[[benchmark]]\ndataset = {str(data)!r}\nsolver = 'talks.py'\nmodels = ['simulated::m']\n"
    (tmp_path / "bench.toml").write_text(bench)
    ended = await engine(*command.split(), "bench.toml", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert all(isinstance(json.loads(line), dict) for line in ended.out.splitlines())
    assert "imported" in ended.err
    assert ("solved in a thread" in ended.err) == (command == "run")


async def test_a_run_that_never_began_is_not_explained_as_stored(data, tmp_path):
    words = (data, *SUM, "--model", "openai::gpt-4.1")
    assert (await engine("run", *words, cwd=tmp_path)).code == 3, "no key"
    explained = await engine("cache", "explain", *words, cwd=tmp_path)
    assert explained.final.endswith("nothing of this benchmark is stored")


async def test_a_reply_that_was_cut_refused_or_empty_is_told_apart(tmp_path):
    data = rows(
        tmp_path / "odd.jsonl", [{"input": name, "output": "x"} for name in ("cut", "refuse", "nothing", "prose", "x")]
    )

    def answer(request):
        what = request.texts[-1][1]
        reason = {"cut": "length", "refuse": "content_filter"}.get(what, "stop")
        return Answer(texts=[{"nothing": "", "refuse": ""}.get(what, what)], finish_reasons=[reason])

    async with scripted(answer) as (server, _):
        words = ("TemplateSolver", "--prompt", "{input}", "--target", "{output}")
        ended = await engine("run", data, *words, "--model", f"{server.base_url}::m", "--json", cwd=tmp_path)
    run = ended.runs[0]
    assert {name: run[name] for name in ("truncated", "refused", "empty", "failed", "passed")} == {
        "truncated": 1,
        "refused": 1,
        "empty": 1,
        "failed": 1,
        "passed": 1,
    }
    assert run["score"] == pytest.approx(1 / 5)
    assert run["score_answered"] == pytest.approx(1 / 2)


async def test_pruning_is_asked_for_twice_keeps_scores_and_lets_a_later_run_buy_again(data, tmp_path):
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--json")
        await engine(*words, cwd=tmp_path)
        asked = await engine("cache", "prune", "--older-than", 0, cwd=tmp_path)
        assert (asked.code, asked.final.startswith("40 completions, about ")) == (0, True), asked
        assert "--yes" in asked.final
        young = await engine("cache", "prune", "--older-than", 1, "--yes", cwd=tmp_path)
        assert young.final.startswith("pruned 0 completions")
        pruned = await engine("cache", "prune", "--older-than", 0, "--yes", "--json", cwd=tmp_path)
        assert json.loads(pruned.final)["completions"] == 40
        again = await engine(*words, cwd=tmp_path)
        assert (again.runs[0]["passed"], again.runs[0]["requests"]) == (40, 0), "the outcomes are still there"
        regraded = await engine(*words, "--regrade", cwd=tmp_path)
        assert regraded.runs[0]["skipped"] + regraded.runs[0]["passed"] == 40
        assert server.stats.requests == 40
        forced = await engine(*words, "--force", cwd=tmp_path)
    assert (forced.runs[0]["passed"], server.stats.requests) == (40, 80)


RECORDS = """
[[benchmark]]
dataset = "data.jsonl"
solver = "TemplateSolver"
models = ["simulated::calculator"]
options = {prompt = "{input}", target = "{output}", scorer = "number"}
record = true
[models."simulated::calculator"]
prices = {input = 10.0, output = 10.0}
"""


@pytest.mark.parametrize(
    ("words", "is_kept"),
    [
        ((), True),
        (("--record",), True),
        (("--record", "false"), False),
        (("--record=false",), False),
        (("--no-record",), False),
        (("--norecord",), False),
    ],
    ids=lambda each: None if isinstance(each, bool) else " ".join(each) or "-",
)
async def test_a_flag_switches_off_what_the_file_records_and_made_up_answers_are_not_paid(tmp_path, words, is_kept):
    rows(tmp_path / "data.jsonl", sums(3))
    (tmp_path / "bench.toml").write_text(RECORDS)
    ended = await engine("run", "bench.toml", *words, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ("recorded as" in ended.out) == is_kept
    assert "nothing paid (at its prices $0.00" in ended.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--record", "maybe"), "a switch takes true or false"),
        (("--record=maybe",), "it takes true or false"),
        (("--no-record", "--record-partial"), "give one of them"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
async def test_a_switch_that_says_neither_or_both_is_told(tmp_path, words, says):
    rows(tmp_path / "data.jsonl", sums(3))
    (tmp_path / "bench.toml").write_text(RECORDS)
    ended = await engine("run", "bench.toml", *words, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


async def test_what_an_earlier_generation_has_is_told_before_it_is_bought_again_and_can_be_gone_on_with(data, tmp_path):
    async with scripted(adds) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m")
        await engine(*words, "--limit", 30, cwd=tmp_path)
        forced = await engine(*words, "--limit", 5, "--force", cwd=tmp_path)
        assert "will be bought again" not in forced.err, "that is what was asked for"
        planned = await engine("plan", *words[1:], "--limit", 30, cwd=tmp_path)
        told = await engine("plan", *words[1:], "--limit", 30, "--json", cwd=tmp_path)
        before = server.stats.requests
        back = await engine(*words, "--limit", 30, "--generation", 0, "--json", cwd=tmp_path)
        assert server.stats.requests == before == 35
        again = await engine(*words, "--limit", 30, "--json", cwd=tmp_path)
        both = await engine(*words, "--force", "--generation", 0, cwd=tmp_path)
        beyond = await engine(*words, "--generation", 2, cwd=tmp_path)
    assert back.runs[0]["cached"] == 30
    for ended in (planned, again):
        assert "25 tasks to do were done before --force, in run r" in ended.err
        assert "--generation 0 goes on with that run" in ended.err
    assert json.loads(told.out.splitlines()[-1])["stored_earlier"] == 25
    assert again.runs[0]["requests"] == 25
    assert (both.code, beyond.code) == (2, 2)
    assert "give one of them" in both.err
    assert "there are 0 to 1" in beyond.err


async def test_commands_that_read_can_be_told_another_store(data, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    (there / "bench.toml").write_text('[storage]\nurl = "sqlite:///kept.db"\n')
    words = ("run", data, *SUM, "--model", "simulated::m", "--limit", 3, "--record")
    assert (await engine(*words, cwd=there)).code == 0
    for named in ("../there/kept.db", "../there/bench.toml", f"sqlite:///{there / 'kept.db'}"):
        listed = await engine("benchmark", "list", "--store", named, "--format", "json", cwd=here)
        assert len(json.loads(listed.out)) == 1, listed
        counted = await engine("cache", "stats", "--json", f"--store={named}", cwd=here)
        assert json.loads(counted.out)["tasks"] == 3
        shown = await engine("evaluation", "list", "--store", named, cwd=here)
        assert "simulated" in shown.out, shown
        explained = await engine("cache", "explain", "--store", named, *words[1:-1], cwd=here)
        assert "stored, and reused by a plain run" in explained.out, explained
    missing = await engine("cache", "stats", "--store", "nosuch.db", cwd=here)
    nothing = await engine("cache", "stats", "--store", cwd=here)
    assert (missing.code, nothing.code) == (2, 2)
    assert "'nosuch.db': there is no such file" in missing.err
    assert "--store needs a value" in nothing.err
    assert not (here / "nosuch.db").exists()


async def test_an_option_that_names_the_benchmark_is_told_as_what_differs(data, tmp_path):
    words = ("run", data, *SUM, "--model", "simulated::m", "--limit", 3)
    await engine(*words, cwd=tmp_path)
    other = [word.replace("{input}", "{input}!") if isinstance(word, str) else word for word in words[1:]]
    ended = await engine("cache", "explain", *other, cwd=tmp_path)
    assert 'options: now {"prompt": "{input}!"}, stored {"prompt": "{input}"}' in ended.out, ended


async def test_a_database_of_an_older_engine_is_brought_up_to_date_by_who_only_reads(tmp_path):
    (tmp_path / "home").mkdir()
    file = tmp_path / "home" / "engine.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        prepare(connection, file, migrations()[:1])
    for words in (("doctor",), ("benchmark", "list"), ("evaluation", "list"), ("cache", "stats"), ("doctor",)):
        ended = await engine(*words, cwd=tmp_path)
        assert ended.code == 0, ended
