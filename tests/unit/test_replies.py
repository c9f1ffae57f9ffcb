"""What a body holds: a reply, or an error with its class; and that no foreign exception is without one."""

from __future__ import annotations

import inspect
import json
import ssl
from codecs import BOM_UTF8
from contextlib import suppress
from itertools import pairwise
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import openai
import openai._exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.endpoints.faults import fault_of_exception, fault_of_status, has_own_translation, translation
from engine.endpoints.replies import read_reply
from engine.endpoints.scrubbing import scrub
from engine.endpoints.streams import StreamReader, asking_for_stream
from engine.errors import AttemptError
from engine.records import Fault, Reply, Usage
from tests.servers import KEY, chunk, completion


def read(document: Any) -> Reply:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_reply(raw, status=200, headers={"x-request-id": "r1"}, latency_s=0.5)


def said(message: Any, reason: Any = "stop") -> Reply:
    return read({"choices": [{"message": message, "finish_reason": reason}]})


def stream(data: bytes, cuts: tuple[int, ...] = ()) -> Reply:
    reader = StreamReader(status=200, headers={})
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for at, (start, end) in enumerate(pairwise(edges)):
        reader.feed(data[start:end], at_s=float(at))
    return reader.reply(latency_s=9.0)


def test_a_reply_keeps_its_body_text_and_counts() -> None:
    reply = read(completion("hello", reason="length"))
    assert (reply.text, reply.finish_reason, reply.model, reply.request_id) == ("hello", "length", "m", "r1")
    assert (reply.latency_s, reply.choices, json.loads(reply.raw)) == (0.5, (), completion("hello", reason="length"))


def test_text_in_parts_is_joined_and_other_parts_are_left_out() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "reasoning", "reasoning": "x"}, {"type": "text", "text": "b"}]
    assert said({"content": parts}).text == "ab"


def test_several_choices_are_kept_in_the_order_of_their_index() -> None:
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": f"r{i}"} for i in (2, 0, 1)]
    reply = read({"choices": choices})
    assert (reply.text, reply.choices, reply.finish_reason) == ("0", ("0", "1", "2"), "r0")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls"),
        ({"content": None, "refusal": "no"}, None),
        ({"content": None}, "content_filter"),
        ({"content": None, "reasoning_content": "hm"}, "length"),
        ({}, "length"),
    ],
)
def test_null_beside_something_that_explains_it_is_an_empty_text(message: Any, reason: Any) -> None:
    assert said(message, reason).text == ""


def test_what_stands_beside_the_text_is_kept() -> None:
    message = {"content": None, "refusal": "no", "reasoning": "hm", "tool_calls": [{"id": "1"}, 5]}
    reply = said(message, "tool_calls")
    assert (reply.refusal, reply.reasoning, reply.tool_calls) == ("no", "hm", ({"id": "1"},))


@pytest.mark.parametrize("reason", [None, 5, {}])
def test_a_finish_reason_that_is_missing_is_empty_where_nothing_was_streamed(reason: Any) -> None:
    assert said({"content": "x"}, reason).finish_reason == ""


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 0}, Usage(7, 0)),
        (
            {
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(None, None, 3, 4),
        ),
        ({"prompt_tokens": -1, "completion_tokens": 2.5}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": "7"}, Usage()),
        ({"prompt_tokens": 10**30, "prompt_tokens_details": 5}, Usage()),
        (None, Usage()),
        ("lots", Usage()),
        ([], Usage()),
    ],
)
def test_a_count_that_makes_no_sense_is_unknown_and_never_0(usage: Any, expected: Usage) -> None:
    assert read(completion(usage=usage)).usage == expected


def test_half_a_surrogate_is_replaced_and_a_whole_pair_is_not() -> None:
    raw = json.dumps(completion("X")).replace("X", "\\ud83d\\ude00 \\ud83d").encode()
    reply = read(raw)
    assert reply.text == "\N{GRINNING FACE} ?"
    assert reply.text.encode()
    assert "\\ud83d" in reply.raw


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["choices", "message", "content", "error", "usage", "index", "finish_reason", "text", "type"]), x
)))  # fmt: skip
def test_any_json_is_a_reply_or_an_attempt_error(document: Any) -> None:
    for body in (document, {"choices": document}, {"choices": [document]}, {"choices": [{"message": document}]}):
        with suppress(AttemptError):
            assert isinstance(read(body).text, str)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_reply_or_an_attempt_error_also_as_a_stream(raw: bytes) -> None:
    for attempt in (lambda: read(raw), lambda: stream(raw), lambda: stream(b"data: " + raw + b"\n\n")):
        with pytest.raises(AttemptError):
            attempt()


