"""What goes by the proxy that the environment names, what does not, and that its password is shown to nobody else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.endpoints.openai_chat import OpenAIChat
from engine.endpoints.proxies import proxy_for
from engine.endpoints.request_heads import Address
from engine.errors import ConfigError, EndpointError
from engine.records import Fault
from tests import servers as s
from tests.contract.http_kit import HELLO, Key, fails, text, tls_server
from tests.support import engine, rows, sums

PASSWORD = "s3cret@p:w"
TOLD = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()


@dataclass
class Gateway:
    """A proxy on loopback that every name leads to 127.0.0.1 by, and the heads of what it was asked."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    passed_on: bytearray = field(default_factory=bytearray)
    refuses: bytes = b""

    @property
    def url(self) -> str:
        return f"http://joe:s3cret%40p%3Aw@127.0.0.1:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                if self.refuses or TOLD not in head:
                    writer.write(self.refuses or b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
                    break
                if head.startswith("CONNECT "):
                    await self._tunnel(head.split()[1], reader, writer)
                    break
                length = next((line for line in head.split("\r\n") if line.startswith("Content-Length: ")), ": 0")
                await reader.readexactly(int(length.partition(": ")[2]))
                writer.write(s.http(b'{"data": [{"id": "m"}]}' if head.startswith("GET") else HELLO))
        writer.close()

    async def _tunnel(self, goal: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, into = await asyncio.open_connection("127.0.0.1", int(goal.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, note: bytearray | None) -> None:
            with suppress(OSError):
                while piece := await source.read(2**16):
                    if note is not None:
                        note += piece
                    sink.write(piece)
                    await sink.drain()
            sink.close()

        try:
            await asyncio.gather(pass_on(reader, into, self.passed_on), pass_on(there, writer, None))
        finally:
            into.close()
            with suppress(OSError):
                await into.wait_closed()


@asynccontextmanager
async def gateway(refuses: bytes = b"") -> AsyncIterator[Gateway]:
    made = Gateway(refuses=refuses)
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await made.accept(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_plain_http_is_asked_for_at_the_proxy_over_one_connection():
    async with gateway() as proxy:
        endpoint = OpenAIChat(
            "http://model.example:8000/v1", identity="x", key=Key(), variables={"http_proxy": proxy.url}
        )
        await endpoint.probe()
        assert [await text(endpoint) for _ in range(3)] == ["hello"] * 3
        await endpoint.aclose()
    assert endpoint.listing == ("m",)
    first, *fields = proxy.heads[1].split("\r\n")
    assert first == "POST http://model.example:8000/v1/chat/completions HTTP/1.1"
    assert "Host: model.example:8000" in fields
    assert f"Proxy-Authorization: Basic {TOLD}" in fields


async def test_https_goes_through_a_tunnel_and_the_proxy_sees_no_key_and_the_server_no_password(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    async with gateway() as proxy, tls_server(tmp_path, "DNS:model.example") as (port, asked, opened):
        url = f"https://model.example:{port}/v1"
        endpoint = OpenAIChat(url, identity="x", key=Key(), variables={"HTTPS_PROXY": proxy.url})
        assert [await text(endpoint) for _ in range(3)] == ["hello"] * 3
        await endpoint.aclose()
    assert [head.split("\r\n")[0] for head in proxy.heads] == [f"CONNECT model.example:{port} HTTP/1.1"]
    assert (len(asked), len(opened)) == (3, 1)
    assert asked[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert s.KEY.encode() in asked[0]
    assert s.KEY.encode() not in proxy.passed_on
    assert b"Proxy-Authorization" not in asked[0]


@pytest.mark.parametrize(
    ("refuses", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication Required"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "opens no way there"),
        (b"HTTP/1.1 200 OK\r\n", "no answer that can be read"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "what nobody asked for"),
        (b"x" * 200_000, "no answer that can be read"),
    ],
    ids=["407", "502", "ssh", "cut", "talks", "endless"],
)
async def test_a_tunnel_that_is_not_opened_is_told_with_the_proxy_and_no_password(refuses, says):
    async with gateway(refuses) as proxy:
        endpoint = OpenAIChat("https://model.example/v1", identity="x", variables={"ALL_PROXY": proxy.url})
        error = await fails(endpoint)
        with pytest.raises(EndpointError, match=r"model\.example/v1 cannot be reached"):
            await endpoint.probe()
        await endpoint.aclose()
    assert error.fault is Fault.CONNECTION
    assert f"cannot connect to model.example:443 by the proxy 127.0.0.1:{proxy.port}: " in str(error)
    assert says in str(error)
    assert PASSWORD not in str(error)


@pytest.mark.parametrize(
    ("url", "variables", "expected"),
    [
        ("https://a.example/v1", {}, None),
        ("https://a.example/v1", {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "p:1"),
        ("https://a.example/v1", {"https_proxy": " ", "HTTPS_PROXY": "http://q:2"}, "q:2"),
        ("https://a.example/v1", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://a.example/v1", {"HTTP_PROXY": "http://p:1", "all_proxy": "http://q:2"}, "p:1"),
        ("http://a.example/v1", {"HTTPS_PROXY": "http://p:1", "all_proxy": "http://q:2"}, "q:2"),
        ("http://a.example/v1", {"all_proxy": "q"}, "q:80"),
        ("http://a.example/v1", {"all_proxy": "http://[::1]:3128"}, "[::1]:3128"),
        ("http://localhost:8000/v1", {"http_proxy": "http://p:1"}, None),
        ("http://127.9.9.9/v1", {"http_proxy": "http://p:1"}, None),
        ("http://[::1]/v1", {"http_proxy": "http://p:1"}, None),
        ("http://a.example/v1", {"http_proxy": "http://p:1", "no_proxy": "*"}, None),
        ("http://a.example/v1", {"http_proxy": "http://p:1", "NO_PROXY": "b.example, a.example"}, None),
        ("http://x.a.example/v1", {"http_proxy": "http://p:1", "no_proxy": "A.Example"}, None),
        ("http://x.a.example/v1", {"http_proxy": "http://p:1", "no_proxy": ".a.example"}, None),
        ("http://xa.example/v1", {"http_proxy": "http://p:1", "no_proxy": "a.example"}, "p:1"),
        ("http://a.example:8000/v1", {"http_proxy": "http://p:1", "no_proxy": "a.example:8000"}, None),
        ("http://a.example:8001/v1", {"http_proxy": "http://p:1", "no_proxy": "a.example:8000"}, "p:1"),
        ("http://10.1.2.3/v1", {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/v1", {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, "p:1"),
        ("http://[fd00::7]:8000/v1", {"http_proxy": "http://p:1", "no_proxy": "[fd00::7]:8000"}, None),
        ("http://[fd00::7]:8000/v1", {"http_proxy": "http://p:1", "no_proxy": "fd00::7"}, None),
    ],
)
def test_the_environment_names_the_proxy_and_what_goes_without(url, variables, expected):
    proxy = proxy_for(Address.of(url), variables)
    assert (proxy.shown if proxy else None) == expected


@pytest.mark.parametrize(
    "value", ["socks5://joe:s3cret@p:1", "https://joe:s3cret@p:1", "http://joe:s3cret@p:x", "http://"]
)
def test_a_proxy_that_cannot_be_spoken_to_is_told_before_anything_is_sent(value):
    with pytest.raises(ConfigError, match="the proxy in ALL_PROXY") as caught:
        OpenAIChat("https://model.example/v1", identity="x", variables={"ALL_PROXY": value})
    assert "s3cret" not in str(caught.value)
    OpenAIChat("https://127.0.0.1/v1", identity="x", variables={"ALL_PROXY": value})  # it is not used


async def test_a_run_goes_by_the_proxy_and_a_wrong_password_ends_it_before_it_begins(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(20))
    template = ("TemplateSolver", "--prompt", "{input}", "--target", "hello", "--json")
    words = ("run", data, *template, "--model", "http://model.example/v1::m")
    async with gateway() as proxy:
        good = await engine(*words, cwd=tmp_path, HTTP_PROXY=proxy.url)
        asked = [head.split()[0] for head in proxy.heads]
        wrong = await engine(*words, "--force", cwd=tmp_path, HTTP_PROXY=proxy.url.replace("s3cret", "n0ne"))
    assert good.code == 0, good.err
    assert (good.runs[0]["passed"], asked.count("POST")) == (20, 20)
    assert wrong.code == 3
    assert "the proxy wants another name or password" in wrong.err
    told = b"".join(path.read_bytes() for path in (tmp_path / "home").iterdir() if path.is_file())
    for secret in ("s3cret", "n0ne", TOLD):
        assert secret not in good.out + good.err + wrong.out + wrong.err
        assert secret.encode() not in told
