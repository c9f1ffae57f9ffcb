"""Reaches a model behind any OpenAI-compatible address: the default way, by an HTTP/1.1 client of the engine's own.

One pool of connections, no retry, no redirect, no cookie, nothing compressed that a server does not compress unasked;
a total time limit that covers the body, and a limit on its size.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from math import inf
from pathlib import Path
from time import perf_counter
from traceback import clear_frames
from typing import Protocol

import anyio

from engine.config import Provider
from engine.endpoints import faults
from engine.endpoints.codings import Decoder, decoded, decoded_beginning
from engine.endpoints.http1 import ENOUGH_BYTES, BadReplyError, Connection, StaleError
from engine.endpoints.pool import Pool
from engine.endpoints.probing import LISTING_LIMIT_BYTES, PROBE_TIMEOUT_S, read_identity, read_listing, refusal
from engine.endpoints.proxies import proxy_for
from engine.endpoints.replies import read_reply
from engine.endpoints.request_heads import Address, encode_head, fields_of
from engine.endpoints.scrubbing import without_key
from engine.endpoints.streams import GRACE_S, StreamReader, asking_for_stream
from engine.endpoints.turns import Turns
from engine.environment import Secret
from engine.errors import AttemptError
from engine.models import normalise_base_url
from engine.records import Reply

BODY_LIMIT_BYTES = 8 * 2**20
"""The largest reply that is read."""

_EVENT_BYTES = 512
"""Of an event in a stream, about what is read and not kept."""


class Revealing(Protocol):
    """A key that is not shown unless asked for."""

    def reveal(self) -> str:
        """The key itself."""
        ...


class OpenAIChat:
    """An `engine.ports.Endpoint` that posts to `base_url/chat/completions`.

    `identity` is what request keys hold; `key` is sent as a bearer token, `key_name` is the variable it came from,
    for messages; `headers` are sent with every request. `max_connections` bounds open sockets (0: no bound); the
    wait for one is not counted as the endpoint's time. With `stream`, a stream is asked for. `variables` are those of
    an environment that may name a proxy. After a probe, `listing` holds the ids of the models that the endpoint lists.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings of one connection pool
        self,
        base_url: str,
        *,
        identity: str,
        key: Revealing | None = None,
        key_name: str = "",
        headers: Mapping[str, str] | None = None,
        max_connections: int = 0,
        stream: bool = False,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Check all that is sent with every request.

        Raises:
            ConfigError: `base_url` is no address, a header cannot be sent, or there is no speaking to the proxy.
            EndpointError: the key cannot be sent.
        """
        self.identity = identity
        self.listing: tuple[str, ...] = ()
        self.served_identity = ""
        self._base_url = base_url.rstrip("/")
        self._address = address = Address.of(base_url)
        self._key = key
        self._key_name = key_name
        self._proxy = proxy = proxy_for(address, variables or {})
        fields = fields_of(headers or {}, key=self._secret(), key_name=key_name)
        root = address.path
        if proxy is not None and not address.secure:  # asked for at the proxy, which goes there
            root = f"http://{address.named}{root}"
            fields |= {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        self._post = encode_head("POST", f"{root}/chat/completions", address, fields)
        self._get = encode_head("GET", f"{root}/models", address, fields)
        self._max_connections = max_connections
        self._stream = stream
        self._limit_bytes = body_limit_bytes
        self._pool: Pool | None = None
        self._sockets: asyncio.Semaphore | None = None
        self._turns: Turns | None = None
        self._long = asyncio.Semaphore(1)

    async def send(self, body: bytes, *, timeout_s: float) -> Reply:
        """The reply to one request; `timeout_s` covers all of it, from connecting to the last byte.

        Raises:
            AttemptError: anything else than a usable reply.
        """
        pool = self._pool or self._open()
        if self._sockets is None:
            return await self._send(pool, body, timeout_s)
        sockets = self._sockets
        await sockets.acquire()  # half the cost of `async with`
        try:
            return await self._send(pool, body, timeout_s)
        finally:
            sockets.release()

    async def probe(self) -> None:
        """Check that the endpoint can be reached and takes the key, by `GET base_url/models`.

        Raises:
            EndpointError: it cannot be reached, or refuses the key.
        """
        pool = self._pool or self._open()
        try:
            try:
                body = await self._list(pool, pool.take(timeout_s=PROBE_TIMEOUT_S))
            except StaleError:  # the server may close idle connections sooner than two probes follow each other
                body = await self._list(pool, None)
            self.listing, self.served_identity = read_listing(body, secret=self._secret()), read_identity(body)
        except _FOREIGN as error:
            clear_frames(error.__traceback__)  # or what was read so far lives as long as the error: until the retry
            failed = faults.fault_of_exception(error, secret=self._secret())
            unusable = refusal(failed, base_url=self._base_url, key_name=self._key_name, has_key=self._key is not None)
            if unusable is not None:
                raise unusable from failed

    async def aclose(self) -> None:
        """Close all connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def _list(self, pool: Pool, connection: Connection | None) -> bytes:
        connection = connection or await pool.connect(timeout_s=PROBE_TIMEOUT_S)
        try:
            await connection.ask(self._get, None, whole=True)
            return await _read(connection, LISTING_LIMIT_BYTES, self._long)
        finally:
            pool.give_back(connection)

    def _secret(self) -> str:
        return self._key.reveal() if self._key is not None else ""

    def _open(self) -> Pool:
        limit = self._max_connections
        self._sockets = asyncio.Semaphore(limit) if limit else None
        self._turns = Turns()
        self._pool = Pool(self._address, proxy=self._proxy)
        return self._pool

    async def _send(self, pool: Pool, body: bytes, timeout_s: float) -> Reply:
        if self._stream:
            body = asking_for_stream(body)
        await self._turn()
        started = perf_counter()
        try:
            connection = pool.take(timeout_s=timeout_s) or await pool.connect(timeout_s=timeout_s)
            try:
                await connection.ask(self._post, body, whole=not self._stream)
                status, headers = connection.status, connection.headers
                if self._stream and status < 300:
                    return without_key(await self._read_stream(connection, started), self._secret())
                raw = await _read(connection, self._limit_bytes, self._long)
            finally:
                pool.give_back(connection)
            latency_s = perf_counter() - started
            await self._turn()
            reply = read_reply(raw, status=status, headers=headers, latency_s=latency_s)
            return without_key(reply, self._secret())
        except _FOREIGN as error:
            clear_frames(error.__traceback__)  # or what was read so far lives as long as the error: until the retry
            failed = faults.fault_of_exception(error, secret=self._secret())
            if failed is error:
                raise
            raise failed from (error.__cause__ if isinstance(error, AttemptError) else error)

    async def _turn(self) -> None:
        """Leave the loop to others where many requests come or go at once."""
        if self._turns is not None and not self._turns.is_free():
            await self._turns.wait()

    async def _read_stream(self, connection: Connection, started: float) -> Reply:
        _check_length(connection, self._limit_bytes)
        status, headers = connection.status, connection.headers
        decoder = Decoder(headers.get("content-encoding", ""), limit_bytes=self._limit_bytes)
        reader = StreamReader(status=status, headers=headers)
        size, kept = 0, 0
        async with AsyncExitStack() as turn:
            while not reader.done and (piece := await connection.read()):
                piece = decoder.feed(piece)
                size, before = size + len(piece), kept
                ended = piece.count(b"\n\n") + piece.count(b"\r\n\r\n")
                kept += max(0, len(piece) - _EVENT_BYTES * ended)
                if before <= ENOUGH_BYTES < kept:
                    await _in_turn(turn, self._long, connection)
                if size > self._limit_bytes:
                    raise faults.too_large(self._limit_bytes, status=status, headers=headers)
                reader.feed(piece, at_s=perf_counter() - started)
        latency_s = perf_counter() - started
        if reader.done and not connection.at_end:
            # The answer is whole; what is missing is the end of the transfer, and a failure there is none of it.
            with anyio.move_on_after(GRACE_S), suppress(BadReplyError, OSError):
                await connection.read()
        return reader.reply(latency_s=latency_s)