STREAM = (
    b": hello\r\n\r\n"
    + chunk("he").replace(b"\n", b"\r\n")
    + b"event: x\nid: 5\n"
    + chunk("l\u2028lo")
    + chunk(reason="stop")
    + b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
    + b"data: [DONE]\n\n"
    + b"data: {never read\n\n"
)


@given(st.sampled_from([b"", BOM_UTF8]), st.lists(st.integers(0, len(STREAM)), max_size=6).map(tuple))
def test_a_stream_is_the_same_however_it_is_cut_into_pieces(mark: bytes, cuts: tuple[int, ...]) -> None:
    reply = stream(mark + STREAM, cuts)
    assert (reply.text, reply.finish_reason, reply.usage) == ("hel\u2028lo", "stop", Usage(1, 2))


def test_a_stream_of_several_choices_and_tool_calls_is_put_together_by_index() -> None:
    def delta(index: int, delta: Any, reason: Any = None) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a'}}
    reply = stream(
        delta(1, {"content": "b"})
        + delta(0, {"tool_calls": [call], "reasoning_content": "hm"})
        + delta(0, {"tool_calls": [{"index": 0, "function": {"arguments": '": 1}'}}]})
        + delta(0, None, "tool_calls")
        + delta(1, {}, "stop")
    )
    assert reply.choices == ("", "b")
    assert reply.tool_calls == ({"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}},)
    assert (reply.reasoning, reply.finish_reason) == ("hm", "tool_calls")


def test_a_stream_where_one_choice_never_ends_is_incomplete() -> None:
    with pytest.raises(AttemptError) as caught:
        stream(chunk("a", reason="stop") + chunk("b").replace(b'"index": 0', b'"index": 1'))
    assert caught.value.fault is Fault.INCOMPLETE


def test_the_time_to_first_text_is_that_of_the_first_piece_that_is_not_empty() -> None:
    reader = StreamReader(status=200, headers={})
    for at_s, piece in ((1.0, chunk("")), (2.0, chunk("a")), (3.0, chunk("b", reason="stop"))):
        reader.feed(piece, at_s=at_s)
    assert reader.reply(latency_s=4.0).ttft_s == 2.0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", {"stream": True, "stream_options": {"include_usage": True}}),
        (b'{"a":"\\"stream\\":"}', {"a": '"stream":', "stream": True, "stream_options": {"include_usage": True}}),
        (b'{"stream":false}', {"stream": False}),
    ],
)
def test_a_body_asks_for_a_stream_unless_it_says_itself(body: bytes, expected: Any) -> None:
    assert json.loads(asking_for_stream(body)) == expected


def classes_of(module: Any, root: type) -> list[type]:
    values = [getattr(module, name) for name in dir(module) if not name.startswith("_")]
    return [value for value in values if inspect.isclass(value) and issubclass(value, root)]


@pytest.mark.parametrize("kind", classes_of(aiohttp.client_exceptions, aiohttp.ClientError), ids=lambda k: k.__name__)
def test_every_exception_of_aiohttp_has_a_fault(kind: type) -> None:
    assert has_own_translation(kind)


@pytest.mark.parametrize("kind", classes_of(openai._exceptions, openai.OpenAIError), ids=lambda k: k.__name__)
def test_every_exception_of_openai_has_a_fault(kind: type) -> None:
    assert has_own_translation(kind)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TimeoutError(), Fault.TIMEOUT),
        (aiohttp.SocketTimeoutError(), Fault.TIMEOUT),
        (aiohttp.ServerDisconnectedError(), Fault.CONNECTION),
        (ssl.SSLError("bad"), Fault.CONNECTION),
        (ConnectionResetError(), Fault.CONNECTION),
        (OSError(24, "Too many open files"), Fault.CONNECTION),
        (json.JSONDecodeError("no", "x", 0), Fault.MALFORMED),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), Fault.MALFORMED),
        (RecursionError(), Fault.MALFORMED),
        (KeyError("what nobody foresaw"), Fault.MALFORMED),
    ],
)
def test_an_exception_is_translated_by_its_class(error: Exception, fault: Fault) -> None:
    assert fault_of_exception(error).fault is fault


def test_the_deepest_cause_decides_and_an_attempt_error_among_the_causes_is_the_answer() -> None:
    outer = aiohttp.ServerTimeoutError("a wrapper's word")
    outer.__cause__ = aiohttp.ServerDisconnectedError()
    assert fault_of_exception(outer).fault is Fault.CONNECTION
    outer.__cause__.__cause__ = found = AttemptError("found", fault=Fault.QUOTA)
    assert fault_of_exception(outer) is found


