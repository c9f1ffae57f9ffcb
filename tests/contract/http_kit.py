"""What tests of the HTTP client have in common: an endpoint before a server that writes raw bytes."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from engine.endpoints.openai_chat import OpenAIChat
from engine.errors import AttemptError
from tests import servers as s

BODY = b'{"model": "m", "messages": []}'
HELLO = json.dumps(s.completion()).encode()


class Key:
    def __init__(self, value: str = s.KEY) -> None:
        self.value = value

    def reveal(self) -> str:
        return self.value


@pytest.fixture
async def reach():
    """Makes an endpoint for a script of its own server, and closes both."""
    stack: list[Any] = []

    async def make(script: Any, **options: Any) -> tuple[OpenAIChat, s.FaultServer]:
        manager = s.fault_server({"v1": script})
        server = await manager.__aenter__()
        endpoint = OpenAIChat(server.url("v1"), identity="x", key=Key(), **options)
        stack.append((endpoint, manager))
        return endpoint, server

    yield make
    for endpoint, manager in stack:
        await endpoint.aclose()
        await manager.__aexit__(None, None, None)


async def text(endpoint: OpenAIChat) -> str:
    return (await endpoint.send(BODY, timeout_s=5)).text


async def fails(endpoint: OpenAIChat, *, timeout_s: float = 5) -> AttemptError:
    with pytest.raises(AttemptError) as caught:
        await endpoint.send(BODY, timeout_s=timeout_s)
    return caught.value


@asynccontextmanager
async def tls_server(folder: Path, name: str) -> AsyncIterator[tuple[int, list[bytes], list[asyncio.StreamWriter]]]:
    """`(port, requests, connections)` of a server whose certificate, of its own making, is for `name`."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there")
    how = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-addext", f"subjectAltName={name}"]
    await anyio.run_process(["openssl", *how, *map(str, files)])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    asked: list[bytes] = []
    opened: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            opened.append(writer)
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(len(BODY) if asked[-1].startswith(b"POST") else 0)
                writer.write(s.http(HELLO))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], asked, opened
