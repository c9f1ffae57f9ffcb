"""The engine's own HTTP client, through the endpoint that calls go by, against servers that write raw bytes."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.endpoints import http1, pool
from engine.endpoints.openai_chat import OpenAIChat
from engine.errors import AttemptError
from engine.records import Fault
from tests import servers as s
from tests.contract.http_kit import BODY, HELLO, fails, reach, text

__all__ = ["reach"]  # a fixture

OTHER = s.http(json.dumps(s.completion("an answer to nobody")).encode())


async def _all_closed(server: s.FaultServer) -> None:
    async with asyncio.timeout(5):
        while server.open_now:
            await asyncio.sleep(0)


def _chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


WHOLE: dict[str, bytes] = {
    "length": s.http(HELLO),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunked(HELLO[:9], HELLO[9:]),
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    + _chunked(HELLO, trailers=b"x-sum: 1\r\ny: 2\r\n"),
    "extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0\r\n\r\n"
    % (len(HELLO), HELLO),
    "spaces-after-size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x  \r\n%s\r\n0\r\n\r\n"
    % (len(HELLO), HELLO),
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + s.http(HELLO),
    "line-feeds": s.http(HELLO).replace(b"\r\n", b"\n"),
    "no-reason": s.http(HELLO, status="200"),
    "offers-to-upgrade": s.http(HELLO, headers="Upgrade: h2\r\nConnection: Upgrade, keep-alive\r\n"),
    "empty-header": s.http(HELLO, headers="x-nothing:\r\nx-more: \r\n"),
    "control-in-header": s.http(HELLO, headers="x-a: \x01\r\n"),
    "folded-header": s.http(HELLO, headers="x-a: 1;\r\n\tb\r\n  c\r\nx-b: 2\r\n"),
    "interim-as-heartbeat": b"HTTP/1.1 102 Processing\r\n\r\n" * 50 + s.http(HELLO),
    "interim-of-the-same-name": b"HTTP/1.1 103 No\r\nContent-Encoding: gzip\r\n\r\n" + s.http(HELLO),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_reply_is_read_however_it_is_written_and_its_connection_serves_again(reach, name):
    endpoint, server = await reach(s.fixed(WHOLE[name]))
    assert [await text(endpoint) for _ in range(3)] == ["hello"] * 3
    assert server.opened == 1


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + HELLO,
        b"HTTP/1.0 200 OK\r\n\r\n" + HELLO,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + HELLO,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n" + HELLO,
    ],
)
async def test_a_body_without_a_length_ends_with_its_connection(reach, data):
    endpoint, server = await reach(s.fixed(data, keep=False))
    assert [await text(endpoint) for _ in range(2)] == ["hello"] * 2
    assert server.opened == 2


@pytest.mark.parametrize(
    "data",
    [s.http(HELLO, headers="Connection: close\r\n"), s.http(HELLO).replace(b"HTTP/1.1", b"HTTP/1.0")],
    ids=["close", "1.0"],
)
async def test_a_connection_that_the_server_will_close_is_not_used_again(reach, data):
    endpoint, server = await reach(s.fixed(data))
    assert [await text(endpoint) for _ in range(2)] == ["hello"] * 2
    assert server.opened == 2


async def test_the_time_to_connect_and_every_byte_counts_towards_one_limit(reach):
    endpoint, _ = await reach(s.drip)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await fails(endpoint, timeout_s=0.3)).fault is Fault.TIMEOUT
    assert 0.28 < loop.time() - began < 1


async def test_each_request_has_a_limit_of_its_own(reach):
    endpoint, _ = await reach(s.hang)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ended_after(timeout_s: float) -> float:
        assert (await fails(endpoint, timeout_s=timeout_s)).fault is Fault.TIMEOUT
        return loop.time() - began

    limits = (0.6, 0.2, 0.4)
    for limit, ended in zip(limits, await asyncio.gather(*map(ended_after, limits)), strict=True):
        assert limit - 0.02 < ended < limit + 0.19


@pytest.mark.parametrize("extra", [OTHER, b"H", b"garbage", OTHER[:30]])
async def test_what_follows_a_reply_is_never_the_reply_to_the_next_request(reach, extra):
    async def script(connection: s.Connection) -> bool:
        await connection.write(s.http(HELLO) + extra)
        return True

    endpoint, server = await reach(script)
    assert [await text(endpoint) for _ in range(5)] == ["hello"] * 5
    assert server.opened == 5


async def test_what_comes_while_nobody_asks_is_never_a_reply(reach):
    async def script(connection: s.Connection) -> bool:
        await connection.write(s.http(HELLO))
        go_on.clear()
        await go_on.wait()
        await connection.write(OTHER)
        sent.set()
        return True

    go_on, sent = asyncio.Event(), asyncio.Event()
    endpoint, server = await reach(script)
    for number in range(3):
        assert await text(endpoint) == "hello"
        go_on.set()
        await sent.wait()
        sent.clear()
        await _all_closed(server)
        assert server.opened == number + 1


async def test_a_reply_that_comes_before_its_request_is_sent_is_used_and_its_connection_is_not(reach):
    opened = 0

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await reader.readuntil(b"\r\n\r\n")  # and no byte of the body, which is larger than all buffers
        writer.write(s.http(json.dumps({"error": {"message": "no"}}).encode(), status="413 Large"))
        await writer.drain()
        await over.wait()
        writer.close()

    over = asyncio.Event()
    async with await asyncio.start_server(early, "127.0.0.1", 0, limit=2**12) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = OpenAIChat(f"http://127.0.0.1:{port}/v1", identity="x")
        for _ in range(2):
            with pytest.raises(AttemptError) as caught:
                await endpoint.send(b" " * 50_000_000, timeout_s=5)
            assert (caught.value.fault, caught.value.status) == (Fault.TOO_LARGE, 413)
        assert opened == 2
        over.set()
        await endpoint.aclose()


BAD: dict[str, bytes] = {
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "length-and-chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks-and-length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "endless-length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "compressed-transfer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "other-protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello",
    "many-headers": s.http(HELLO, headers="".join(f"x-{number}: 1\r\n" for number in range(300))),
    "many-headers-of-a-name": s.http(HELLO, headers="x-a: 1\r\n" * 300),
    "large-head": s.http(HELLO, headers="".join(f"x-{number}: {'x' * 1000}\r\n" for number in range(100))),
    "other-words": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_clean_reply_is_malformed_and_its_connection_is_not_used_again(reach, name):
    endpoint, server = await reach(s.fixed(BAD[name]))
    for _ in range(2):
        error = await fails(endpoint)
        assert error.fault is Fault.MALFORMED, str(error)
    assert server.opened == 2
    await _all_closed(server)


async def _flood(connection: s.Connection, head: bytes, piece: bytes) -> None:
    await connection.write(head)
    while True:
        await connection.write(piece)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-a: 1\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nx-a: ", b"x" * 10_000),
        (b"HTTP/1.1 200 ", b"x" * 10_000),
        (b"", b"\r\n" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x-a: 1\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-a: ", b"x" * 10_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 10_000),
    ],
    ids=["headers", "value", "reason", "empty-lines", "interim", "trailers", "trailer", "extension"],
)
async def test_a_head_or_trailers_without_end_are_refused_long_before_the_time_is_over(reach, head, piece):
    endpoint, server = await reach(lambda connection: _flood(connection, head, piece))
    assert (await fails(endpoint, timeout_s=60)).fault is Fault.MALFORMED
    await _all_closed(server)


async def test_of_headers_that_come_twice_the_first_stands(reach):
    twice = "Retry-After: 7\r\nRETRY-AFTER: 9\r\nx-request-id: a\r\nX-Request-Id: b\r\n"
    endpoint, _ = await reach(s.failing("429 No", {}, twice))
    error = await fails(endpoint)
    assert (error.retry_after_s, error.request_id) == (7.0, "a")


async def test_a_second_coding_of_the_body_is_not_overlooked(reach):
    endpoint, _ = await reach(s.fixed(s.http(HELLO, headers="Content-Encoding: identity\r\nContent-Encoding: br\r\n")))
    error = await fails(endpoint)
    assert error.fault is Fault.MALFORMED
    assert "compressed" in str(error)


async def test_a_header_that_is_no_ascii_can_be_read_and_stored(reach):
    data = s.http(HELLO, headers="x-request-id: é\r\n") + b""
    endpoint, _ = await reach(s.fixed(data))
    assert (await endpoint.send(BODY, timeout_s=5)).request_id == "é"
    endpoint, _ = await reach(s.fixed(data.replace("é".encode(), b"\xff\xfe")))
    (await endpoint.send(BODY, timeout_s=5)).request_id.encode()


async def test_a_long_reply_is_read_whole_and_its_connection_serves_again(reach):
    long = "x" * 3_000_000
    endpoint, server = await reach(s.said(s.completion(long)))
    replies = await asyncio.gather(*(endpoint.send(BODY, timeout_s=20) for _ in range(8)))
    assert {reply.text for reply in replies} == {long}
    opened = server.opened
    assert await text(endpoint) == long
    assert server.opened == opened


async def test_ten_thousand_requests_go_over_a_few_connections(reach):
    endpoint, server = await reach(s.fixed(s.http(HELLO)))

    async def ask(times: int) -> None:
        for _ in range(times):
            assert await text(endpoint) == "hello"

    await asyncio.gather(*(ask(1250) for _ in range(8)))
    assert (server.opened, len(server.seen)) == (8, 10_000)


async def test_a_connection_that_was_idle_for_long_is_closed(reach, monkeypatch):
    monkeypatch.setattr(pool, "KEEPALIVE_S", 0.05)
    endpoint, server = await reach(s.fixed(s.http(HELLO)))
    assert await text(endpoint) == "hello"
    await _all_closed(server)
    assert await text(endpoint) == "hello"
    assert server.opened == 2


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], ids=["head", "body"])
async def test_a_request_that_is_cancelled_closes_its_connection(begins):
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begins)
        asked.release()
        await reader.read()
        writer.close()
        closed.release()

    asked, closed = asyncio.Semaphore(0), asyncio.Semaphore(0)
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server, asyncio.timeout(5):
        endpoint = OpenAIChat(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", identity="x")
        tasks = [asyncio.create_task(endpoint.send(BODY, timeout_s=60)) for _ in range(4)]
        for _ in tasks:
            await asked.acquire()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        for _ in tasks:
            await closed.acquire()
        await endpoint.aclose()


async def test_a_closed_endpoint_leaves_no_connection_open(reach):
    endpoint, server = await reach(s.fixed(s.http(HELLO)))
    await asyncio.gather(*(endpoint.send(BODY, timeout_s=5) for _ in range(5)))
    await endpoint.aclose()
    await _all_closed(server)


class Wire:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> None:
        """There is no socket."""

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """What is in the pieces comes anyway."""

    resume_reading = pause_reading

    def abort(self) -> None:
        self.closed = True

    close = abort


@settings(max_examples=150)
@given(data=st.data())
def test_a_reply_is_the_same_however_it_is_cut_into_segments(data):
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    whole = WHOLE[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=12)))
    reads_whole = data.draw(st.booleans())

    async def read(segments: list[bytes]) -> tuple[int, dict[str, str], bytes, bool]:
        connection = http1.Connection(lambda _: None)
        connection.connection_made(Wire())  # type: ignore[arg-type]
        asked = connection.ask(b"POST / HTTP/1.1\r\n", BODY, whole=reads_whole)
        for segment in segments:
            connection.data_received(segment)
        await asked
        body = b""
        while piece := await connection.read():
            body += piece
        return connection.status, connection.headers, body, connection.free(0.0)

    segments = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    status, headers, body, clean = asyncio.run(read(segments))
    assert (status, headers, body, clean) == asyncio.run(read([whole]))
    assert (status, body, clean) == (200, HELLO, True)


async def test_who_waits_for_a_reply_hears_that_the_endpoint_is_closed(reach):
    endpoint, server = await reach(s.hang)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(fails(endpoint, timeout_s=60))
        while not server.seen:
            await asyncio.sleep(0)
        await endpoint.aclose()
    assert waiting.result().fault is Fault.CONNECTION


@pytest.mark.parametrize("status", ["000", "099", "199"])
async def test_what_stands_in_an_interim_reply_is_no_part_of_the_final_one(reach, status):
    interim = b"HTTP/1.1 %s Odd\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(HELLO), HELLO)
    endpoint, _ = await reach(s.fixed(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    assert (await fails(endpoint)).fault is Fault.MALFORMED


async def test_a_long_reply_that_is_there_does_not_wait_for_one_that_stalls(reach):
    long = json.dumps(s.completion("x" * 200_000)).encode()

    async def answer(connection: s.Connection) -> bool:
        if connection.headers["content-length"] == str(len(BODY)):
            await connection.write(s.http(long))
            return True
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b" " * 300_000)
        return await s.hang(connection)

    endpoint, server = await reach(answer)
    async with asyncio.TaskGroup() as group:
        stalled = group.create_task(endpoint.send(BODY + b" ", timeout_s=60))
        while not server.seen:
            await asyncio.sleep(0)
        for _ in range(3):
            assert len((await endpoint.send(BODY, timeout_s=5)).text) == 200_000
        stalled.cancel()