def test_a_subclass_that_is_not_known_has_the_fault_of_its_parent() -> None:
    assert translation(type("Newer", (aiohttp.ServerTimeoutError,), {})) is Fault.TIMEOUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"you sent {KEY}", "you sent ***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("key sk-proj-abcdefgh1234 and sk-abc***xyz", "key *** and ***"),
        ("two\nlines\tand \x1b[31mred\u202e", "two lines and [31mred"),
        ("half \ud83d", "half"),
        ("x" * 999, "x" * 297 + "..."),
        ("model sk-learn", "model sk-learn"),
    ],
)
def test_words_of_a_server_are_short_and_hold_no_key(text: str, expected: str) -> None:
    assert scrub(text) == expected


def test_a_known_key_is_scrubbed_whatever_it_looks_like() -> None:
    assert scrub("the key hunter2 is wrong", "hunter2") == "the key *** is wrong"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "too big", "code": "x"}}',
        b'{"error": "too big"}',
        b'{"message": "too big"}',
        b'{"detail": "too big"}',
        b'[{"error": {"message": "too big"}}]',
        b'{"success": false, "errors": [{"code": 7, "message": "too big"}], "result": null}',
        b"too big",
        b"<html><head><title>too big</title></head><body>x</body></html>",
        b"<b>too</b> big",
    ],
)
def test_the_words_of_an_error_are_found_in_any_shape(body: bytes) -> None:
    assert "too big" in str(fault_of_status(400, {}, body))


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"object": "error", "message": "too big", "type": "invalid_request_error", "code": 40303}, Fault.BAD_REQUEST),
        ({"object": "error", "message": "too big", "code": 50001}, Fault.SERVER),
        ({"code": 500, "msg": "too big", "success": False}, Fault.MALFORMED),
        ({"detail": "too big"}, Fault.MALFORMED),
        ({"choices": [], "message": "too big"}, Fault.MALFORMED),
    ],
)
def test_what_a_reply_says_in_place_of_an_answer_is_told(document: Any, fault: Fault) -> None:
    with pytest.raises(AttemptError, match="too big") as caught:
        read(document)
    assert caught.value.fault is fault


@given(st.integers(100, 999), st.binary(max_size=50))
def test_any_status_and_body_has_a_fault(status: int, body: bytes) -> None:
    error = fault_of_status(status, {}, body)
    assert isinstance(error.fault, Fault)
    assert error.status == status


def _google(delay: str, quota: str) -> dict[str, Any]:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    message = "You exceeded your current quota, please check your plan and billing details."
    return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


@pytest.mark.parametrize(
    ("document", "fault", "wait_s"),
    [
        (_google("38.601658672s", "GenerateRequestsPerMinutePerProjectPerModel"), Fault.RATE_LIMIT, 38.601658672),
        ([_google("41s", "GenerateContentInputTokensPerModelPerMinute")], Fault.RATE_LIMIT, 41.0),
        (_google("30s", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"), Fault.QUOTA, None),
        ({"error": {"message": "Rate limit reached for m. Please try again in 1m12.5s."}}, Fault.RATE_LIMIT, 72.5),
        ({"error": {"message": "Limit 3, used 3. Please try again in 350ms."}}, Fault.RATE_LIMIT, 0.35),
        ({"error": {"message": "Your quota will reset after 2h1m."}}, Fault.RATE_LIMIT, 7260.0),
        ({"error": {"message": "try again in a while"}}, Fault.RATE_LIMIT, None),
        ({"error": {"message": "try again in 99999999h"}}, Fault.RATE_LIMIT, None),
    ],
)
def test_a_refusal_that_says_in_its_body_when_to_come_back_is_read(document, fault, wait_s):
    body = json.dumps(document).encode()
    error = fault_of_status(429, {}, body)
    assert error.fault is fault
    assert error.retry_after_s == pytest.approx(wait_s)
    if fault is Fault.RATE_LIMIT:
        assert fault_of_status(429, {"retry-after": "7"}, body).retry_after_s == 7.0


def test_thoughts_in_parts_are_kept_apart_from_the_answer_whole_and_streamed() -> None:
    """Mistral's reasoning models give content as a list of parts."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    document = completion([thinking, {"type": "text", "text": "42"}])
    reply = read_reply(json.dumps(document).encode(), status=200, headers={}, latency_s=1.0)
    assert (reply.text, reply.reasoning) == ("42", "hm")
    reader = StreamReader(status=200, headers={})
    contents: list[Any] = [[thinking], [thinking], [{"type": "text", "text": "4"}], "2"]
    for number, content in enumerate(contents):
        reader.feed(chunk(content), at_s=float(number))
    reader.feed(chunk(reason="stop"), at_s=9.0)
    streamed = reader.reply(latency_s=10.0)
    assert (streamed.text, streamed.reasoning, streamed.ttft_s) == ("42", "hmhm", 0.0)
