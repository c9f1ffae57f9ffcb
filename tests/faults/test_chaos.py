"""A bad day: every fault at once, limits that nobody told, and requests that never succeed; the score is the same."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import pytest

from engine.endpoints.server import Answer
from tests.faults.chaos import BAD_DAY, Allowance, chaos, gsm8k
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
@pytest.mark.timeout(200)
@pytest.mark.parametrize("max_concurrent", [16, 64])
@pytest.mark.parametrize("counts", ["window", "sliding", "bucket"])
async def test_a_limit_that_nobody_told_is_used_and_kept(tmp_path, counts, max_concurrent):
    data = rows(tmp_path / "sums.jsonl", sums(6000))
    async with chaos(allowed=Allowance(100, counts), delay_s=0.05) as endpoint:
        words = ("run", data, *SUM, "--model", f"{endpoint.base_url}::m", "--max_concurrent", max_concurrent)
        ended = await engine(*words, "--json", cwd=tmp_path, timeout_s=150)
    goodput = _goodput(endpoint.times)
    share = endpoint.sent["refused"] / endpoint.requests
    print(f"{counts}, {max_concurrent}: goodput {goodput:.3f} of allowed after 10 s, {100 * share:.2f} % refused")
    assert ended.runs[0]["passed"] == 6000
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
