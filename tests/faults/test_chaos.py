"""A bad day: every fault at once, limits that nobody told, and requests that never succeed; the score is the same."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.endpoints.server import Answer
from tests.faults.chaos import BAD_DAY, PASSING, Allowance, chaos, gsm8k
from tests.support import SUM, adds, engine, rows, scripted, sums

VERDICTS = ("passed", "failed", "scored", "refused", "truncated", "empty", "unparsed", "errored", "skipped")
QUICK = ("--set", "engine.attempt_timeout_s=1", "--json")


async def _score(shared_data: Any, folder: Any, count: int, **how: Any) -> tuple[dict[str, Any], Any]:
    folder.mkdir()
    data, recorded = gsm8k(shared_data, folder, count)
    async with chaos(answer=lambda request: recorded.respond(request).texts[0], **how) as endpoint:
        words = ("run", data, "GSM8KSolverStrategy", "--model", f"{endpoint.base_url}::m", "--max_concurrent", 64)
        ended = await engine(*words, *QUICK, cwd=folder, timeout_s=280)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return ended.runs[0], endpoint


async def _bad_day_changes_nothing(shared_data: Any, folder: Any, **how: Any) -> None:
    quiet, _ = await _score(shared_data, folder / "quiet", 2000)
    began = time.monotonic()
    bad, endpoint = await _score(shared_data, folder / "bad", 2000, rates=BAD_DAY, **how)
    print(
        f"{endpoint.requests} requests, {endpoint.requests / 2000:.3f} x tasks, {time.monotonic() - began:.1f} s, sent"
    )
    print(dict(endpoint.sent), {name: bad[name] for name in (*VERDICTS, "score")})
    assert [bad[name] for name in VERDICTS] == [quiet[name] for name in VERDICTS]
    assert bad["score"] == quiet["score"]
    assert (bad["n"], bad["errored"], bad["skipped"]) == (2000, 0, 0)
    assert endpoint.requests <= 1.35 * 2000
    assert endpoint.requests == bad["requests"], "each request is accounted for"
    assert endpoint.sent["ok"] == 2000, "no answer is bought twice"


async def test_every_fault_at_once_changes_no_verdict(shared_data, tmp_path):
    await _bad_day_changes_nothing(shared_data, tmp_path, retry_after="Retry-After-Ms: 5")


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_every_fault_at_once_changes_no_verdict_where_refusals_ask_for_a_second_each(shared_data, tmp_path):
    await _bad_day_changes_nothing(shared_data, tmp_path, retry_after="Retry-After: 1", seed=1)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_every_way_to_fail_that_may_pass_changes_no_verdict(tmp_path):
    data, share = rows(tmp_path / "sums.jsonl", sums(400)), 0.4 / len(PASSING)
    async with chaos(rates=dict.fromkeys(PASSING, share)) as endpoint:
        words = ("run", data, *SUM, "--model", f"{endpoint.base_url}::m", "--max_concurrent", 64)
        ended = await engine(*words, *QUICK, "--set", "engine.max_attempts=20", cwd=tmp_path, timeout_s=250)
    run = ended.runs[0]
    print(f"{endpoint.requests} requests for 400 tasks, {len(endpoint.sent)} kinds of replies; {run['faults']}")
    assert (run["passed"], run["errored"]) == (400, 0), ended.err
    assert endpoint.sent["ok"] == 400
    assert endpoint.requests == run["requests"] == 400 + sum(run["faults"].values())
    assert len(endpoint.sent) >= 0.9 * len(PASSING)
    assert "Traceback" not in ended.err


async def _keeps_to(folder: Path, allowance: Allowance, max_concurrent: int, tasks: int, **how: Any) -> tuple[Any, Any]:
    data = rows(folder / "sums.jsonl", sums(tasks))
    async with chaos(allowed=allowance, delay_s=0.05, **how) as endpoint:
        words = ("run", data, *SUM, "--model", f"{endpoint.base_url}::m", "--max_concurrent", max_concurrent)
        ended = await engine(*words, "--json", cwd=folder, timeout_s=180)
    assert ended.runs[0]["passed"] == tasks, ended.err
    return endpoint, endpoint.sent["refused"] / endpoint.requests


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("max_concurrent", [8, 64, 256])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
async def test_a_limit_that_nobody_told_is_used_and_kept(tmp_path, counts, max_concurrent):
    endpoint, share = await _keeps_to(tmp_path, Allowance(100, counts), max_concurrent, 6000)
    goodput = _goodput(endpoint.times)
    print(f"{counts}, {max_concurrent}: goodput {goodput:.3f} of allowed after 10 s, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= 0.05


OTHERS: Mapping[str, dict[str, Any]] = {
    "milliseconds": {"asks": "milliseconds"},
    "a date": {"asks": "a date"},
    "503": {"refuses_with": "503 Busy"},
    "refused requests count": {},
}


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", OTHERS)
async def test_a_limit_is_used_and_kept_however_it_is_told(tmp_path, name):
    allowance = Allowance(100, "sliding", counts_refused=name == "refused requests count")
    endpoint, share = await _keeps_to(tmp_path, allowance, 64, 5000, **OTHERS[name])
    goodput = _goodput(endpoint.times)
    print(f"{name}: goodput {goodput:.3f} of allowed after 10 s, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= 0.05


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_limit_that_falls_by_half_is_found_again(tmp_path):
    """From half a minute after it fell."""
    endpoint, share = await _keeps_to(tmp_path, Allowance(100, "sliding", later=(20, 50)), 64, 5000)
    found_at = endpoint.times[0] + 20 + 20
    goodput = _goodput([at for at in endpoint.times if at >= found_at], rate=50.0)
    print(f"goodput {goodput:.3f} of the new limit from 30 s after it fell, {100 * share:.2f} % refused")
    assert goodput >= 0.95
    assert share <= 0.05


def _goodput(times: list[float], *, rate: float = 100.0) -> float:
    """The share of what is allowed that was used, from 10 s after the first answer to a second before the last."""
    begin, end = times[0] + 10, times[-1] - 1
    return sum(begin <= at < end for at in times) / (rate * (end - begin))


async def test_requests_that_always_fail_hold_up_no_other_ones(tmp_path):
    """Two slots, two poison requests, ten healthy ones of 0.2 s: these need 1 s, and one slot is never held idle."""
    data = rows(tmp_path / "sums.jsonl", [{"input": "0 + 900", "output": "1"}, {"input": "0 + 901", "output": "1"}])
    rows(data, [{"input": f"0 + {900 + n}", "output": "1"} for n in range(2)] + sums(10))
    answered: list[float] = []
    failed: list[float] = []

    def answer(request: Any) -> Answer:
        if "0 + 90" in request.texts[-1][1]:
            failed.append(time.monotonic())
            return Answer(status=500, code="poison", message="never")
        answered.append(time.monotonic())
        return Answer(texts=[adds(request)], finish_reasons=["stop"], delay_s=0.2)

    async with scripted(answer) as (server, _):
        words = ("run", data, *SUM, "--model", f"{server.base_url}::m", "--max_concurrent", 2)
        limits = ("--set", "engine.call_deadline_s=6", "--max-errors", 2, "--json")
        ended = await engine(*words, *limits, cwd=tmp_path)
    healthy_s = max(answered) + 0.2 - failed[0]
    print(f"healthy ones done {healthy_s:.2f} s after the first poison request; alone they need 1.0 s")
    run = ended.runs[0]
    assert (run["passed"], run["errored"]) == (10, 2), ended.err
    assert healthy_s <= 5 * 0.2 + 0.2
    assert _errors(ended.out) == {"server": len(failed)}
    assert len(failed) > 2, "they were tried again"
    assert math.isclose(run["score"], 1.0), "an errored task is never scored"


def _errors(out: str) -> Mapping[str, int]:
    faults: Mapping[str, int] = json.loads(out.splitlines()[-1])["runs"][0]["faults"]
    return faults
