"""Runs that cannot go on end early, with one message and the right exit code; other runs go on."""

from __future__ import annotations

import pytest

from engine.endpoints.server import Answer
from tests.support import SUM, adds, engine, rows, scripted, sums

BENCH = """
[engine]
{limits}
[providers.a]
base_url = "{a}"
[providers.b]
base_url = "{b}"
[models."a::m"]
prices = {{ input = 10.0, output = 1000.0 }}
[models."b::m"]
prices = {{ input = 10.0, output = 1000.0 }}
[[benchmark]]
dataset = "sums.jsonl"
solver = "TemplateSolver"
models = ["a::m", "b::m"]
options = {{ prompt = "{{input}}", target = "{{output}}", scorer = "number" }}
"""
HOPELESS = {
    "a bad key": (401, "invalid_api_key"),
    "a forbidden model": (403, "forbidden"),
    "no credit": (429, "insufficient_quota"),
    "no such model": (404, "model_not_found"),
}


@pytest.mark.parametrize("case", list(HOPELESS))
async def test_a_provider_that_cannot_be_used_ends_its_runs_and_no_others(tmp_path, case):
    status, code = HOPELESS[case]
    rows(tmp_path / "sums.jsonl", sums(200))

    def refuse(request):
        return Answer(status=status, code=code, message="it is not to be")

    async with scripted(refuse) as (bad, _), scripted(adds) as (good, _):
        (tmp_path / "bench.toml").write_text(BENCH.format(limits="max_concurrent = 8", a=bad.base_url, b=good.base_url))
        ended = await engine("run", "bench.toml", "--json", cwd=tmp_path)
        told = await engine("run", "bench.toml", cwd=tmp_path)
    assert ended.code == told.code == 3
    assert [run["passed"] for run in ended.runs] == [0, 200]
    assert ended.runs[0]["errored"] + ended.runs[0]["skipped"] == 200
    assert ended.runs[0]["score"] is None
    assert bad.stats.requests <= 2 * 8
    assert told.err.count("stopped early") == 1
    assert "it is not to be" in told.err
    assert "Traceback" not in told.err


async def test_a_budget_is_a_hard_stop_that_loses_nothing_and_the_next_run_goes_on(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(300))
    usage = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}

    def answer(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], usage=usage)  # costs 0.01

    async with scripted(answer) as (a, _), scripted(answer) as (b, _):
        (tmp_path / "bench.toml").write_text(BENCH.format(limits="max_cost_usd = 1.0", a=a.base_url, b=b.base_url))
        words = ("run", "bench.toml", "--model", "a::m", "--max-tokens", 9)
        first = await engine(*words, "--json", cwd=tmp_path)
        told = await engine(*words, cwd=tmp_path)
    run = first.runs[0]
    assert first.code == told.code == 4
    assert 0.95 <= run["cost_usd"] <= 1.0 + 1e-9
    assert run["passed"] == pytest.approx(100 * run["cost_usd"])
    assert "the budget of $1 is reached" in told.err
    assert "resume: python -m engine run bench.toml" in told.err
    assert a.stats.requests == pytest.approx(200, abs=10), "the second run bought the next dollar's worth"


async def test_a_budget_without_a_price_is_refused_with_the_line_to_add(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(5))
    async with scripted(adds) as (server, _):
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max-cost", "1.00")
        ended = await engine(*words, cwd=tmp_path)
    assert ended.code == 2
    assert f'[models."{server.base_url}::m"]' in ended.err
    assert server.stats.requests == 0


async def test_time_that_is_up_stops_and_keeps_what_there_is(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(500))

    def slow(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.1)

    async with scripted(slow) as (server, _):
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 4)
        ended = await engine(*words, "--max-duration", 2, "--json", cwd=tmp_path)
    run = ended.runs[0]
    assert ended.code == 4
    assert 0 < run["passed"] == server.stats.requests < 500
    assert run["errored"] == 0


async def test_a_parameter_that_is_refused_is_left_out_once_and_said_aloud(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(50))

    def picky(request):
        if "max_tokens" in request.body:
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. "
            message += "Use 'max_completion_tokens' instead."
            return Answer(status=400, code="unsupported_parameter", message=message)
        return adds(request)

    async with scripted(picky) as (server, _):
        words = (
            "run",
            "sums.jsonl",
            *SUM,
            "--model",
            f"{server.base_url}::m",
            "--max_concurrent",
            4,
            "--max-tokens",
            50,
        )
        ended = await engine(*words, "--json", cwd=tmp_path)
    run = ended.runs[0]
    assert run["passed"] == 50
    assert server.stats.requests <= 50 + 4
    assert "max_completion_tokens" in " ".join(run["adapted"])
    assert "request adapted" in ended.err


async def test_a_dataset_that_changes_during_a_run_ends_it_with_all_that_was_bought_kept(tmp_path):
    file = rows(tmp_path / "sums.jsonl", sums(2000))
    whole = file.read_text()

    def answer(request):
        if server.stats.requests == 100:
            file.write_text("".join(whole.splitlines(keepends=True)[:50]))
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.005)

    async with scripted(answer) as (server, _):
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 8)
        ended = await engine(*words, "--json", cwd=tmp_path)
        sent = server.stats.requests
        file.write_text(whole)
        again = await engine(*words, "--json", cwd=tmp_path)
    (run,) = ended.runs
    assert ended.code == 5, ended.err
    assert sent < 2000
    assert (run["passed"], run["errored"]) == (sent, 0)
    assert "the dataset can be read no further" in ended.err
    assert f"stopped: {sent}/2000 done and kept\nresume: python -m engine run sums.jsonl" in ended.err
    assert (again.code, again.runs[0]["passed"], server.stats.requests) == (0, 2000, 2000)
