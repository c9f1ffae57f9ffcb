"""An endpoint and its loopback server as one: started by the first request, ended by `aclose`."""

from __future__ import annotations

import asyncio

from engine.endpoints.openai_chat import OpenAIChat
from engine.endpoints.server import Loopback, Responder
from engine.records import Reply


class LoopbackEndpoint:
    """An `engine.ports.Endpoint` over a loopback server of its own, started by the first request."""

    def __init__(self, responder: Responder, *, stream: bool = False) -> None:
        self.identity = responder.identity
        self.listing: tuple[str, ...] = (responder.model,)
        self.server = Loopback(responder)
        self._stream = stream
        self._client: OpenAIChat | None = None
        self._starting = asyncio.Lock()

    async def send(self, body: bytes, *, timeout_s: float) -> Reply:
        """The reply to one request; see `engine.endpoints.openai_chat`.

        Raises:
            AttemptError: anything else than a usable reply.
        """
        return await (self._client or await self._start()).send(body, timeout_s=timeout_s)

    async def probe(self) -> None:
        """Start the server where it is not running yet.

        Raises:
            EndpointError: it cannot be started.
        """
        await (self._client or await self._start()).probe()

    async def aclose(self) -> None:
        """Close connections and end the server."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        await self.server.aclose()

    async def _start(self) -> OpenAIChat:
        async with self._starting:
            if self._client is None:
                base_url = await self.server.start()
                self._client = OpenAIChat(base_url, identity=self.identity, stream=self._stream)
            return self._client
