"""Reaches a model behind any OpenAI-compatible address: the default way, straight on aiohttp.

One session, one pool of connections, no retry, no redirect, no cookie, no proxy from the environment, nothing
compressed; a total time limit that covers the body, and a limit on its size.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import anyio

from engine.config import Provider
from engine.endpoints import faults
from engine.endpoints.probing import LISTING_LIMIT_BYTES, PROBE_TIMEOUT_S, read_identity, read_listing, refusal
from engine.endpoints.replies import read_reply
from engine.endpoints.scrubbing import without_key
from engine.endpoints.streams import GRACE_S, StreamReader, asking_for_stream
from engine.endpoints.turns import Turns
from engine.environment import Secret
from engine.errors import AttemptError
from engine.models import normalise_base_url
from engine.records import Reply

if TYPE_CHECKING:
    from aiohttp.connector import Connection

BODY_LIMIT_BYTES = 8 * 2**20
"""The largest reply that is read."""

_KEEPALIVE_S = 15.0
_CONNECT_S = 30.0
_DNS_S = 300
_LARGE_BYTES = 2**20
_BUFFER_BYTES = 2**16
_LONG_REPLY_BYTES = 2**17
"""A reply beyond this is read in turn with other such ones: many that never end must not fill the memory."""
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
    wait for one is not counted as the endpoint's time. With `stream`, a stream is asked for. After a probe,
    `listing` holds the ids of the models that the endpoint lists.
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
    ) -> None:
        self.identity = identity
        self.listing: tuple[str, ...] = ()
        self.served_identity = ""
        self._base_url = base_url.rstrip("/")
        self._url = f"{self._base_url}/chat/completions"
        self._key = key
        self._key_name = key_name
        self._headers = dict(headers or {})
        self._max_connections = max_connections
        self._stream = stream
        self._limit_bytes = body_limit_bytes
        self._session: aiohttp.ClientSession | None = None
        self._sockets: asyncio.Semaphore | None = None
        self._turns: Turns | None = None
        self._long = asyncio.Semaphore(1)
        self._timeout = aiohttp.ClientTimeout(total=60.0, sock_connect=_CONNECT_S)

    async def send(self, body: bytes, *, timeout_s: float) -> Reply:
        """The reply to one request; `timeout_s` covers all of it, from connecting to the last byte.

        Raises:
            AttemptError: anything else than a usable reply.
        """
        session = self._session or self._open()
        if self._sockets is None:
            return await self._send(session, body, timeout_s)
        async with self._sockets:
            return await self._send(session, body, timeout_s)

    async def probe(self) -> None:
        """Check that the endpoint can be reached and takes the key, by `GET base_url/models`.

        Raises:
            EndpointError: it cannot be reached, or refuses the key.
        """
        session = self._session or self._open()
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        try:
            response = await session.get(f"{self._base_url}/models", timeout=timeout, allow_redirects=False)
            try:
                body = await _read(response, LISTING_LIMIT_BYTES, self._long)
                self.listing, self.served_identity = read_listing(body), read_identity(body)
            finally:
                response.release()
        except _FOREIGN as error:
            failed = faults.fault_of_exception(error, secret=self._secret())
            unusable = refusal(failed, base_url=self._base_url, key_name=self._key_name, has_key=self._key is not None)
            if unusable is not None:
                raise unusable from failed

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _secret(self) -> str:
        return self._key.reveal() if self._key is not None else ""

    def _open(self) -> aiohttp.ClientSession:
        limit = self._max_connections
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        self._sockets = asyncio.Semaphore(limit) if limit else None
        self._turns = Turns()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=_DNS_S),
            headers=headers | self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Response,
            auto_decompress=False,
            read_bufsize=_BUFFER_BYTES,
            trust_env=False,
        )
        return self._session

    async def _send(self, session: aiohttp.ClientSession, body: bytes, timeout_s: float) -> Reply:
        timeout = self._timeout
        if timeout.total != timeout_s:
            timeout = self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        if self._stream:
            body = asking_for_stream(body)
        data: Any = body if len(body) < _LARGE_BYTES else io.BytesIO(body)
        await self._turn()
        started = perf_counter()
        try:
            response = await session.post(self._url, data=data, timeout=timeout, allow_redirects=False)
            try:
                if self._stream and response.status < 300:
                    return without_key(await self._read_stream(response, started), self._secret())
                raw = await _read(response, self._limit_bytes, self._long)
            finally:
                response.release()
            latency_s = perf_counter() - started
            await self._turn()
            reply = read_reply(raw, status=response.status, headers=response.headers, latency_s=latency_s)
            return without_key(reply, self._secret())
        except _FOREIGN as error:
            failed = faults.fault_of_exception(error, secret=self._secret())
            if failed is error:
                raise
            raise failed from (error.__cause__ if isinstance(error, AttemptError) else error)

    async def _turn(self) -> None:
        """Leave the loop to others where many requests come or go at once."""
        if self._turns is not None and not self._turns.is_free():
            await self._turns.wait()

    async def _read_stream(self, response: aiohttp.ClientResponse, started: float) -> Reply:
        _check_head(response, self._limit_bytes)
        reader = StreamReader(status=response.status, headers=response.headers)
        content, size, kept = response.content, 0, 0
        async with AsyncExitStack() as turn:
            while not reader.done and (piece := await content.readany()):
                size, before = size + len(piece), kept
                kept += max(0, len(piece) - _EVENT_BYTES * piece.count(b"data:"))
                if before <= _LONG_REPLY_BYTES < kept:
                    await turn.enter_async_context(self._long)
                if size > self._limit_bytes:
                    del reader, piece  # an error keeps the frame it comes from
                    raise faults.too_large(self._limit_bytes, status=response.status, headers=response.headers)
                reader.feed(piece, at_s=perf_counter() - started)
        latency_s = perf_counter() - started
        if reader.done and not content.at_eof():
            # The answer is whole; what is missing is the end of the transfer, and a failure there is none of it.
            with anyio.move_on_after(GRACE_S), suppress(aiohttp.ClientError, OSError):
                await content.readany()
        return reader.reply(latency_s=latency_s)


_FOREIGN = (AttemptError, aiohttp.ClientError, OSError)


class _Response(aiohttp.ClientResponse):
    """Knows whether its connection had served before, which tells a stale connection from a failing server."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        used = vars(connection.protocol)
        try:
            response = await super().start(connection)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if "served" in used:
                raise faults.stale(error) from error
            raise
        used["served"] = True
        return response


