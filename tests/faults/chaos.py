"""A chaos endpoint: right answers behind every fault that a bad day has, seeded, and limits as servers count them.

Faults hit attempts and not requests, by a hash of seed, request and attempt: the same whatever the order, and
every request is answered in the end.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import Any

from engine.endpoints.recorded import Recorded, Recording, Row
from engine.endpoints.server import ChatRequest
from tests import servers as s
from tests.support import adds, rows

PASSING: Mapping[str, s.Script] = {
    **{status: s.failing(f"{status} No", {}) for status in ("408", "409", "425", "500", "502", "503", "504", "529")},
    **{
        f"Retry-After {asked}": s.failing("429 No", {}, f"Retry-After: {asked}\r\n")
        for asked in ("-5", "nan", "1e309", "soon", "0", "Wed, 21 Oct 2015 07:28:00 GMT")
    },
    "html error": s.fixed(s.http(b"<html><title>502 Bad Gateway</title>", status="502 No", kind="text/html")),
    "error without body": s.fixed(s.http(b"", status="500 No")),
    "no content": s.fixed(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "reset": s.reset,
    "close": s.close,
    "reset in body": s.reset_in_body,
    "cut body": s.fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", keep=False),
    "cut chunk": s.chunked(b"{", end=b""),
    "bad chunk": s.chunked(b"{", end=b"zz\r\n"),
    "short length": s.fixed(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"choices": []}', keep=False),
    "bad status line": s.fixed(b"HELLO\r\n\r\n", keep=False),
    "long header": s.fixed(s.http(b"{}", headers=f"x-big: {'x' * 200_000}\r\n"), keep=False),
    "gzip bomb": s.gzip_bomb(),
    "hang": s.hang,
    "hang in body": s.hang_in_body,
    "drip": s.drip,
    "html": s.fixed(s.http(b"<html>hi", kind="text/html")),
    "empty": s.fixed(s.http(b"")),
    "cut JSON": s.fixed(s.http(b'{"choices": [')),
    "bad UTF-8": s.fixed(s.http(b'{"choices": "\xff"}')),
    "nested": s.fixed(s.http(b"[" * 200_000)),
    "digits": s.fixed(s.http(b'{"usage": ' + b"1" * 9_000 + b"}")),
    **{f"body {document!r}"[:40]: s.said(document) for document in (None, [], "hi", {}, {"choices": None})},
    "error in reply": s.said({"error": {"message": "slow down", "code": 429}}),
    "overloaded in reply": s.said({"error": {"type": "overloaded_error", "message": "busy"}}),
    "no choices": s.said({"choices": []}),
    "error in choice": s.said({"choices": [{"error": {"code": 502}, "message": {"content": "4"}}]}),
    "no message": s.said({"choices": [{"message": None, "finish_reason": "stop"}]}),
    "nothing said": s.said({"choices": [{"message": {"content": None}}]}),
    "number for text": s.said(s.completion(5)),
    "object for text": s.said(s.completion({"text": "5"})),
}
"""Every fault of an attempt that may pass, as servers really fail; after it the same request may be answered."""

BAD_DAY = {"429": 0.10, "5xx": 0.05, "reset": 0.03, "truncate": 0.02, "hang": 0.01, "malformed": 0.01}
"""The share of attempts that each fault hits; the rest is answered."""


@dataclass
class Chaos:
    """Answers chat completions by a function of the request; a script of `tests.servers`.

    `sent` counts what was sent, by `ok` or the name of the fault; `in_flight` are requests that were read and
    not yet answered; `allowed` says when a request is above the limit, in seconds to wait.
    """

    answer: Callable[[ChatRequest], str] = adds
    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    retry_after: str = "Retry-After: 1"
    delay_s: float = 0.0
    allowed: Callable[[float], float | None] | None = None
    asks: str = "seconds"
    """How a refusal for the limit says when to come back: `seconds`, `milliseconds`, `a date`."""
    refuses_with: str = "429 Too Many Requests"
    usage: Mapping[str, int] | None = None
    sent: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    """When requests were answered with a completion."""
    asked: Counter[bytes] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    base_url: str = ""

    @property
    def requests(self) -> int:
        """Chat completion requests that arrived."""
        return self.asked.total()

    async def __call__(self, connection: s.Connection) -> bool | None:
        """Answer one request."""
        if connection.method == "GET":
            await connection.write(s.http(b'{"data": [{"id": "m"}]}'))
            return True
        attempt = self.asked[connection.body]
        self.asked[connection.body] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(connection, attempt)
        finally:
            self.in_flight -= 1

    async def _answer(self, connection: s.Connection, attempt: int) -> bool | None:
        wait_s = self.allowed(monotonic()) if self.allowed is not None else None
        if wait_s is not None:
            self.sent["refused"] += 1
            await s.failing(self.refuses_with, {"code": "rate_limit_exceeded"}, self._asks(wait_s))(connection)
            return True
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        fault = self._fault(connection.body, attempt)
        self.sent[fault or "ok"] += 1
        if fault:
            return await self._fail(connection, fault)
        body = json.loads(connection.body)
        text = self.answer(ChatRequest(body=body, digest=connection.body, arrival=attempt))
        more = {"usage": dict(self.usage)} if self.usage else {}
        self.times.append(monotonic())
        await connection.write(s.http(json.dumps(s.completion(text, **more)).encode()))
        return True

    def _asks(self, wait_s: float) -> str:
        if self.asks == "milliseconds":
            return f"Retry-After-Ms: {math.ceil(1000 * wait_s)}\r\n"
        seconds, now = max(1, math.ceil(wait_s)), time.time()
        if self.asks == "a date":
            later = formatdate(now + seconds, usegmt=True)
            return f"Date: {formatdate(now, usegmt=True)}\r\nRetry-After: {later}\r\n"
        return f"Retry-After: {seconds}\r\n"

    def _after(self) -> str:
        return f"{self.retry_after}\r\n" if self.retry_after else ""

    def _fault(self, body: bytes, attempt: int) -> str:
        digest = blake2b(f"{self.seed}|{attempt}|".encode() + body, digest_size=8).digest()
        chance = random.Random(int.from_bytes(digest)).random()
        for name, rate in self.rates.items():
            if chance < rate:
                return name
            chance -= rate
        return ""

    async def _fail(self, connection: s.Connection, fault: str) -> bool | None:
        if fault in PASSING and self.rates is not BAD_DAY:
            return await PASSING[fault](connection)
        if fault == "429":
            return await s.failing("429 Too Many Requests", {"code": "rate_limit_exceeded"}, self._after())(connection)
        if fault == "5xx":
            status = ("500 Internal", "502 Bad Gateway", "503 Busy", "504 Late")[self.sent[fault] % 4]
            return await s.failing(status, {})(connection)
        if fault == "truncate":
            await connection.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [{"mess')
            return False
        if fault == "malformed":
            return await s.fixed(s.http(b'{"choices": [{"message": {"content": "4'))(connection)
        return await {"reset": s.reset, "hang": s.hang}[fault](connection)


@asynccontextmanager
async def chaos(**how: Any) -> AsyncIterator[Chaos]:
    """A chaos endpoint that listens; `base_url` says where."""
    script = Chaos(**how)
    async with s.fault_server({"v1": script}) as server:
        script.base_url = server.url("v1")
        yield script


class Allowance:
    """Allows `rate` requests a second, counted as a fixed `window`, a `sliding` one, or a token `bucket`.

    With `counts_refused` what is refused counts as well; `later` is the rate that holds after so many seconds.
    """

    def __init__(
        self, rate: int, counts: str, *, counts_refused: bool = False, later: tuple[float, int] | None = None
    ) -> None:
        self.rate, self.counts, self.counts_refused, self.later = rate, counts, counts_refused, later
        self._began: float | None = None
        self._times: deque[float] = deque()
        self._level, self._at = float(rate), monotonic()

    def __call__(self, now: float) -> float | None:
        """Seconds to wait; None where the request is allowed, and counted."""
        self._began = self._began or now
        if self.later and now - self._began > self.later[0]:
            self.rate, self.later = self.later[1], None
        if self.counts == "bucket":
            self._level = min(self.rate, self._level + (now - self._at) * self.rate)
            self._at = now
            if self._level < 1:
                return (1 - self._level) / self.rate
            self._level -= 1
            return None
        since = int(now) if self.counts == "window" else now - 1
        while self._times and self._times[0] < since:
            self._times.popleft()
        if len(self._times) >= self.rate:
            wait_s = max(0.001, (since if self.counts == "window" else self._times[0]) + 1 - now)
            if self.counts_refused:
                self._times.append(now)
            return wait_s
        self._times.append(now)
        return None


def gsm8k(shared_data: Path, folder: Path, count: int) -> tuple[Path, Recorded]:
    """`count` rows of GSM8K, and what answers them: the test set as recorded, train rows with its answers cycled."""
    test = (shared_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in test.split("\n") if line]
    with gzip.open(shared_data / "oracles" / "gsm8k-openai-6b_finetuning.jsonl.gz", "rt", encoding="utf-8") as file:
        answers = [json.loads(line)["content"] for line in file]
    with gzip.open(shared_data / "gsm8k" / "train.jsonl.gz", "rt", encoding="utf-8") as train:
        while len(lines) < count:
            lines.append(json.loads(train.readline()))
    lines = lines[:count]
    recorded = [
        Row(match=line["question"].strip(), content=answers[number % len(answers)]) for number, line in enumerate(lines)
    ]
    return rows(folder / "gsm8k.jsonl", lines), Recorded(Recording(rows=recorded, identity="gsm8k"))
