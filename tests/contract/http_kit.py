"""What tests of the HTTP client have in common: an endpoint before a server that writes raw bytes."""

from __future__ import annotations

import json
from typing import Any

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
