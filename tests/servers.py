"""A raw server for tests that can fail in every way a server can: the first part of the path says how.

`FaultServer` reads requests byte by byte from a socket, so that nothing mends what it breaks.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

KEY = "sk-canary-0123456789abcdefghij"


@dataclass
class Connection:
    """One connection, and the request that was read from it last."""

    writer: asyncio.StreamWriter
    server: FaultServer
    served: int = 0
    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Connection], Awaitable[bool | None]]
"""Answers one request; True keeps the connection open for the next."""


@dataclass
class FaultServer:
    """Listens on 127.0.0.1; `url(name)` is the base URL of a script."""

    scripts: dict[str, Script]
    port: int = 0
    seen: list[Connection] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    opened: int = 0

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{name}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer, self)
        self.opened += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while await read_request(reader, connection):
                self.seen.append(Connection(writer, self, connection.served, *_request(connection)))
                script = self.scripts[connection.path.split("/")[1]]
                if not await script(connection):
                    break
                connection.served += 1
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_now -= 1
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


def _request(connection: Connection) -> tuple[str, str, dict[str, str], bytes]:
    return connection.method, connection.path, connection.headers, connection.body


async def read_request(reader: asyncio.StreamReader, connection: Connection) -> bool:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    first, *lines = head.decode("latin-1").split("\r\n")
    connection.method, connection.path, _ = first.split(" ")
    connection.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    connection.body = await reader.readexactly(int(connection.headers.get("content-length", "0")))
    return True


@asynccontextmanager
async def fault_server(scripts: dict[str, Script]) -> AsyncIterator[FaultServer]:
    faults = FaultServer(scripts)
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await faults.accept(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**24, backlog=2048)
    faults.port = server.sockets[0].getsockname()[1]
    try:
        yield faults
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def completion(text: Any = "hello", *, reason: Any = "stop", **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    } | more


def chunk(content: str | None = None, *, reason: str | None = None, **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    document = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | more
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def http(body: bytes, *, status: str = "200 OK", kind: str = "application/json", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def fixed(data: bytes, *, keep: bool = True) -> Script:
    """Sends these bytes."""

    async def script(connection: Connection) -> bool:
        await connection.write(data)
        return keep

    return script


def said(document: Any, **how: Any) -> Script:
    """Sends this document as a body."""
    return fixed(http(json.dumps(document).encode(), **how))


def failing(status: str, error: Any, headers: str = "") -> Script:
    """Sends an error reply that quotes the key."""
    body = {"error": {"message": f"you sent {KEY}", **error}} if isinstance(error, dict) else error
    return said(body, status=status, headers=headers)


def chunked(*pieces: bytes, kind: str = "application/json", end: bytes = b"0\r\n\r\n") -> Script:
    """Sends pieces with chunked transfer; `end` is what ends it."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return fixed(head + body + end, keep=end == b"0\r\n\r\n")


def events(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> Script:
    """Streams events."""
    return chunked(*pieces, kind="text/event-stream", end=end)


async def reset(connection: Connection) -> None:
    connection.reset()


async def close(_connection: Connection) -> None:
    """Says nothing and leaves."""


async def hang(_connection: Connection) -> None:
    await asyncio.Event().wait()


async def hang_in_body(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await asyncio.Event().wait()


async def reset_in_body(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.reset()


async def drip(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await connection.write(b" ")
        await asyncio.sleep(0.02)


async def endless(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await connection.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


async def endless_error(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await connection.write(b"10000\r\n" + b"e" * 65536 + b"\r\n")


async def huge(connection: Connection) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n")
    for _ in range(300):
        await connection.write(b" " * 1_000_000)


async def stream_stall(connection: Connection) -> None:
    await connection.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n" % (len(chunk("he")), chunk("he"))
    )
    await asyncio.Event().wait()


async def stream_stall_after_done(connection: Connection) -> None:
    data = chunk("hello", reason="stop") + b"data: [DONE]\n\n"
    await connection.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n" % (len(data), data)
    )
    await asyncio.Event().wait()


async def once_then_close(connection: Connection) -> bool:
    """Answers the first request of a connection, and leaves when the second comes."""
    if connection.served:
        return False
    await connection.write(http(json.dumps(completion()).encode()))
    return True


def gzip_bomb() -> Script:
    body = gzip.compress(b" " * 20_000_000)
    return fixed(http(body, headers="Content-Encoding: gzip\r\n"))
