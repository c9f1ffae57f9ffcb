"""Reaches a model through the openai SDK, for those who want its transport and headers; slower than `openai_chat`.

The SDK sends; it neither retries nor follows redirects, and what it would parse is read by the same code as in
`openai_chat`, from the same bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio

from engine.config import Provider
from engine.endpoints import faults
from engine.endpoints.codings import Decoder, decoded, decoded_beginning
from engine.endpoints.http1 import BadReplyError
from engine.endpoints.openai_chat import BODY_LIMIT_BYTES, Revealing
from engine.endpoints.probing import LISTING_LIMIT_BYTES, PROBE_TIMEOUT_S, read_listing, refusal
from engine.endpoints.replies import read_reply
from engine.endpoints.scrubbing import without_key
from engine.endpoints.streams import GRACE_S, StreamReader, asking_for_stream
from engine.environment import Secret
from engine.errors import AttemptError
from engine.models import normalise_base_url
from engine.records import Fault, Reply

if TYPE_CHECKING:
    import httpx2
    import openai

_KEEPALIVE_S = 15.0
_CONNECT_S = 30.0
_LARGE_BYTES = 2**20


class OpenAISdk:
    """An `engine.ports.Endpoint` on `openai.AsyncOpenAI` with its aiohttp transport; arguments as `OpenAIChat`.

    What the SDK would take from the environment (key, organisation, project, proxies) is not sent.
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
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._key_name = key_name
        self._headers = dict(headers or {})
        self._max_connections = max_connections
        self._stream = stream
        self._limit_bytes = body_limit_bytes
        self._client: openai.AsyncOpenAI | None = None
        self._sent_headers: dict[str, Any] = {}
        self._sockets: anyio.CapacityLimiter | None = None
        self._served = False

    async def send(self, body: bytes, *, timeout_s: float) -> Reply:
        """The reply to one request; `timeout_s` covers all of it, from connecting to the last byte.

        Raises:
            AttemptError: anything else than a usable reply.
        """
        client = self._client or self._open()
        if self._sockets is None:
            return await self._send(client, body, timeout_s)
        async with self._sockets:
            return await self._send(client, body, timeout_s)

    async def probe(self) -> None:
        """Check that the endpoint can be reached and takes the key, by `GET base_url/models`.

        Raises:
            EndpointError: it cannot be reached, or refuses the key.
        """
        import httpx2

        client = self._client or self._open()
        try:
            with anyio.fail_after(PROBE_TIMEOUT_S):
                response: Any = await client.get(
                    "/models",
                    cast_to=httpx2.Response,
                    options={"headers": self._sent_headers, "timeout": PROBE_TIMEOUT_S},
                    stream=True,
                    stream_cls=_stream_class(),
                )
                try:
                    body = await _read_up_to(response, LISTING_LIMIT_BYTES)
                    self.listing = read_listing(body, secret=self._secret())
                finally:
                    await response.aclose()
        except _foreign() as error:
            failed = faults.fault_of_exception(error, secret=self._secret())
            unusable = refusal(failed, base_url=self._base_url, key_name=self._key_name, has_key=self._key is not None)
            if unusable is not None:
                raise unusable from failed

    async def aclose(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _secret(self) -> str:
        return self._key.reveal() if self._key is not None else ""

    def _open(self) -> openai.AsyncOpenAI:
        import httpx2
        import openai

        transport = openai.DefaultAioHttpClient(
            limits=httpx2.Limits(max_connections=self._max_connections, keepalive_expiry=_KEEPALIVE_S),
            follow_redirects=False,
            trust_env=False,
            event_hooks={"response": [self._check]},
        )
        self._sent_headers = {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "OpenAI-Organization": openai.Omit(),
            "OpenAI-Project": openai.Omit(),
            **self._headers,
        }
        if self._key is None:
            self._sent_headers["Authorization"] = openai.Omit()
        self._sockets = anyio.CapacityLimiter(self._max_connections) if self._max_connections else None
        self._client = openai.AsyncOpenAI(
            # Empty is refused; where there is no key the header is left out above.
            api_key=self._secret() or "none",
            base_url=self._base_url,
            max_retries=0,
            http_client=transport,
        )
        return self._client

    async def _send(self, client: openai.AsyncOpenAI, body: bytes, timeout_s: float) -> Reply:
        import httpx2

        if self._stream:
            body = asking_for_stream(body)
        content, headers = _content(body)
        started = perf_counter()
        try:
            with anyio.fail_after(timeout_s):
                response: Any = await client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    content=content,
                    options={
                        "headers": {**self._sent_headers, **headers},
                        "timeout": httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S), pool=None),
                        "follow_redirects": False,
                    },
                    stream=True,
                    stream_cls=_stream_class(),
                )
                try:
                    reply = await self._read(response, started)
                finally:
                    await response.aclose()
        except _foreign() as error:
            failed = self._fault(error)
            if failed is error:
                raise
            raise failed from (error.__cause__ if isinstance(error, AttemptError) else error)
        self._served = True
        return without_key(reply, self._secret())

    async def _read(self, response: httpx2.Response, started: float) -> Reply:
        status, headers = response.status_code, response.headers
        if not self._stream:
            body = await _read_up_to(response, self._limit_bytes)
            if len(body) <= self._limit_bytes and "content-encoding" in headers:
                body = decoded(body, headers["content-encoding"], limit_bytes=self._limit_bytes)
            if len(body) > self._limit_bytes:
                raise faults.too_large(self._limit_bytes, status=status, headers=headers)
            return read_reply(body, status=status, headers=headers, latency_s=perf_counter() - started)
        reader, size = StreamReader(status=status, headers=headers), 0
        decoder = Decoder(headers.get("content-encoding", ""), limit_bytes=self._limit_bytes)
        pieces = response.aiter_raw()
        async for raw in pieces:
            piece = decoder.feed(raw)
            if (size := size + len(piece)) > self._limit_bytes:
                raise faults.too_large(self._limit_bytes, status=status, headers=headers)
            reader.feed(piece, at_s=perf_counter() - started)
            if reader.done:
                break
        latency_s = perf_counter() - started
        if reader.done:
            # The answer is whole; what is missing is the end of the transfer, and a failure there is none of it.
            with anyio.move_on_after(GRACE_S), suppress(*_transport_errors()):
                await anext(pieces, b"")
        return reader.reply(latency_s=latency_s)

    async def _check(self, response: httpx2.Response) -> None:
        # Before the SDK reads anything: it would keep an error body of any size, and decompress.
        status, headers = response.status_code, response.headers
        if status >= 300:
            said = await _read_up_to(response, faults.ERROR_BODY_BYTES)
            if "content-encoding" in headers:
                said = decoded_beginning(said, headers["content-encoding"], limit_bytes=faults.ERROR_BODY_BYTES)
            raise faults.fault_of_status(status, headers, said, secret=self._secret())
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limit_bytes:
            raise faults.too_large(self._limit_bytes, status=status, headers=headers)

    def _fault(self, error: BaseException) -> AttemptError:
        failed = faults.fault_of_exception(error, secret=self._secret())
        # The SDK does not say whether a connection had served before; that one had is likely once any has.
        if failed.fault is Fault.CONNECTION and self._served and faults.is_disconnect(error):
            return faults.stale(error)
        return failed


