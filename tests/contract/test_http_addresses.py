"""Where the engine's own HTTP client goes, whom it trusts, and what it sends first."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from engine.endpoints import request_heads
from engine.endpoints.openai_chat import OpenAIChat
from engine.errors import ConfigError, EndpointError
from engine.records import Fault
from tests import servers as s
from tests.contract.http_kit import BODY, HELLO, Key, fails, reach, text, tls_server

__all__ = ["reach"]  # a fixture


async def test_no_address_that_listens_is_told_with_host_port_and_reason():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        endpoint = OpenAIChat(f"http://127.0.0.1:{port}/v1", identity="x")
        error = await fails(endpoint)
    assert error.fault is Fault.CONNECTION
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused" in str(error)
    await endpoint.aclose()


async def test_a_server_of_ipv6_is_reached_and_named_in_brackets():
    try:
        sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with sock:
        port = sock.getsockname()[1]
        asked = await _one_request(sock, f"http://[::1]:{port}/v1")
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in asked


async def test_an_address_that_nobody_listens_at_is_passed_over(reach, monkeypatch):
    endpoint, server = await reach(s.fixed(s.http(HELLO)))
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    really = loop.getaddrinfo

    async def two(host: str, port: int, **how: Any) -> list[Any]:
        if host != "model.example":  # a loop may look at numbers as well
            return await really(host, port, **how)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", two)
    endpoint = OpenAIChat(server.url("v1", host="model.example"), identity="x")
    replies = await asyncio.gather(*(endpoint.send(BODY, timeout_s=5) for _ in range(6)))
    assert {reply.text for reply in replies} == {"hello"}
    assert asked == ["model.example"]  # the answer is kept
    await endpoint.aclose()


async def _one_request(sock: socket.socket, base_url: str, **options: Any) -> bytes:
    asked: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(len(BODY))
        writer.write(s.http(HELLO))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, sock=sock):
        endpoint = OpenAIChat(base_url, identity="x", **options)
        assert await text(endpoint) == "hello"
        await endpoint.aclose()
    return asked[0]


async def test_the_head_of_a_request_is_plain_and_a_provider_s_headers_win():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        headers = {"authorization": "Basic abc", "X-Team": "blau é"}
        head = await _one_request(
            sock, f"HTTP://127.0.0.1:{port}/v1 é/".replace(" ", "%20"), key=Key(), headers=headers
        )
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v1%20%C3%A9/chat/completions HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines if line)
    assert fields.pop("User-Agent").startswith("engine/")
    assert fields == {
        "Host": f"127.0.0.1:{port}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "authorization": "Basic abc",
        "X-Team": "blau é",
        "Content-Length": str(len(BODY)),
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"x-a": "b\r\nx-c: d"},
        {"x-a": "b\n"},
        {"x-a": "b\x00"},
        {"x\r\n": "b"},
        {"x a": "b"},
        {"": "b"},
        {"Content-Length": "5"},
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_when_the_endpoint_is_made_and_its_value_not_shown(headers):
    with pytest.raises(ConfigError) as caught:
        OpenAIChat(
            "http://127.0.0.1:9/v1", identity="x", headers={name: value + s.KEY for name, value in headers.items()}
        )
    assert s.KEY not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_host_that_no_name_can_be_is_refused_when_the_endpoint_is_made(host):
    with pytest.raises(ConfigError, match="is no name of a host"):
        OpenAIChat(f"https://{host}/v1", identity="x")


def test_a_host_in_unicode_is_asked_for_by_its_name_in_ascii():
    assert request_heads.Address.of("https://Bücher.example:8443/v1").named == "xn--bcher-kva.example:8443"
    assert request_heads.Address.of("http://[::1]:80/v1").named == "[::1]"


def test_a_key_that_cannot_be_sent_is_refused_and_not_shown():
    with pytest.raises(EndpointError, match="the key in TEAM_KEY holds a character") as caught:
        OpenAIChat("http://127.0.0.1:9/v1", identity="x", key=Key(f"{s.KEY}\r\nx: y"), key_name="TEAM_KEY")
    assert s.KEY not in str(caught.value)


async def test_a_server_whose_certificate_is_trusted_is_reached_by_tls(tmp_path, monkeypatch):
    async with tls_server(tmp_path, "IP:127.0.0.1,DNS:localhost") as (port, asked, opened):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        for host in ("127.0.0.1", "localhost"):
            endpoint = OpenAIChat(f"https://{host}:{port}/v1", identity="x", key=Key())
            assert [await text(endpoint) for _ in range(3)] == ["hello"] * 3
            async with asyncio.timeout(5):
                await endpoint.aclose()
    assert (len(asked), len(opened)) == (6, 2)


@pytest.mark.parametrize("name", ["IP:127.0.0.1", "DNS:elsewhere.example"])
async def test_a_certificate_that_is_not_trusted_is_told_and_nothing_is_sent(tmp_path, monkeypatch, name):
    async with tls_server(tmp_path, name) as (port, asked, _):
        if name.startswith("DNS"):
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        endpoint = OpenAIChat(f"https://127.0.0.1:{port}/v1", identity="x", key=Key())
        error = await fails(endpoint)
        await endpoint.aclose()
    assert error.fault is Fault.CONNECTION
    assert f"cannot connect to 127.0.0.1:{port}: its certificate is not trusted: " in str(error)
    assert asked == []


async def test_a_server_that_speaks_no_tls_is_told():
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 No\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        endpoint = OpenAIChat(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", identity="x")
        error = await fails(endpoint)
        await endpoint.aclose()
    assert error.fault is Fault.CONNECTION
    assert "TLS failed: " in str(error)
