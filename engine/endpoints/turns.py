"""A few at a time: replies that come together are worked on over many turns of the loop, so that none is long."""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 64
"""With 32, the loop was 57 ms late at the 99th percentile where 512 replies came at once, and 92 ms without turns (busy
machine, a library's collector); smaller turns cost CPU at 64 in flight."""


class Turns:
    """Lets `at_once` through in each turn of the loop, the others in the turns that follow, first come first."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._taken = 0
        self._ends = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()

    def is_free(self) -> bool:
        """Whether this turn still has a place, which is then the caller's; where not, it waits by `wait`."""
        if self._waiting or self._taken >= self._at_once:
            return False
        self._taken += 1
        self._see_to_the_end()
        return True

    async def wait(self) -> None:
        """Wait for a place in a later turn."""
        future = self._loop.create_future()
        self._waiting.append(future)
        self._see_to_the_end()
        await future

    def _see_to_the_end(self) -> None:
        if not self._ends:
            self._ends = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._ends, self._taken = False, 0
        while self._waiting and self._taken < self._at_once:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._taken += 1
        if self._taken:
            self._see_to_the_end()
