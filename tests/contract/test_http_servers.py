"""What real servers and gateways do that no standard asks for, and what the engine's own HTTP client makes of it."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from contextlib import suppress

import pytest

from engine.endpoints import http1
from engine.endpoints.openai_chat import OpenAIChat
from engine.errors import AttemptError
from engine.records import Fault
from tests import servers as s
from tests.contract.http_kit import BODY, HELLO, fails, reach, text

__all__ = ["reach"]  # a fixture

LISTING = json.dumps({"data": [{"id": "m"}]}).encode()


async def test_a_probe_over_a_connection_that_the_server_closes_meanwhile_is_made_again(reach):
    async def script(connection: s.Connection) -> bool:
        if connection.served:
            return False  # the request is read and nothing is said
        await connection.write(s.http(HELLO if connection.method == "POST" else LISTING))
        return True

    endpoint, server = await reach(script)
    for _ in range(3):
        await endpoint.probe()
    assert endpoint.listing == ("m",)
    assert server.opened == 3
    assert len(server.seen) == 5  # two of them over a connection that ended


def _bare(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


PACKED = {
    "gzip": ("gzip", gzip.compress(HELLO)),
    "x-gzip": ("X-GZIP", gzip.compress(HELLO)),
    "deflate": ("deflate", zlib.compress(HELLO)),
    "deflate-without-a-head": ("deflate", _bare(HELLO)),
    "identity": ("Identity", HELLO),
    "none": ("", HELLO),
    "no-coding-at-all": ("utf-8", HELLO),
}


@pytest.mark.parametrize("name", PACKED)
async def test_a_reply_that_is_compressed_unasked_is_read_and_its_connection_serves_again(reach, name):
    coding, body = PACKED[name]
    endpoint, server = await reach(s.fixed(s.http(body, headers=f"Content-Encoding: {coding}\r\n")))
    assert [await text(endpoint) for _ in range(2)] == ["hello"] * 2
    assert server.opened == 1


EVENTS = s.chunk("hel") + s.chunk("lo", reason="stop") + b"data: [DONE]\n\n"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_stream_that_is_compressed_unasked_is_read(reach, coding):
    packed = gzip.compress(EVENTS) if coding == "gzip" else _bare(EVENTS)

    async def script(connection: s.Connection) -> bool:
        await connection.write(
            f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
        )
        for start in range(0, len(packed), 7):
            await connection.write(packed[start : start + 7])
        return True

    endpoint, _ = await reach(script, stream=True)
    assert await text(endpoint) == "hello"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("coding", "body", "says"),
    [
        ("gzip", HELLO, "no gzip, though its header says so"),
        ("br", HELLO, r"compressed \(br\), though that was not asked for"),
        ("zstd", HELLO, r"compressed \(zstd\)"),
        ("gzip, gzip", gzip.compress(gzip.compress(HELLO)), "compressed"),
    ],
)
async def test_a_compression_that_cannot_be_read_is_told(reach, stream, coding, body, says):
    endpoint, _ = await reach(s.fixed(s.http(body, headers=f"Content-Encoding: {coding}\r\n")), stream=stream)
    with pytest.raises(AttemptError, match=says) as caught:
        await endpoint.send(BODY, timeout_s=5)
    assert caught.value.fault is Fault.MALFORMED


async def test_a_compressed_reply_without_its_end_is_no_answer(reach):
    endpoint, _ = await reach(s.fixed(s.http(gzip.compress(HELLO)[:-9], headers="Content-Encoding: gzip\r\n")))
    assert "its end is missing" in str(await fails(endpoint))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_small_reply_that_grows_without_end_is_too_large(reach, stream):
    packed = gzip.compress(b" " * 50_000_000)
    endpoint, _ = await reach(s.fixed(s.http(packed, headers="Content-Encoding: gzip\r\n")), stream=stream)
    assert (await fails(endpoint)).fault is Fault.TOO_LARGE


async def test_what_an_error_says_is_read_though_it_is_compressed(reach):
    said = gzip.compress(json.dumps({"error": {"message": "you spoke too fast"}}).encode())
    head = f"HTTP/1.1 429 No\r\nContent-Encoding: gzip\r\nContent-Length: {len(said)}\r\n\r\n".encode()
    endpoint, _ = await reach(s.fixed(head + said))
    error = await fails(endpoint)
    assert (error.fault, error.status) == (Fault.RATE_LIMIT, 429)
    assert "you spoke too fast" in str(error)


async def test_a_control_character_in_a_header_reaches_no_terminal(reach):
    endpoint, _ = await reach(s.fixed(s.http(HELLO, headers="x-request-id: a\x1b[2J\r\n")))
    assert (await endpoint.send(BODY, timeout_s=5)).request_id == "a [2J"


@pytest.mark.parametrize(
    ("told", "opened"),
    [("timeout=5, max=100", 1), ("max=100", 1), ("Timeout = 60", 1), ("timeout=soon", 1), ("max=9,timeout=0", 3)],
)
async def test_a_connection_is_not_used_for_longer_than_its_server_says_it_keeps_it(reach, told, opened):
    endpoint, server = await reach(s.fixed(s.http(HELLO, headers=f"Keep-Alive: {told}\r\n")))
    assert [await text(endpoint) for _ in range(3)] == ["hello"] * 3
    assert server.opened == opened


@pytest.mark.parametrize(("seconds", "kept_s"), [(60, 59), (5, 4), (2, 1), (1, 0.5), (0, 0)])
def test_a_connection_is_given_up_before_its_server_closes_it(seconds, kept_s):
    assert http1.kept_s(f"timeout={seconds}") == kept_s


async def test_a_server_that_serves_one_connection_at_a_time_is_not_kept_busy_by_an_idle_one():
    turn, served = asyncio.Lock(), 0

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        async with turn:  # until the other side closes, as a server with a single thread does
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(len(BODY))
                    served += 1
                    writer.write(s.http(HELLO))
            writer.close()

    async with await asyncio.start_server(one_by_one, "127.0.0.1", 0) as server:
        endpoint = OpenAIChat(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", identity="x")
        replies = await asyncio.gather(*(endpoint.send(BODY, timeout_s=10) for _ in range(8)))
        assert [reply.text for reply in replies] == ["hello"] * 8
        assert served == 8
        await endpoint.aclose()
