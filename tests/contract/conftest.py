"""The HTTP client meets both loops: asyncio's own, and the one of `engine run`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

try:
    from uvloop import new_event_loop as new_fast_loop
except ImportError:
    new_fast_loop = asyncio.new_event_loop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    both = item.path.name.startswith("test_http_")
    return {"asyncio": asyncio.new_event_loop} | ({"uvloop": new_fast_loop} if both else {})
