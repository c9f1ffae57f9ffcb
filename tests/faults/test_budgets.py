"""Limits of money, tokens and time, and accounts that cannot pay: a stop that keeps everything, and one message."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.endpoints.server import Answer
from tests.faults.chaos import chaos
from tests.support import SUM, adds, engine, rows, scripted, sums

PRICES = "prices = { input = 10.0, output = 100.0 }"
"""USD per million tokens: with 100 and 80 tokens a call costs $0.009."""


def _configured(folder: Path, base_url: str, *, prices: str = PRICES) -> tuple[str, ...]:
    """A bench.toml with a provider `p` and the words of a run against it."""
    priced = f'[models."p::m"]\n{prices}\n' if prices else ""
    (folder / "bench.toml").write_text(f'[providers.p]\nbase_url = "{base_url}"\n{priced}')
    return ("run", rows(folder / "sums.jsonl", sums(300)), *SUM, "--model", "p::m")


def _spends(request: Any) -> Answer:
    """An answer of 20 to 80 tokens, in no order."""
    spent = 20 + int(request.digest.hex(), 16) % 61
    return Answer(texts=[adds(request)], finish_reasons=["stop"], usage=_usage(100, spent), delay_s=0.01)


def _usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


@pytest.mark.parametrize("limit", [(), ("--max-tokens", 80)], ids=["no-max-tokens", "max-tokens"])
@pytest.mark.parametrize("max_concurrent", [4, 64])
async def test_a_cost_limit_is_used_up_and_never_passed_and_the_next_run_goes_on(tmp_path, limit, max_concurrent):
    async with scripted(_spends) as (server, _):
        words = (*_configured(tmp_path, server.base_url), "--max-cost", "1.00", *limit, "--json")
        words = (*words, "--max_concurrent", max_concurrent)
        first = await engine(*words, cwd=tmp_path)
        sent = server.stats.requests
        second = await engine(*words, cwd=tmp_path)
        third = await engine(*words, cwd=tmp_path)
    one, two, three = (ended.runs[0] for ended in (first, second, third))
    print(f"spent {one['cost_usd']:.4f}, {two['cost_usd']:.4f}, {three['cost_usd']:.4f} of 1.00 each; {sent} requests")
    assert first.code == 4, first.err
    assert 0.95 <= one["cost_usd"] <= 1.00
    assert one["errored"] == 0
    assert one["passed"] == sent == one["requests"]
    assert "the budget of $1 is reached" in first.err
    assert "resume: python -m engine run" in first.err
    assert second.code == 4 or two["passed"] == 300
    assert third.code == 0
    assert three["passed"] == server.stats.requests == 300


async def test_a_cost_limit_with_an_unknown_price_is_refused_with_the_line_to_add(tmp_path):
    async with scripted(_spends) as (server, _):
        words = _configured(tmp_path, server.base_url, prices="")
        ended = await engine(*words, "--max-cost", "1.00", cwd=tmp_path)
    assert ended.code == 2
    assert '[models."p::m"] prices = { input = 0.00, output = 0.00 }' in ended.err
    assert server.stats.requests == 0


async def test_a_limit_of_tokens_is_never_passed(tmp_path):
    async with scripted(_spends) as (server, _):
        words = (*_configured(tmp_path, server.base_url), "--max-total-tokens", 20_000, "--json")
        ended = await engine(*words, cwd=tmp_path)
    run = ended.runs[0]
    used = run["input_tokens"] + run["output_tokens"]
    print(f"{used} of 20000 tokens")
    assert ended.code == 4
    assert "the budget of 20000 tokens is reached" in ended.err
    assert 0.95 * 20_000 <= used <= 20_000


async def test_a_limit_of_time_lets_what_is_in_flight_end_and_keeps_it(tmp_path):
    async with chaos(delay_s=0.5) as endpoint:
        words = (*_configured(tmp_path, endpoint.base_url), "--max-duration", 2, "--max_concurrent", 8, "--json")
        began = time.monotonic()
        ended = await engine(*words, cwd=tmp_path)
        took_s = time.monotonic() - began
    run = ended.runs[0]
    print(f"ended after {took_s:.2f} s, {endpoint.requests} requests, {run['passed']} kept")
    assert ended.code == 4, ended.err
    assert "the limit of 2 s is reached" in ended.err
    assert run["passed"] == endpoint.requests
    assert run["errored"] == 0
    assert took_s < 2 + 0.5 + 3


HOPELESS = {
    "401": (401, "invalid_api_key", "check the key"),
    "403": (403, "forbidden", "may not use this model"),
    "404": (404, "model_not_found", "check the model's name"),
    "429": (429, "insufficient_quota", "no credit left"),
}


@pytest.mark.parametrize("after", [0, 60], ids=["from-the-start", "mid-run"])
@pytest.mark.parametrize("name", HOPELESS)
async def test_an_account_that_cannot_pay_ends_its_runs_with_one_message_and_no_others(tmp_path, name, after):
    status, code, cure = HOPELESS[name]
    seen = 0

    def halts(request: Any) -> Answer:
        nonlocal seen
        seen += 1
        if seen > after:
            return Answer(status=status, code=code, message="no", delay_s=0.02)
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.02)

    def works(request: Any) -> Answer:
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.02)

    async with scripted(halts) as (bad, _), scripted(works) as (good, _):
        urls = {"bad": bad.base_url, "good": good.base_url}
        providers = "".join(f'[providers.{name}]\nbase_url = "{url}"\n' for name, url in urls.items())
        (tmp_path / "bench.toml").write_text(providers)
        words = ("run", rows(tmp_path / "sums.jsonl", sums(200)), *SUM, "--model", "bad::m", "--model", "good::m")
        ended = await engine(*words, "--max_concurrent", 16, "--json", cwd=tmp_path)
        sent = bad.stats.requests
    broken, whole = ended.runs
    print(f"{name} after {after}: {sent - after} requests more, {broken['passed']} passed, {broken['errored']} errored")
    assert ended.code == 3, ended.err
    assert sent - after <= 16 + 3
    assert broken["passed"] == after
    assert broken["errored"] <= 4, "what could not be asked is not an error of its task"
    assert broken["passed"] + broken["errored"] + broken["skipped"] == 200
    assert whole["passed"] == 200
    assert len(re.findall("cannot be used for 'm'", ended.err)) == 1, ended.err
    assert cure in ended.err


def _says_nothing_of_tokens(request: Any) -> Answer:
    return Answer(texts=[adds(request)], finish_reasons=["stop"], usage={}, delay_s=0.02)


@pytest.mark.parametrize("limit", [("--max-cost", "0.05"), ("--max-total-tokens", "5000")], ids=["money", "tokens"])
@pytest.mark.parametrize("more", [(), ("--max-tokens", 16)], ids=["no-max-tokens", "max-tokens"])
async def test_a_limit_holds_where_the_endpoint_tells_no_tokens_and_calls_go_side_by_side(tmp_path, limit, more):
    async with scripted(_says_nothing_of_tokens) as (server, _):
        words = (*_configured(tmp_path, server.base_url), *limit, *more, "--max_concurrent", 16, "--json")
        ended = await engine(*words, cwd=tmp_path)
        sent, most = server.stats.requests, server.stats.max_in_flight
    run = ended.runs[0]
    print(f"{sent} requests of 300, {most} side by side")
    assert ended.code == 4, ended.err
    assert 3 <= sent < 100
    assert run["passed"] == sent
    assert run["cost_usd"] is None, "what nobody told is no cost"
    assert most > 1
    assert ended.err.count("do not tell their tokens") == 1
    assert "is reached: at most " in ended.err
    assert "resume: " in ended.err


async def test_tokens_that_nobody_told_are_unknown_wherever_they_are_shown_or_kept(tmp_path):
    async with scripted(_says_nothing_of_tokens) as (server, _):
        words = _configured(tmp_path, server.base_url)
        shown = await engine(*words, "--limit", 5, "--record", cwd=tmp_path)
        told = await engine(*words, "--limit", 5, "--json", cwd=tmp_path)
    assert "– tokens in, – out" in shown.out
    assert [told.runs[0][name] for name in ("input_tokens", "output_tokens", "cost_usd")] == [None, None, 0.0]
    assert told.runs[0]["uncached_cost_usd"] is None
    with closing(sqlite3.connect(tmp_path / "home" / "engine.db")) as store:
        assert store.execute("SELECT DISTINCT input_tokens, output_tokens FROM tasks").fetchall() == [(None, None)]
    [model] = json.loads((await engine("cache", "stats", "--json", cwd=tmp_path)).out)["models"]
    assert (model["input_tokens"], model["output_tokens"]) == (None, None)
    assert "– tokens in, – out" in (await engine("cache", "stats", cwd=tmp_path)).out
    rows_ = json.loads((await engine("evaluation", "show", "latest", "--format", "json", cwd=tmp_path)).out)
    assert "input_tokens" in json.dumps(rows_)
    assert (await engine("benchmark", "list", cwd=tmp_path)).code == 0