async def _read(response: aiohttp.ClientResponse, limit_bytes: int, long: asyncio.Semaphore) -> bytes:
    if response.status >= 300:
        said = await _read_up_to(response, faults.ERROR_BODY_BYTES)
        raise faults.fault_of_status(response.status, response.headers, said)
    _check_head(response, limit_bytes)
    body = await _read_up_to(response, min(limit_bytes, _LONG_REPLY_BYTES))
    if len(body) <= _LONG_REPLY_BYTES and len(body) <= limit_bytes:
        return body
    async with long:
        pieces, size = [body], len(body)
        while size <= limit_bytes and (piece := await response.content.readany()):
            pieces.append(piece)
            size += len(piece)
        if size > limit_bytes:
            del body
            pieces.clear()  # an error keeps the frame it comes from
            raise faults.too_large(limit_bytes, status=response.status, headers=response.headers)
        return b"".join(pieces)


def _check_head(response: aiohttp.ClientResponse, limit_bytes: int) -> None:
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        detail = f"it is compressed ({headers['Content-Encoding']}), though that was not asked for"
        raise faults.malformed(detail, status=response.status, headers=headers)
    if (response.content_length or 0) > limit_bytes:
        raise faults.too_large(limit_bytes, status=response.status, headers=headers)


async def _read_up_to(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    content = response.content
    body = await content.readany()
    if not body or content.at_eof():
        return body
    pieces, size = [body], len(body)
    while size <= limit_bytes and (piece := await content.readany()):
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
    )
