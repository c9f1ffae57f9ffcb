"""An endpoint that goes away, or asks to come back tomorrow: no dataset is burnt, and one sentence says what to do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from engine.api import Engine
from engine.calls.outage import SILENT_AFTER, USELESS_AFTER, Outage
from engine.config import Bench
from engine.events import Stalled
from tests import servers as s
from tests.support import SUM, Ended, engine, rows, scripted, sums

TASKS = 400
TOMORROW = s.failing("429 Too Many", {"message": "daily limit reached"}, "Retry-After: 36000\r\n")
BROKEN = s.failing("500 No", {"message": "boom"})
ONCE = ("--set", "engine.max_attempts=1")


class Endpoint:
    """Answers sums; what `instead` gives for the number of the request and its prompt is sent instead."""

    def __init__(self, instead: Callable[[int, str], s.Script | None]) -> None:
        self.instead, self.requests, self.url = instead, 0, ""

    async def __call__(self, connection: s.Connection) -> bool | None:
        if connection.method == "GET":
            await connection.write(s.http(b'{"data": []}'))
            return True
        prompt = json.loads(connection.body)["messages"][-1]["content"]
        self.requests += 1
        script = self.instead(self.requests, prompt)
        a, b = re.findall(r"\d+", prompt)[:2]
        return await (script or s.said(s.completion(str(int(a) + int(b)))))(connection)


@asynccontextmanager
async def _endpoint(instead: Callable[[int, str], s.Script | None]) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(instead)
    async with s.fault_server({"v1": endpoint}) as server:
        endpoint.url = server.url("v1")
        yield endpoint


async def _run(folder: Path, endpoint: Endpoint, *more: object, tasks: int = TASKS) -> Ended:
    provider = ("--set", f"providers.p.base_url={endpoint.url}")
    data = rows(folder / "sums.jsonl", sums(tasks))
    return await engine("run", data, *SUM, "--model", "p::m", *provider, "--json", *more, cwd=folder)


async def test_a_provider_that_asks_to_come_back_tomorrow_ends_its_runs_at_once_and_nothing_is_an_error(tmp_path):
    async with _endpoint(lambda *_: TOMORROW) as endpoint:
        ended = await _run(tmp_path, endpoint, "--max_concurrent", 8)
        sent = endpoint.requests
        endpoint.instead = lambda *_: None
        later = await _run(tmp_path, endpoint, "--max_concurrent", 8)
    run = ended.runs[0]
    assert ended.code == 3, ended.err
    assert (run["errored"], run["skipped"], run["score"]) == (0, TASKS, None)
    assert sent <= 8
    assert "daily limit reached" in ended.err
    assert "it asks to wait 600 minutes" in ended.err
    assert later.runs[0]["passed"] == TASKS


async def test_a_single_call_that_is_asked_to_come_back_tomorrow_stays_to_be_done_and_holds_up_no_other(tmp_path):
    async with _endpoint(lambda _, prompt: TOMORROW if prompt.startswith("77 ") else None) as endpoint:
        ended = await _run(tmp_path, endpoint)
        sent = endpoint.requests
        endpoint.instead = lambda *_: None
        later = await _run(tmp_path, endpoint)
    run = ended.runs[0]
    assert (run["passed"], run["errored"], run["skipped"], run["postponed"]) == (TASKS - 1, 0, 1, 1), ended.err
    assert sent == TASKS
    assert "1 task stays to be done: p asks to wait 36000 s" in ended.err
    assert later.runs[0]["passed"] == TASKS
    assert endpoint.requests == TASKS + 1


async def test_an_endpoint_that_is_away_for_a_while_is_waited_for_by_one_request_at_a_time(tmp_path):
    back_at = 0.0

    def instead(number: int, _: str) -> s.Script | None:
        nonlocal back_at
        back_at = back_at or (time.monotonic() + 2 if number > 100 else 0.0)
        return BROKEN if time.monotonic() < back_at else None

    async with _endpoint(instead) as endpoint:
        ended = await _run(tmp_path, endpoint, *ONCE, "--max_concurrent", 4)
        sent = endpoint.requests
    run = ended.runs[0]
    print(f"{run['errored']} of {TASKS} tasks errored in an outage of 2 s, with one attempt each")
    assert SILENT_AFTER <= run["errored"] <= SILENT_AFTER + 3 * 4 + 4
    assert run["passed"] == TASKS - run["errored"]
    assert sent == TASKS
    assert "no answer any more" in ended.err
    assert "it answers again" in ended.err


async def test_an_endpoint_that_never_comes_back_ends_the_run_in_time_with_what_to_do(tmp_path):
    async with _endpoint(lambda *_: BROKEN) as endpoint:
        limits = ("--set", "engine.call_deadline_s=2", "--max_concurrent", 16)
        ended = await _run(tmp_path, endpoint, *ONCE, *limits)
        sent = endpoint.requests
    run = ended.runs[0]
    assert ended.code == 3, ended.err
    assert "p has given no reply that can be used for 2 s" in ended.err
    assert f"stopped: 0/{TASKS} done and kept, {sent} errored" in ended.err
    assert "boom" in ended.err
    assert sent == run["errored"] <= SILENT_AFTER + 3 * 16, "and those in flight, and who took their place meanwhile"
    assert run["skipped"] == TASKS - sent
    assert 2 <= run["duration_s"] < 30


async def test_requests_that_are_all_refused_for_good_end_the_run_before_the_dataset_is_burnt(tmp_path):
    refused = s.failing("400 Bad", {"message": "roles must alternate", "type": "invalid_request_error"})
    async with _endpoint(lambda *_: refused) as endpoint:
        ended = await _run(tmp_path, endpoint, "--max_concurrent", 16)
        sent = endpoint.requests
    assert ended.code == 3, ended.err
    assert USELESS_AFTER <= sent <= USELESS_AFTER + 16
    assert ended.runs[0]["errored"] == sent
    assert "100 calls in a row failed" in ended.err
    assert "roles must alternate" in ended.err


async def test_an_endpoint_that_redirects_is_given_up_at_once_and_its_target_is_named(tmp_path):
    moved = s.fixed(s.http(b"", status="308 Moved", headers="Location: https://elsewhere.invalid/v1\r\n"))
    async with _endpoint(lambda *_: moved) as endpoint:
        ended = await _run(tmp_path, endpoint, "--max_concurrent", 4)
        sent = endpoint.requests
    assert ended.code == 3
    assert sent <= 4
    assert "https://elsewhere.invalid" in ended.err
    assert "write it as base_url" in ended.err


async def test_a_prompt_that_a_filter_stops_is_a_refusal_and_no_missing_answer(tmp_path):
    stopped = s.failing("400 Bad", {"message": "content management policy", "code": "content_filter"})
    async with _endpoint(lambda _, prompt: stopped if prompt.startswith(("3 ", "4 ")) else None) as endpoint:
        ended = await _run(tmp_path, endpoint, tasks=10)
        again = await _run(tmp_path, endpoint, "--retry-errors", tasks=10)
        sent = endpoint.requests
    run = ended.runs[0]
    assert ended.code == 0, ended.err
    assert (run["passed"], run["refused"], run["errored"], run["score"]) == (8, 2, 0, 0.8)
    assert run["faults"] == {"content_filter": 2}
    assert again.runs[0]["refused"] == 2
    assert sent == 10, "a refusal is an outcome, and not asked for again"


async def test_a_judge_that_cannot_be_used_ends_the_run_with_its_own_message(tmp_path):
    facts = rows(tmp_path / "simpleqa.jsonl", [{"problem": f"Question {n}?", "answer": "Ada"} for n in range(200)])
    gone = s.failing("404 No", {"code": "model_not_found", "message": "no such judge"})
    async with scripted(lambda _: "Ada") as (model, _), s.fault_server({"v1": _models_or(gone)}) as judge:
        words = ("run", facts, "SimpleQASolverStrategy", "--model", f"{model.base_url}::m", "--max_concurrent", 8)
        ended = await engine(*words, "--judge", f"{judge.url('v1')}::j", "--json", cwd=tmp_path)
    assert ended.code == 3, ended.err
    assert "no such judge" in ended.err
    assert "cannot be used for 'j'" in ended.err
    assert model.stats.requests < 200, "nothing more is bought that nobody could judge"
    assert ended.runs[0]["errored"] == 0


def _models_or(script: s.Script) -> s.Script:
    async def either(connection: s.Connection) -> bool | None:
        return await (s.said({"data": []}) if connection.method == "GET" else script)(connection)

    return either


@pytest.mark.parametrize("may_pass", [True, False])
def test_an_answer_ends_a_row(may_pass: Any):
    outage, least = Outage(patience_s=10), SILENT_AFTER if may_pass else USELESS_AFTER
    for number in range(5 * USELESS_AFTER):
        outage.gave_up(float(number), may_pass=may_pass)
        if number % (least - 1) == least - 2:
            assert not outage.answered()
    assert not outage.is_on
    assert not outage.is_useless


def test_the_waits_of_an_outage_grow_once_for_each_request_that_was_sent_to_look():
    outage = Outage(patience_s=600)
    for _ in range(SILENT_AFTER):
        outage.gave_up(0.0, may_pass=True)
    assert outage.is_on
    waits, now = [], 0.0
    for _ in range(7):
        waits.append(outage.wait_s(now, sent_at=now))
        assert outage.wait_s(now, sent_at=now - 1) == waits[-1], "one that left before says nothing new"
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert not outage.is_over_patience(599)
    assert outage.is_over_patience(600)
    assert outage.answered()
    assert not outage.is_on


async def test_a_run_that_does_not_move_says_what_it_waits_for(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.watch.STALLED_AFTER_S", 0.4)
    bench = Bench.model_validate({"engine": {"attempt_timeout_s": 2, "max_attempts": 1}})
    data, stalled = rows(tmp_path / "sums.jsonl", sums(3)), []
    async with (
        _endpoint(lambda *_: s.hang) as endpoint,
        Engine(bench, storage=f"sqlite:///{tmp_path / 'bench.db'}", folder=tmp_path) as running,
        anyio.create_task_group() as group,
        running.events() as events,
    ):

        async def listen() -> None:
            async for event in events:
                if isinstance(event, Stalled):
                    stalled.append(event)  # noqa: PERF401 - each at its time

        group.start_soon(listen)
        options = {"prompt": "{input}", "target": "{output}", "scorer": "number"}
        report = await running.run(str(data), "TemplateSolver", model=f"{endpoint.url}::m", options=options)
        group.cancel_scope.cancel()
    assert report.unscored == 3
    assert stalled
    assert f"3 requests at {endpoint.url}" in stalled[0].waits_for
    assert stalled[0].seconds >= 0.4


WRONG = {
    "another API": s.said({"oops": 1}),
    "a page": s.fixed(s.http(b"<html><body>Welcome</body></html>", kind="text/html")),
    "a stream of nothing": s.fixed(s.http(b"", kind="text/event-stream")),
}


@pytest.mark.parametrize("script", WRONG.values(), ids=WRONG)
async def test_an_address_that_answers_with_something_else_ends_the_run_after_few_requests(tmp_path, script):
    async with _endpoint(lambda *_: script) as endpoint:
        ended = await _run(tmp_path, endpoint, "--max_concurrent", 64, tasks=2000)
    assert (ended.code, ended.runs[0]["errored"]) == (3, 0), ended.err
    assert endpoint.requests < 64 * 5
    assert "every reply so far is no completion" in ended.err
    assert "/chat/completions" in ended.err.partition("hint: ")[2]


async def test_such_an_address_ends_the_run_also_where_nothing_is_tried_twice(tmp_path):
    async with _endpoint(lambda *_: WRONG["another API"]) as endpoint:
        ended = await _run(tmp_path, endpoint, "--max_concurrent", 64, *ONCE, tasks=2000)
    assert ended.code == 3, ended.err
    assert endpoint.requests <= USELESS_AFTER + 64


async def test_where_each_request_fails_at_first_with_something_else_all_are_answered(tmp_path):
    seen: dict[str, int] = {}

    def thrice(_: int, prompt: str) -> s.Script | None:
        seen[prompt] = seen.get(prompt, 0) + 1
        return s.said({"oops": 1}) if seen[prompt] <= 3 else None

    async with _endpoint(thrice) as endpoint:
        ended = await _run(tmp_path, endpoint, "--max_concurrent", 64, tasks=100)
    assert ended.runs[0]["passed"] == 100, ended.err


async def test_a_prompt_that_gets_something_else_every_time_ends_no_run(tmp_path):
    poison = s.said({"oops": 1})
    async with _endpoint(lambda _, prompt: poison if prompt.startswith("0 ") else None) as endpoint:
        few = ("--max_concurrent", 1, "--set", "engine.max_attempts=4", "--max-errors", "50%")
        ended = await _run(tmp_path, endpoint, *few, tasks=20)
    assert (ended.runs[0]["passed"], ended.runs[0]["errored"]) == (19, 1), ended.err