def _content(body: bytes) -> tuple[bytes | AsyncIterator[bytes], Mapping[str, str]]:
    # aiohttp warns of large bytes, which it writes at one go.
    if len(body) < _LARGE_BYTES:
        return body, {}

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), _LARGE_BYTES):
            yield body[start : start + _LARGE_BYTES]

    return pieces(), {"Content-Length": str(len(body))}


def _stream_class() -> Any:
    import openai

    return openai.AsyncStream[Any]


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the transport raises while a body is read."""
    import httpx2

    return (httpx2.HTTPError, httpx2.StreamError, OSError)


def _foreign() -> tuple[type[Exception], ...]:
    import aiohttp
    import openai

    return (AttemptError, BadReplyError, openai.OpenAIError, aiohttp.ClientError, *_transport_errors())


async def _read_up_to(response: httpx2.Response, limit_bytes: int) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > limit_bytes:
            break
    return b"".join(pieces)


def make(provider: Provider, *, key: Secret | None, folder: Path, max_concurrent: int) -> OpenAISdk:
    """The endpoint that a provider of bench.toml with `client = "sdk"` describes."""
    del folder
    return OpenAISdk(
        provider.base_url,
        identity=normalise_base_url(provider.base_url),
        key=key,
        key_name=provider.api_key_env,
        headers=provider.headers,
        max_connections=max_concurrent,
        stream=provider.stream,
    )