_FOREIGN = (AttemptError, OSError, BadReplyError)


async def _read(connection: Connection, limit_bytes: int, long: asyncio.Semaphore) -> bytes:
    status, headers = connection.status, connection.headers
    if status >= 300:
        said = await _read_up_to(connection, faults.ERROR_BODY_BYTES)
        if (coding := headers.get("content-encoding")) is not None:
            said = decoded_beginning(said, coding, limit_bytes=faults.ERROR_BODY_BYTES)
        raise faults.fault_of_status(status, headers, said)
    _check_length(connection, limit_bytes)
    body = await _read_up_to(connection, min(limit_bytes, ENOUGH_BYTES))
    if len(body) > ENOUGH_BYTES or len(body) > limit_bytes:
        body = await _read_on(connection, body, limit_bytes, long)
    if (coding := headers.get("content-encoding")) is not None:
        body = decoded(body, coding, limit_bytes=limit_bytes)
        if len(body) > limit_bytes:
            raise faults.too_large(limit_bytes, status=status, headers=headers)
    return body


async def _read_on(connection: Connection, body: bytes, limit_bytes: int, long: asyncio.Semaphore) -> bytes:
    """All of a body that begins with `body`; one reply of such a length is read at a time."""
    async with AsyncExitStack() as turn:
        if not connection.is_over:  # what is there already takes no more room
            await _in_turn(turn, long, connection)
        pieces, size = [body], len(body)
        while size <= limit_bytes and (piece := await connection.read()):
            pieces.append(piece)
            size += len(piece)
        if size > limit_bytes:
            raise faults.too_large(limit_bytes, status=connection.status, headers=connection.headers)
        return b"".join(pieces)


async def _in_turn(turn: AsyncExitStack, long: asyncio.Semaphore, connection: Connection) -> None:
    """Wait until no other long reply is read; the wait is part of the exchange's time, as long as any is running."""
    async with asyncio.timeout_at(connection.deadline if connection.deadline < inf else None):
        await turn.enter_async_context(long)


def _check_length(connection: Connection, limit_bytes: int) -> None:
    headers = connection.headers
    length = headers.get("content-length")
    if length is not None and int(length) > limit_bytes:
        raise faults.too_large(limit_bytes, status=connection.status, headers=headers)


async def _read_up_to(connection: Connection, limit_bytes: int) -> bytes:
    body = await connection.read()
    if connection.at_end:
        return body
    pieces, size = [body], len(body)
    while size <= limit_bytes and (piece := await connection.read()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def make(provider: Provider, *, key: Secret | None, folder: Path, max_concurrent: int) -> OpenAIChat:
    """The endpoint that a provider of bench.toml describes."""
    del folder
    return OpenAIChat(
        provider.base_url,
        identity=normalise_base_url(provider.base_url),
        key=key,
        key_name=provider.api_key_env,
        headers=provider.headers,
        max_connections=max_concurrent,
        stream=provider.stream,
        variables=os.environ,
    )
