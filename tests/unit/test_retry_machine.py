"""The retry policy and the classifier under anything that a server may say: bounded, obedient, and never surprised."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calls.retry import RetryPolicy
from engine.endpoints.faults import fault_of_error, fault_of_status
from engine.endpoints.streams import StreamReader
from engine.errors import AttemptError
from engine.records import Fault, Reply
from tests import virtual_time

ASKED = st.none() | st.floats(0.0, 400.0)
ATTEMPTS = st.lists(st.tuples(st.sampled_from([*Fault, None]), ASKED, st.floats(0.0, 30.0)), min_size=1, max_size=12)
LIMITS = st.tuples(st.integers(1, 8), st.floats(1.0, 600.0))


@settings(max_examples=200, deadline=None)
@given(script=ATTEMPTS, limits=LIMITS, seed=st.integers(0, 1000))
def test_a_call_is_retried_within_its_limits_and_no_sooner_than_asked(script, limits, seed):
    most, deadline_s = limits
    policy = RetryPolicy(max_attempts=most, attempt_timeout_s=30.0, call_deadline_s=deadline_s)
    begun: list[tuple[float, float]] = []

    async def attempt(timeout_s: float) -> int:
        now = asyncio.get_running_loop().time()
        fault, asked, took_s = script[min(len(begun), len(script) - 1)]
        await asyncio.sleep(min(took_s, timeout_s))
        begun.append((now, asyncio.get_running_loop().time()))
        if fault is None:
            return len(begun)
        raise AttemptError("no", fault=fault, retry_after_s=asked)

    async def call() -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", asyncio.get_running_loop().time)
            try:
                return await policy.run(attempt, sleep=asyncio.sleep, rng=random.Random(seed))
            except AttemptError as error:
                return error

    end = virtual_time.run(call())
    faults = [script[min(number, len(script) - 1)] for number in range(len(begun))]
    assert 1 <= len(begun) <= most
    assert begun[-1][0] < max(deadline_s, 1e-9) or len(begun) == 1, "nothing is sent past the deadline"
    assert begun[-1][1] <= max(deadline_s, 30.0) + 1e-6, "and what was sent ends by then"
    assert all(fault is not None and fault.may_pass for fault, _, _ in faults[:-1]), "only what may pass is repeated"
    for (fault, asked, _), (_, ended), (next_began, _) in zip(faults, begun, begun[1:], strict=False):
        waited = next_began - ended
        assert waited >= (asked or 0.0) - 1e-9 or fault is Fault.STALE, "Retry-After is a floor"
        assert waited <= max(60.0, 1.1 * (asked or 0.0) + 0.1) + 1e-9
    if faults[-1][0] is None:
        assert end == len(begun)
    else:
        assert isinstance(end, AttemptError)
        stopped = len(begun) == most or not end.fault.may_pass
        assert stopped or begun[-1][1] + max(60.0, 1.1 * (end.retry_after_s or 0.0) + 0.1) >= deadline_s


TEXT = st.text(max_size=60)
NAMES = st.sampled_from(("error", "message", "code", "type", "param", "detail", "choices", "delta", "index", "usage"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | NAMES, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.binary(max_size=400) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(("retry-after", "retry-after-ms", "x-should-retry", "location", "date", "x-request-id")), TEXT
)
KEY = "canary-7Qf3mZx0Lr8KtBvW2yNp"


@settings(max_examples=300, deadline=None)
@given(status=st.integers(300, 599), headers=HEADERS, body=BODIES, quotes=st.booleans())
def test_whatever_a_server_says_is_one_fault_with_one_printable_line_and_no_key(status, headers, body, quotes):
    said = body + f" {KEY} {KEY.upper()}".encode() if quotes else body
    error = fault_of_status(status, headers | ({"x-request-id": KEY} if quotes else {}), said, secret=KEY)
    _is_fit(error)
    assert error.status == status
    assert error.retry_after_s is None or 0.0 <= error.retry_after_s < float("inf")


@settings(max_examples=200, deadline=None)
@given(error=JSON)
def test_whatever_error_object_a_reply_holds_is_one_fault(error):
    _is_fit(fault_of_error(error, status=200, headers={}))


@settings(max_examples=300, deadline=None)
@given(events=st.lists(JSON | st.binary(max_size=60), max_size=6), cut=st.integers(1, 50), done=st.booleans())
def test_whatever_a_stream_holds_is_a_reply_or_one_fault(events, cut, done):
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    body = b"".join(b"data: " + line + b"\n\n" for line in lines) + (b"data: [DONE]\n\n" if done else b"")
    reader = StreamReader(status=200, headers={})
    try:
        for at in range(0, len(body), cut):
            reader.feed(body[at : at + cut], at_s=0.1)
        reply = reader.reply(latency_s=1.0)
    except AttemptError as error:
        _is_fit(error)
    else:
        assert isinstance(reply, Reply)
        assert reply.finish_reason


def _is_fit(error: AttemptError) -> None:
    assert error.fault in Fault
    assert error.message.isprintable()
    assert len(error.message) < 500
    assert KEY.casefold() not in (error.message + error.request_id + error.reason + error.param).casefold()
