"""A server of ours, in a process of its own: a fixed chat completion to every POST, at once or after a while.

`python -m benchmarks.answering --latency 0.2` prints its port. It reads no more of a request than its length, and
holds a timer per request, so thousands in flight cost it little. `GET /stats` tells what it has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass
from typing import cast

TEXT = "forty-two"
REPLY = json.dumps(
    {
        "id": "chatcmpl-fixed",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": TEXT}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        "system_fingerprint": "fp_fixed",
    }
)
"""What every server of a comparison answers."""


@dataclass(slots=True)
class Seen:
    """What the server has seen; times are seconds since the epoch."""

    requests: int = 0
    connections: int = 0
    in_flight: int = 0
    peak: int = 0
    first_at: float = 0.0
    last_at: float = 0.0


class Answering(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, seen: Seen, latency_s: float) -> None:
        self._seen = seen
        self._latency_s = latency_s
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._seen.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            end = head + 4 + _length(self._buffer[:head].lower())
            if len(self._buffer) < end:
                return
            is_post = self._buffer.startswith(b"POST")
            self._buffer = self._buffer[end:]
            if is_post:
                self._post()
            else:
                self._transport.write(_response(json.dumps(asdict(self._seen)).encode()))

    def _post(self) -> None:
        seen = self._seen
        now = time.time()
        seen.first_at = seen.first_at or now
        seen.requests += 1
        seen.in_flight += 1
        seen.peak = max(seen.peak, seen.in_flight)
        seen.last_at = now
        if self._latency_s:
            self._loop.call_later(self._latency_s, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._seen.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(_WHOLE)


def _length(head: bytes) -> int:
    start = head.find(b"content-length:")
    return 0 if start < 0 else int(head[start + 15 :].split(b"\r\n", 1)[0])


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


_WHOLE = _response(REPLY.encode())


async def serve(latency_s: float) -> None:
    """Serve on a free loopback port, which is printed, until the process is ended."""
    seen = Seen()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(seen, latency_s), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    latency_s = parser.parse_args().latency
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(latency_s))
    else:
        uvloop.run(serve(latency_s))


if __name__ == "__main__":
    main()
