"""The battery for every way to reach a model over HTTP: one request, one fault, in bounded time and memory."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import psutil
import pytest

from engine.endpoints.openai_chat import OpenAIChat
from engine.endpoints.openai_sdk import OpenAISdk
from engine.errors import AttemptError, EndpointError
from engine.records import Fault, Usage
from tests import servers as s

KEY = s.KEY
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


class Key:
    def reveal(self) -> str:
        return KEY


def _choice(message: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"} | more]}


# name: script, fault
FAULTS: dict[str, tuple[Any, Fault]] = {
    "429": (s.failing("429 Too Many", {"code": "rate_limit_exceeded"}, "Retry-After: 7\r\n"), Fault.RATE_LIMIT),
    "429-quota": (s.failing("429 Too Many", {"code": "insufficient_quota"}), Fault.QUOTA),
    "429-quota-type": (s.failing("429 Too Many", {"type": "insufficient_quota", "code": None}), Fault.QUOTA),
    "402": (s.failing("402 Pay", {}), Fault.QUOTA),
    "400": (s.failing("400 Bad", {"message": f"bad thing {KEY}"}), Fault.BAD_REQUEST),
    "400-context": (s.failing("400 Bad", {"code": "context_length_exceeded"}), Fault.CONTEXT_LENGTH),
    "400-context-words": (
        s.failing("400 Bad", {"message": "This model's maximum context length is 8192 tokens"}),
        Fault.CONTEXT_LENGTH,
    ),
    "400-filter": (s.failing("400 Bad", {"code": "content_filter"}), Fault.CONTENT_FILTER),
    "400-key-words": (s.failing("400 Bad", {"message": "API key not valid. Pass one."}), Fault.AUTH),
    "400-may-pass": (s.failing("400 Bad", {}, "x-should-retry: true\r\n"), Fault.SERVER),
    "401": (s.failing("401 No", {"message": f"Incorrect API key provided: {KEY}"}), Fault.AUTH),
    "403": (s.failing("403 No", {}), Fault.PERMISSION),
    "404": (s.failing("404 No", {"code": "model_not_found"}), Fault.NOT_FOUND),
    "408": (s.failing("408 Slow", {}), Fault.TIMEOUT),
    "409": (s.failing("409 Conflict", {}), Fault.SERVER),
    "413": (s.failing("413 Large", {}), Fault.TOO_LARGE),
    "418": (s.failing("418 Teapot", {}), Fault.BAD_REQUEST),
    "422": (s.failing("422 No", {}), Fault.BAD_REQUEST),
    "422-recording": (s.failing("422 No", {"code": "no_recording"}), Fault.NO_RECORDING),
    "425": (s.failing("425 Early", {}), Fault.SERVER),
    "500": (s.failing("500 No", {}), Fault.SERVER),
    "500-never-passes": (s.failing("500 No", {}, "x-should-retry: false\r\n"), Fault.BAD_REQUEST),
    "502-html": (s.fixed(s.http(b"<html><title>502 Bad</title>", status="502 No", kind="text/html")), Fault.SERVER),
    "503": (s.failing("503 No", {}), Fault.OVERLOADED),
    "504": (s.failing("504 No", {}), Fault.TIMEOUT),
    "529": (s.failing("529 No", {}), Fault.OVERLOADED),
    "500-empty": (s.fixed(s.http(b"", status="500 No")), Fault.SERVER),
    "500-binary": (s.fixed(s.http(b"\xff\x00\x1b[31m" + KEY.encode(), status="500 No")), Fault.SERVER),
    "500-endless": (s.endless_error, Fault.SERVER),
    "204": (s.fixed(b"HTTP/1.1 204 No Content\r\n\r\n"), Fault.MALFORMED),
    "reset": (s.reset, Fault.CONNECTION),
    "close": (s.close, Fault.CONNECTION),
    "reset-in-body": (s.reset_in_body, Fault.CONNECTION),
    "cut-body": (s.fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", keep=False), Fault.CONNECTION),
    "bad-chunk": (s.chunked(b"{", end=b"zz\r\n"), Fault.MALFORMED),
    "cut-chunk": (s.chunked(b"{", end=b""), Fault.CONNECTION),
    "short-length": (
        s.fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + json.dumps(s.completion()).encode(), keep=False),
        Fault.MALFORMED,
    ),
    "bad-status-line": (s.fixed(b"HELLO\r\n\r\n", keep=False), Fault.MALFORMED),
    "200-KB-header": (s.fixed(s.http(b"{}", headers=f"x-big: {'x' * 200_000}\r\n"), keep=False), Fault.MALFORMED),
    "gzip-bomb": (s.gzip_bomb(), Fault.TOO_LARGE),
    "endless": (s.endless, Fault.TOO_LARGE),
    "huge": (s.huge, Fault.TOO_LARGE),
    "hang": (s.hang, Fault.TIMEOUT),
    "hang-in-body": (s.hang_in_body, Fault.TIMEOUT),
    "drip": (s.drip, Fault.TIMEOUT),
    "html": (s.fixed(s.http(b"<html>hi", kind="text/html")), Fault.MALFORMED),
    "empty": (s.fixed(s.http(b"")), Fault.MALFORMED),
    "null": (s.said(None), Fault.MALFORMED),
    "list": (s.said([]), Fault.MALFORMED),
    "string": (s.said("hi"), Fault.MALFORMED),
    "cut-json": (s.fixed(s.http(b'{"choices": [')), Fault.MALFORMED),
    "bad-utf8": (s.fixed(s.http(b'{"choices": "\xff"}')), Fault.MALFORMED),
    "nested": (s.fixed(s.http(b"[" * 90_000)), Fault.MALFORMED),
    "digits": (s.fixed(s.http(b'{"usage": ' + b"1" * 9_000 + b"}")), Fault.MALFORMED),
    "200-error": (s.said({"error": {"message": KEY, "code": 429}}), Fault.RATE_LIMIT),
    "200-error-name": (s.said({"error": {"type": "overloaded_error", "message": "busy"}}), Fault.OVERLOADED),
    "200-error-text": (s.said({"error": "out of memory"}), Fault.SERVER),
    "200-error-context": (s.said({"error": {"message": "prompt is too long"}}), Fault.CONTEXT_LENGTH),
    "choice-error": (s.said(_choice({}, error={"code": 502, "message": "upstream"})), Fault.SERVER),
    "no-choices": (s.said({"id": "c"}), Fault.MALFORMED),
    "null-choices": (s.said({"choices": None}), Fault.MALFORMED),
    "empty-choices": (s.said({"choices": []}), Fault.MALFORMED),
    "text-choice": (s.said({"choices": ["hi"]}), Fault.MALFORMED),
    "null-message": (s.said(_choice(None)), Fault.MALFORMED),
    "number-content": (s.said(_choice({"content": 5})), Fault.MALFORMED),
    "list-content": (s.said(_choice({"content": [1]})), Fault.MALFORMED),
    "object-content": (s.said(_choice({"content": {"text": KEY}})), Fault.MALFORMED),
    "nothing-said": (s.said({"choices": [{"message": {"content": None}}]}), Fault.MALFORMED),
}
SLOW = {"hang", "hang-in-body", "drip", "stall"}

STREAM_FAULTS: dict[str, tuple[Any, Fault]] = {
    "error-event": (
        s.events(s.chunk("he"), b'data: {"error": {"message": "' + KEY.encode() + b'", "code": 503}}\n\n'),
        Fault.OVERLOADED,
    ),
    "named-error-event": (
        s.events(s.chunk("he"), b'event: error\ndata: {"type": "rate_limit_error", "message": "x"}\n\n'),
        Fault.RATE_LIMIT,
    ),
    "no-finish": (s.events(s.chunk("he"), b"data: [DONE]\n\n"), Fault.INCOMPLETE),
    "ends-early": (s.events(s.chunk("he")), Fault.INCOMPLETE),
    "ends-in-event": (s.events(s.chunk("he"), s.chunk("llo", reason="stop")[:-20]), Fault.INCOMPLETE),
    "no-chunks": (s.events(b"data: [DONE]\n\n"), Fault.INCOMPLETE),
    "cut": (s.events(s.chunk("he"), end=b""), Fault.CONNECTION),
    "bad-json": (s.events(b"data: {nope}\n\n"), Fault.MALFORMED),
    "bad-delta": (s.events(s.chunk(5)), Fault.MALFORMED),  # type: ignore[arg-type]
    "stall": (s.stream_stall, Fault.TIMEOUT),
    "401": (s.failing("401 No", {"message": f"Incorrect API key provided: {KEY}"}), Fault.AUTH),
    "html": (s.fixed(s.http(b"<html>hi", kind="text/html")), Fault.MALFORMED),
    "endless": (s.endless, Fault.TOO_LARGE),
}


@pytest.fixture(params=[OpenAIChat, OpenAISdk], ids=["chat", "sdk"])
def kind(request: pytest.FixtureRequest) -> Any:
    if request.param is OpenAISdk:
        import openai  # noqa: F401  # seconds on a busy machine, and it is the calls whose time is looked at
    return request.param


@pytest.fixture
async def reach(kind):
    """Makes an endpoint for a script of its own server, and closes both."""
    stack: list[Any] = []

    async def make(script: Any, **options: Any) -> tuple[Any, Any]:
        manager = s.fault_server({"v1": script})
        server = await manager.__aenter__()
        options = {"identity": "x", "key": Key(), "body_limit_bytes": 100_000} | options
        endpoint = kind(server.url("v1"), **options)
        stack.append((endpoint, manager))
        return endpoint, server

    yield make
    for endpoint, manager in stack:
        await endpoint.aclose()
        await manager.__aexit__(None, None, None)


async def _fails(endpoint: Any, name: str) -> AttemptError:
    before, started = psutil.Process().memory_info().rss, time.monotonic()
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(BODY, timeout_s=0.25 if name in SLOW else 5.0)
    assert time.monotonic() - started < 3
    assert psutil.Process().memory_info().rss - before < 50_000_000
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_has_its_class_and_its_message_no_key(reach, name):
    script, fault = FAULTS[name]
    endpoint, server = await reach(script)
    error = await _fails(endpoint, name)
    assert error.fault is fault, str(error)
    assert len(server.seen) == 1


@pytest.mark.parametrize("name", STREAM_FAULTS)
async def test_a_fault_of_a_stream_has_its_class(reach, name):
    script, fault = STREAM_FAULTS[name]
    endpoint, server = await reach(script, stream=True)
    error = await _fails(endpoint, name)
    assert error.fault is fault, str(error)
    assert len(server.seen) == 1


async def test_a_plain_reply_is_read(reach):
    endpoint, _ = await reach(s.said(s.completion(), headers="x-request-id: r1\r\n"))
    reply = await endpoint.send(BODY, timeout_s=5)
    assert (reply.text, reply.finish_reason, reply.usage) == ("hello", "stop", Usage(7, 3))
    assert (reply.model, reply.request_id, reply.status, reply.ttft_s) == ("m", "r1", 200, None)
    assert json.loads(reply.raw) == s.completion()
    assert 0 < reply.latency_s < 5


async def test_the_request_carries_the_key_the_headers_and_the_very_bytes_and_nothing_from_the_environment(
    reach, monkeypatch
):
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    endpoint, server = await reach(s.said(s.completion(), headers="Set-Cookie: a=b\r\n"), headers={"x-team": "blue"})
    await endpoint.send(BODY, timeout_s=5)
    await endpoint.send(BODY, timeout_s=5)
    request = server.seen[0]
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", BODY)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["x-team"] == "blue"
    assert "from-the-environment" not in str(request.headers)
    assert server.opened == 1


async def test_without_a_key_no_authorization_is_sent(reach, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    endpoint, server = await reach(s.said(s.completion()), key=None)
    await endpoint.send(BODY, timeout_s=5)
    assert "authorization" not in server.seen[0].headers


async def test_a_large_request_is_sent_whole(reach):
    endpoint, server = await reach(s.said(s.completion()))
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 3_000_000}]}).encode()
    assert (await endpoint.send(body, timeout_s=5)).text == "hello"
    assert server.seen[0].body == body


async def test_a_stream_is_put_together_with_the_time_to_its_first_text(reach):
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}\n\n'
    script = s.events(s.chunk(""), s.chunk("he"), s.chunk("llo"), s.chunk(reason="length"), usage, b"data: [DONE]\n\n")
    endpoint, server = await reach(script, stream=True)
    reply = await endpoint.send(BODY, timeout_s=5)
    assert (reply.text, reply.finish_reason, reply.usage) == ("hello", "length", Usage(4, 2))
    assert reply.ttft_s is not None
    assert 0 < reply.ttft_s <= reply.latency_s
    assert json.loads(server.seen[0].body) == {
        **json.loads(BODY),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert json.loads(reply.raw)["choices"][0]["message"]["content"] == "hello"


async def test_a_server_that_ignores_stream_is_read_as_plain(reach):
    endpoint, _ = await reach(s.said(s.completion()), stream=True)
    reply = await endpoint.send(BODY, timeout_s=5)
    assert (reply.text, reply.ttft_s) == ("hello", None)


async def test_a_stream_that_said_done_is_whole_though_its_transfer_never_ends(reach):
    endpoint, _ = await reach(s.stream_stall_after_done, stream=True)
    assert (await endpoint.send(BODY, timeout_s=0.25)).text == "hello"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed_and_its_target_is_named(reach, status):
    async def redirect(connection: Any) -> bool:
        target = connection.server.url("v1/elsewhere", host="localhost")
        await connection.write(s.http(b"", status=status, headers=f"Location: {target}\r\n"))
        return True

    endpoint, server = await reach(redirect)
    error = await _fails(endpoint, "redirect")
    assert error.fault is Fault.REDIRECT
    assert "http://localhost" in str(error)
    assert [request.path for request in server.seen] == ["/v1/chat/completions"]


async def test_a_connection_that_was_closed_while_idle_is_stale_and_the_next_request_is_served(reach):
    endpoint, server = await reach(s.once_then_close)
    assert (await endpoint.send(BODY, timeout_s=5)).text == "hello"
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(BODY, timeout_s=5)
    assert caught.value.fault is Fault.STALE
    assert (await endpoint.send(BODY, timeout_s=5)).text == "hello"
    assert server.opened == 2


async def test_nobody_listening_is_a_connection_fault_and_fails_the_probe_with_what_to_do(kind):
    async with s.fault_server({}) as server:
        url = server.url("v1")
    endpoint = kind(url, identity="x")
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(BODY, timeout_s=2)
    assert caught.value.fault is Fault.CONNECTION
    with pytest.raises(EndpointError, match=f"{url} cannot be reached.*\n.*hint: check the address") as unusable:
        await endpoint.probe()
    assert unusable.value.exit_code == 3
    await endpoint.aclose()


async def test_a_name_that_does_not_exist_is_a_connection_fault(kind):
    endpoint = kind("http://nowhere.invalid/v1", identity="x")
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(BODY, timeout_s=5)
    assert caught.value.fault is Fault.CONNECTION
    await endpoint.aclose()


@pytest.mark.parametrize("status", ["401 No", "403 No"])
async def test_a_probe_that_is_refused_names_the_variable_of_the_key_and_not_the_key(reach, status):
    endpoint, _ = await reach(s.failing(status, {}), key_name="TEAM_KEY")
    with pytest.raises(EndpointError, match="does not accept the key in TEAM_KEY") as caught:
        await endpoint.probe()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", ["404 No", "405 No", "501 No", "500 No", "429 No"])
async def test_a_probe_passes_where_the_endpoint_answers_but_has_no_listing(reach, status):
    endpoint, server = await reach(s.failing(status, {}))
    await endpoint.probe()
    assert endpoint.listing == ()
    assert (server.seen[0].method, server.seen[0].path) == ("GET", "/v1/models")


@pytest.mark.parametrize(
    "document", [{"data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"], [{"id": "a"}, {"name": "b"}, 5, {"id": 7}]]
)
async def test_a_probe_keeps_the_ids_of_the_models(reach, document):
    endpoint, _ = await reach(s.said(document))
    await endpoint.probe()
    assert endpoint.listing == ("a", "b")


@pytest.mark.parametrize("body", [b"<html>", b"null", b'{"data": 5}', b"[" * 100_000])
async def test_a_probe_passes_where_the_listing_cannot_be_read(reach, body):
    endpoint, _ = await reach(s.fixed(s.http(body)))
    await endpoint.probe()
    assert endpoint.listing == ()


async def test_no_more_connections_are_open_than_allowed_and_waiting_for_one_is_no_timeout(reach):
    async def slow(connection: Any) -> bool:
        await asyncio.sleep(0.02)
        await connection.write(s.http(json.dumps(s.completion()).encode()))
        return True

    endpoint, server = await reach(slow, max_connections=4)
    replies = await asyncio.gather(*(endpoint.send(BODY, timeout_s=0.3) for _ in range(100)))
    assert len(replies) == 100
    assert server.most_open <= 4
    assert max(reply.latency_s for reply in replies) < 0.3


async def test_many_requests_are_in_flight_at_once(reach):
    together = asyncio.Barrier(200)

    async def wait_for_all(connection: Any) -> bool:
        await together.wait()
        await connection.write(s.http(json.dumps(s.completion()).encode()))
        return True

    endpoint, _ = await reach(wait_for_all)
    replies = await asyncio.gather(*(endpoint.send(BODY, timeout_s=10) for _ in range(200)))
    assert {reply.text for reply in replies} == {"hello"}


async def test_a_cancelled_request_leaves_no_connection_open(reach):
    endpoint, server = await reach(s.hang)
    tasks = [asyncio.create_task(endpoint.send(BODY, timeout_s=5)) for _ in range(5)]
    async with asyncio.timeout(5):
        while len(server.seen) < 5:
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("Retry-After: 7\r\n", 7.0),
        ("Retry-After: 0.5\r\n", 0.5),
        ("Retry-After-Ms: 300\r\nRetry-After: 7\r\n", 0.3),
        ("Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n", 30.0),
        ("Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:27:00 GMT\r\n", None),
        *((f"Retry-After: {bad}\r\n", None) for bad in ("-5", "nan", "inf", "1e309", "soon", "", "9" * 400, "1_0")),
        ("", None),
    ],
)
async def test_retry_after_is_read_where_it_makes_sense(reach, headers, expected):
    endpoint, _ = await reach(s.failing("429 No", {}, headers))
    error = await _fails(endpoint, "429")
    assert error.retry_after_s == pytest.approx(expected)


async def test_an_endpoint_can_be_closed_unused_and_twice(kind):
    endpoint = kind("http://127.0.0.1:9/v1", identity="x")
    await endpoint.aclose()
    await endpoint.aclose()
