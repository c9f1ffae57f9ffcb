"""Requests in flight at one provider: a strict ceiling, handed out fairly between runs."""

from __future__ import annotations

from collections import OrderedDict, deque

import anyio


class _Waiter:
    """One call that waits for a slot."""

    __slots__ = ("event", "granted")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.granted = False


class Slots:
    """A semaphore whose limit may move below its ceiling, with a queue for each run, served in turn.

    It is ours because anyio's limiter has one queue for all, and goes through the loop also when it is free.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = ceiling
        self.in_flight = 0
        self.peak = 0
        self._lanes: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Slots({self.in_flight} of {self.limit} in flight, {self.waiting} waiting)"

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return sum(len(lane) for lane in self._lanes.values())

    async def acquire(self, lane: str) -> None:
        """Take a slot; returns at once where one is free, else in this lane's turn."""
        if self.in_flight < self.limit and not self._lanes:
            self._take()
            return
        waiter = _Waiter()
        self._lanes.setdefault(lane, deque()).append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                self.release()
            else:
                self._forget(lane, waiter)
            raise

    def release(self) -> None:
        """Give a slot back, and wake who is next."""
        self.in_flight -= 1
        self._grant()

    def resize(self, limit: int) -> None:
        """Move the limit, between 1 and the ceiling; slots in use stay in use."""
        self.limit = max(1, min(self.ceiling, limit))
        self._grant()

    def _take(self) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def _grant(self) -> None:
        while self._lanes and self.in_flight < self.limit:
            lane, waiters = next(iter(self._lanes.items()))
            waiter = waiters.popleft()
            if waiters:
                self._lanes.move_to_end(lane)
            else:
                del self._lanes[lane]
            self._take()
            waiter.granted = True
            waiter.event.set()

    def _forget(self, lane: str, waiter: _Waiter) -> None:
        waiters = self._lanes[lane]
        waiters.remove(waiter)
        if not waiters:
            del self._lanes[lane]
