"""The gate before one provider: how many requests may be in flight, how fast they may leave, and whose turn it is.

`max_concurrent` is a strict ceiling and where the limit starts. Refusals (429, 503) cut the limit, once in a
cool-down, and set a pace: no faster than the provider has been seen to accept. Both grow back slowly, and only
while there is somebody waiting to use more. Long answers and other faults change nothing, and neither do refusals
that do not follow the rate: single ones among many that are accepted, unless about as many get through each time, or
those that come as often however slow we are. The pause that a refusal asks for holds for all, whatever its reason.

Source: AIMD with a saturation test as in Inspect's adaptive concurrency; the pace grows like CUBIC (RFC 9438).
Differs: starts at the ceiling, paces requests as well as bounding them, and has a queue for each run.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from engine.calls.rates import Bucket, Pace, pause_asked

CUT = 0.8
COOL_DOWN_S = 5.0
UNASKED_PAUSE_S = 0.5
"""After a refusal that says nothing of when to come back."""
SETTLE_S = 0.5
"""After a pause, how long refusals still belong to what was before it."""
SATURATED = 0.8
"""Of the limit, what must be in use for the limit to grow."""
COMPANY = 12
"""So many answers are looked at to tell a rate limit, which refuses all that comes after, from a chance refusal."""
REFUSED_IN_COMPANY = 8
ALIKE = 0.25
"""How far the numbers of answers before two refusals may differ: a limit lets about the same through each time."""


@dataclass(frozen=True, slots=True)
class Change:
    """The gate has moved: the limit now, the pace in requests a second (None: none), and why."""

    provider: str
    limit: int
    pace: float | None
    why: str


class _Waiter:
    """One request that waits at the gate; `tokens` is what it may need."""

    __slots__ = ("future", "tokens")

    def __init__(self, future: asyncio.Future[None], tokens: int) -> None:
        self.future = future
        self.tokens = tokens


class Gate:
    """Lets requests through one by one, in turn between runs; see the module.

    It is ours because anyio's limiter has one queue for all, knows nothing of time, and goes through the loop
    also when it is free.
    """

    def __init__(
        self,
        ceiling: int,
        *,
        name: str = "",
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        longest_pause_s: float = inf,
        changed: Callable[[Change], None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.ceiling = ceiling
        self.limit = ceiling
        self.name = name
        self.in_flight = 0
        self.peak = 0
        self.paused_until = 0.0
        self.pace = Pace()
        self._requests = Bucket.per_minute(requests_per_minute)
        self._tokens = Bucket.per_minute(tokens_per_minute)
        self._timed = self._requests is not None or self._tokens is not None
        self._longest_pause_s = longest_pause_s  # nobody waits longer; such a call is not repeated now
        self._changed = changed
        self.now = clock or asyncio.get_running_loop().time
        self._cut_at = float("-inf")
        self._slowed_at = float("-inf")
        self._credit = 0
        self._refusals: deque[bool] = deque(maxlen=COMPANY)
        self._few_say_little = False
        self._episode, self._episode_at = 0, float("-inf")
        self._lanes: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"Gate({self.in_flight} of {self.limit} in flight, {self.waiting} waiting)"

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(len(lane) for lane in self._lanes.values())

    async def enter(self, lane: str, tokens: int = 0) -> None:
        """Wait for this lane's turn, a slot, the pace and the budgets; at once where nothing is in the way."""
        if self.in_flight < self.limit and not self._lanes and not self._timed:
            self._take(tokens)
            return
        if not self._lanes and self._due(tokens) <= 0 and self.in_flight < self.limit:
            self._take(tokens)
            return
        waiter = _Waiter(asyncio.get_running_loop().create_future(), tokens)
        self._lanes.setdefault(lane, deque()).append(waiter)
        self._let_in()
        try:
            await waiter.future
        except asyncio.CancelledError:
            future = waiter.future
            if future.done() and not future.cancelled() and future.exception() is None:
                self.leave()
            else:
                self._forget(lane, waiter)
            raise

    def turn_away(self, error: Exception) -> None:
        """Let nobody in any more of those that wait: each gets the error."""
        lanes, self._lanes = self._lanes, OrderedDict()
        for waiters in lanes.values():
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(error)

    def leave(self) -> None:
        """A request has ended, however it ended; who is next may go."""
        self.in_flight -= 1
        if self._lanes:
            self._let_in()

    def accepted(self, headers: Mapping[str, str], *, reserved: int = 0, used: int = 0) -> None:
        """A request was answered; `reserved` tokens were set aside for it, `used` were needed."""
        self.pace.accepted(self.now())
        self._refusals.append(False)
        if self._tokens is not None:
            self._tokens.correct(reserved - used)
        if self.limit < self.ceiling and self.in_flight >= SATURATED * self.limit and self._lanes:
            self._credit += 1
            if self._credit >= self.limit:
                self._credit = 0
                self._move(self.limit + 1, "requests wait and are accepted")
        asked_s = pause_asked(headers)
        if asked_s is not None:
            self._pause(asked_s, "its rate limit headers say that nothing is left")

    def refused(self, retry_after_s: float | None, *, sent_at: float, why: str) -> None:
        """A request that left at `sent_at` was refused for its rate: slow down, and pause all where that was asked.

        What left before the last slowing down says nothing new.
        """
        now = self.now()
        self._refusals.append(True)
        alone = sent_at > self._slowed_at and self.pace.rate is None and not self._is_rate_limit(sent_at)
        if retry_after_s is not None:
            self._pause(retry_after_s, why)
        if sent_at <= self._slowed_at:
            self.pace.also_refused()
            return
        if alone:
            if self.paused_until - now >= SETTLE_S:
                self.pace.paused(self.paused_until)
            return
        if retry_after_s is None:
            self._pause(UNASKED_PAUSE_S, why)
        self._slowed_at = max(now, self.paused_until) + SETTLE_S
        self._credit = 0
        self._timed = True
        self.pace.refused(now, pause_s=max(0.0, self.paused_until - now), others=self.in_flight - 1)
        if self.pace.in_vain:
            self._let_go()
        elif now - self._cut_at >= COOL_DOWN_S:
            self._cut_at = now
            self._move(max(1, int(min(self.limit, self.in_flight + 1) * CUT)), why)

    def one_by_one(self, wait_s: float, why: str) -> None:
        """The provider answers nothing: let one request at a time ask whether it is back, after a wait."""
        self._credit = 0
        if self.limit > 1:
            self._move(1, why)
        self._pause(wait_s, why)

    def let_all(self, why: str) -> None:
        """End every pause, and let in as many as the ceiling allows."""
        self.paused_until = self.now()
        self._move(self.ceiling, why)

    def _is_rate_limit(self, sent_at: float) -> bool:
        if not self.pace.is_told:
            return False
        if sent_at > self._episode_at:
            before, self._episode = self._episode, self.pace.lately
            self._episode_at = max(self.now(), self.paused_until)
            if min(before, self._episode) >= COMPANY and abs(before - self._episode) <= ALIKE * self._episode:
                return True
        if self.in_flight < COMPANY and not self._few_say_little:
            return True
        return sum(self._refusals) >= REFUSED_IN_COMPANY

    def _let_go(self) -> None:
        self.pace = Pace()
        self._few_say_little = True
        self._refusals.clear()
        self._move(self.ceiling, "requests are refused as often however slow they leave: it is not their rate")

    def _pause(self, seconds: float, why: str) -> None:
        now = self.now()
        before, until = self.paused_until, now + seconds
        if seconds > self._longest_pause_s or until <= before:
            return
        self.paused_until = until
        self.pace.wait_until(until)
        self._timed = True
        self._wake_in(seconds)
        if before <= now:
            self._tell(f"paused for {seconds:.1f} s: {why}")

    def _move(self, limit: int, why: str) -> None:
        limit = max(1, min(self.ceiling, limit))
        self.limit = limit
        self._tell(why)
        self._let_in()

    def _tell(self, why: str) -> None:
        if self._changed is not None:
            self._changed(Change(self.name, self.limit, self.pace.rate, why))

    def _take(self, tokens: int) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if self._timed:
            now = self.now()
            self.pace.sent(now)
            if self._requests is not None:
                self._requests.take(now, 1)
            if self._tokens is not None:
                self._tokens.take(now, tokens)

    def _due(self, tokens: int) -> float:
        """Seconds until time allows a request; 0 or less where it does."""
        now = self.now()
        waits = [self.paused_until - now, self.pace.due(now)]
        if self._requests is not None:
            waits.append(self._requests.due(now, 1))
        if self._tokens is not None:
            waits.append(self._tokens.due(now, tokens))
        return max(waits)

    def _let_in(self) -> None:
        while self._lanes and self.in_flight < self.limit:
            lane, waiters = next(iter(self._lanes.items()))
            due_s = self._due(waiters[0].tokens) if self._timed else 0.0
            if due_s > 0:
                self._wake_in(due_s)
                return
            waiter = waiters.popleft()
            if waiters:
                self._lanes.move_to_end(lane)
            else:
                del self._lanes[lane]
            if not waiter.future.done():
                self._take(waiter.tokens)
                waiter.future.set_result(None)

    def _wake_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(max(0.0, seconds) + 0.0005, self._let_in)

    def _forget(self, lane: str, waiter: _Waiter) -> None:
        waiters = self._lanes.get(lane)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._lanes[lane]
