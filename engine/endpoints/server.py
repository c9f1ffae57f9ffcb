"""A loopback server that speaks the chat completions API and takes its answers from a `Responder`.

It serves `POST /v1/chat/completions` (also streamed), `GET /v1/models`, and `GET /stats` with what it has seen.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from aiohttp import web

from engine.errors import EndpointError

_LARGEST_REQUEST = 256 * 2**20
_STREAM_PIECES = 8
_TRANSPORT = frozenset({"user", "stream", "stream_options"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request as a responder sees it.

    `digest` covers the request less what is transport (`stream`, `stream_options`) or says who asks (`user`);
    `arrival` is how many requests with this digest came before.
    """

    body: Mapping[str, Any]
    digest: bytes
    arrival: int

    @property
    def texts(self) -> list[tuple[str, str]]:
        """`(role, text)` of each message; parts of a text are joined."""
        return [(str(message.get("role")), _content(message)) for message in self.body["messages"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server is to reply: `texts` and `finish_reasons` by choice, after `delay_s`.

    With `fault`, something goes wrong instead: a status in digits, or `reset`, `hang`, `truncate`, `malformed`.
    With `code`, it is an error reply with `status` and `message`.
    """

    texts: Sequence[str] = ()
    finish_reasons: Sequence[str] = ()
    usage: Mapping[str, Any] | None = None
    delay_s: float = 0.0
    fault: str = ""
    status: int = 200
    code: str = ""
    message: str = ""


class Responder(Protocol):
    """Where the answers come from."""

    identity: str
    model: str

    def respond(self, request: ChatRequest) -> Answer:
        """The answer to a request; called once for each that arrives."""
        ...


class Loopback:
    """The server: started on 127.0.0.1, ended by `aclose`; `base_url` is there once it is started."""

    def __init__(self, responder: Responder, *, port: int = 0) -> None:
        self.base_url = ""
        self.stats = Stats()
        self._responder = responder
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen, and return the base URL, `http://127.0.0.1:PORT/v1`.

        Raises:
            EndpointError: the port is taken.
        """
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/stats", self._stats)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=4096)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise EndpointError(
                f"port {self._port} on 127.0.0.1 cannot be used: {error.strerror or error}",
                hint="choose another with --port, or let the system choose with --port 0",
            ) from error
        self._runner = runner
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return self.base_url

    async def aclose(self) -> None:
        """Stop listening and drop all connections."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        raw = await http.read()
        try:
            body = _checked(raw)
        except ValueError as error:
            self.stats.arrived(b"")
            return self._done(_error_reply(400, "invalid_request", str(error)))
        digest = request_digest(body)
        arrival = self.stats.arrived(digest)
        try:
            answer = self._responder.respond(ChatRequest(body=body, digest=digest, arrival=arrival))
            if answer.fault:
                self.stats.by_status[answer.fault] += 1
                return await _fail(http, answer.fault)
            if answer.code:
                return self._done(_error_reply(answer.status, answer.code, answer.message))
            if body.get("stream"):
                return self._done(await _stream(http, body, answer))
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)
            return self._done(web.Response(body=_completion(body, answer), content_type="application/json"))
        finally:
            self.stats.left()

    def _done(self, response: web.StreamResponse) -> web.StreamResponse:
        self.stats.by_status[str(response.status)] += 1
        return response

    async def _models(self, _http: web.Request) -> web.Response:
        model = {"id": self._responder.model, "object": "model", "created": 0, "owned_by": "engine"}
        listing = {"object": "list", "data": [model], "identity": self._responder.identity}
        return web.json_response(listing)

    async def _stats(self, _http: web.Request) -> web.Response:
        return web.json_response(self.stats.document())


class Stats:
    """What the server has seen; `by_status` counts by HTTP status, or by the name of the fault."""

    def __init__(self) -> None:
        self.requests = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.by_status: Counter[str] = Counter()
        self._arrivals: dict[bytes, int] = {}

    @property
    def distinct(self) -> int:
        """How many different requests came."""
        return len(self._arrivals)

    def arrived(self, digest: bytes) -> int:
        """Count a request; how many with this digest came before it. One that cannot be read has no digest."""
        self.requests += 1
        if not digest:
            return 0
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        before = self._arrivals.get(digest, 0)
        self._arrivals[digest] = before + 1
        return before

    def left(self) -> None:
        """Count a request as answered."""
        self.in_flight -= 1

    def document(self) -> dict[str, Any]:
        """The counts as served at `/stats`."""
        return {
            "requests": self.requests,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "by_status": dict(self.by_status),
            "distinct": self.distinct,
        }


@asynccontextmanager
async def serve(responder: Responder, *, port: int = 0) -> AsyncIterator[Loopback]:
    """A started server, ended on leaving; port 0 is a free one."""
    server = Loopback(responder, port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.aclose()


def request_digest(body: Mapping[str, Any]) -> bytes:
    """A hash of the request less its transport."""
    kept = {key: value for key, value in body.items() if key not in _TRANSPORT}
    return blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=16).digest()


def count_tokens(text: str) -> int:
    """About how many tokens the text has: four characters are one."""
    return (len(text) + 3) // 4


def _checked(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError("the body must be an object")  # noqa: TRY004 - it is the client's text, not a type of ours
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise ValueError("messages must be a list of objects")
    return body


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _usage(body: Mapping[str, Any], answer: Answer) -> Mapping[str, Any]:
    if answer.usage is not None:
        return answer.usage
    prompt = sum(count_tokens(_content(message)) + 4 for message in body["messages"])
    completion = sum(count_tokens(text) for text in answer.texts)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _head(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-loopback", "object": kind, "created": int(time.time()), "model": str(body.get("model", ""))}


def _completion(body: Mapping[str, Any], answer: Answer) -> bytes:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        for index, (text, reason) in enumerate(zip(answer.texts, answer.finish_reasons, strict=True))
    ]
    document = _head(body, "chat.completion") | {"choices": choices, "usage": _usage(body, answer)}
    return json.dumps(document).encode()


async def _stream(http: web.Request, body: Mapping[str, Any], answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(http)
    head = _head(body, "chat.completion.chunk")
    rounds = _pieces(answer)
    for choices in rounds:
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s / len(rounds))
        await response.write(_event(head | {"choices": choices}))
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        await response.write(_event(head | {"choices": [], "usage": _usage(body, answer)}))
    await response.write(b"data: [DONE]\n\n")
    return response


def _pieces(answer: Answer) -> list[list[dict[str, Any]]]:
    longest = max((len(text) for text in answer.texts), default=0)
    width = max(1, -(-longest // _STREAM_PIECES))
    rounds = [
        [
            {"index": index, "delta": {"content": text[start : start + width]}, "finish_reason": None}
            for index, text in enumerate(answer.texts)
            if text[start : start + width] or not start
        ]
        for start in range(0, max(1, longest), width)
    ]
    ends = [{"index": i, "delta": {}, "finish_reason": reason} for i, reason in enumerate(answer.finish_reasons)]
    return [*rounds, ends]


def _event(document: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _error_reply(status: int, code: str, message: str) -> web.Response:
    error = {"message": message, "type": "loopback", "code": code}
    return web.json_response({"error": error}, status=status)


async def _fail(http: web.Request, fault: str) -> web.StreamResponse:
    if fault.isdecimal():
        headers = {"Retry-After-Ms": "50"} if fault in {"429", "503"} else {}
        response = _error_reply(int(fault), f"simulated_{fault}", "a fault that was asked for")
        response.headers.update(headers)
        return response
    if fault == "malformed":
        return web.Response(body=b'{"choices": [{"message": {"content": ', content_type="application/json")
    if fault == "hang":
        # Ends when the client gives up, which cancels this handler, or when the server does.
        await asyncio.Event().wait()
    if fault == "truncate":
        response_head = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response_head.prepare(http)
        await response_head.write(b'{"choices": [{"mess')
    _drop(http, hard=fault == "reset")
    return web.Response(status=200)


def _drop(http: web.Request, *, hard: bool) -> None:
    transport = http.transport
    if transport is None:
        return
    if hard:
        # Lingering for no time makes the kernel send RST in place of FIN.
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
