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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from engine.calls.pace import Pace
from engine.calls.rates import Bucket, pause_asked

CUT = 0.8
COOL_DOWN_S = 5.0
UNASKED_PAUSE_S = 0.5
"""After a refusal that says nothing of when to come back."""
SETTLE_S = 0.5
"""After a pause, how long refusals still belong to what was before it."""
STEPS = 32
"""What is added to the limit for each round of answers is this part of the ceiling, and one at least."""
SATURATED = 0.8
"""Of the limit, what must be in use for the limit to grow."""
COMPANY = 12
"""So many answers are looked at to tell a rate limit, which refuses all that comes after, from a chance refusal."""
REFUSED_IN_COMPANY = 8
MOST_PASSED = 3
"""So many times those that were refused may have passed, for it to be a limit and not chance."""
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
        self._being_kept = 0
        """Of those in flight, how many were answered: they hold their places until they are durable."""
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
        self._episodes, self._episode_at = deque([0] * 4, maxlen=4), float("-inf")
        self._older, self._older_at = 0, float("-inf")
        """How many of those in flight left before the last pause began, and when that was ..."""
        self._oldest, self._oldest_at = 0, float("-inf")
        """... and the same of the pause before it."""
        self._turned_back = self._let_through = 0
        """Of those that left before it, how many were refused and how many answered."""
        self._most_lately = 0
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

    def leave(self, *, answered: bool = False) -> None:
        """A request has ended, however it ended; who is next may go. One that was `answered` is durable by now."""
        self.in_flight -= 1
        self._being_kept -= answered
        if self._lanes:
            self._let_in()

    def accepted(self, headers: Mapping[str, str], *, seconds: float = 0.0, reserved: int = 0, used: int = 0) -> None:
        """A request was answered after `seconds`; `reserved` tokens were set aside for it, `used` were needed."""
        now = self.now()
        sent_at = now - seconds
        self._being_kept += 1
        self.pace.accepted(now, sent_at=sent_at)
        self._refusals.append(False)
        if self._older and sent_at <= self._older_at:
            self._let_through += 1
            self._ended(sent_at)
        if self._tokens is not None:
            self._tokens.correct(reserved - used)
        if self.limit < self.ceiling and self.in_flight >= SATURATED * self.limit and self._lanes:
            self._credit += 1
            if self._credit >= self.limit:
                self._credit = 0
                self._move(self.limit + max(1, self.ceiling // STEPS), "requests wait and are accepted")
        asked_s = pause_asked(headers)
        if asked_s is not None:
            self._pause(asked_s, "its rate limit headers say that nothing is left")

    def refused(self, retry_after_s: float | None, *, sent_at: float, why: str) -> None:
        """A request that left at `sent_at` was refused for its rate: slow down, and pause all where that was asked.

        What left before the last slowing down says nothing new.
        """
        now = self.now()
        self._refusals.append(True)
        self._ended(sent_at)
        alone = sent_at > self._slowed_at and self.pace.rate is None and not self._is_rate_limit(sent_at)
        if retry_after_s is not None:
            self._pause(retry_after_s, why)
        if sent_at <= self._slowed_at:
            self.pace.also_refused(sent_at=sent_at)
            return
        if alone:
            self._turned_back += 1
            if self.paused_until - now >= SETTLE_S:
                self.pace.paused(now, self.paused_until)
            return
        if retry_after_s is None:
            self._pause(UNASKED_PAUSE_S, why)
        others = max(0, self.in_flight - self._being_kept - 1 - self._oldest)
        self.pace.refused(now, sent_at=sent_at, pause_s=max(0.0, self.paused_until - now), others=others)
        if self.pace.in_vain:
            self._let_go(now)
            return
        self._slow_down(max(now, self.paused_until), why)

    def _ended(self, sent_at: float) -> None:
        if self._older and sent_at <= self._older_at:
            self._older -= 1
            if self._oldest and sent_at <= self._oldest_at:
                self._oldest -= 1

    def _slow_down(self, at: float, why: str) -> None:
        now = self.now()
        self._slowed_at = at + SETTLE_S
        self._credit = self._turned_back = 0
        self._timed = True
        if self.pace.rate is not None and now - self._cut_at >= COOL_DOWN_S:
            self._cut_at = now
            self._move(max(1, int(min(self.limit, self._most_lately) * CUT)), why)
            self._most_lately = self.in_flight

    def _look_back(self, now: float) -> None:
        """After a pause: of those that left at once, many were refused and some were not; that is a limit.

        Answers take seconds where refusals take none, so nothing may have been answered when all are refused.
        """
        refused, self._turned_back = self._turned_back, 0
        passed = self._let_through + self._older
        if self.pace.rate is None and refused >= REFUSED_IN_COMPANY and COMPANY <= passed <= MOST_PASSED * refused:
            self.pace.let_through(now, count=passed, pause_s=self.paused_until - self._older_at)
            self._slow_down(now, f"{refused} of {refused + passed} requests at once were refused")

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
            self._episodes.append(self.pace.lately)
            self._episode_at = max(self.now(), self.paused_until)
            if _repeats(self._episodes, surely=self._few_say_little):
                return True
        if self.in_flight < COMPANY and not self._few_say_little:
            return True
        return sum(self._refusals) >= REFUSED_IN_COMPANY

    def _let_go(self, now: float) -> None:
        self.pace = Pace()
        self._slowed_at, self._turned_back = now, 0
        self._episodes.extend([0] * 4)
        self._few_say_little = True
        self._refusals.clear()
        self._move(self.ceiling, "requests are refused as often however slow they leave: it is not their rate")

    def _pause(self, seconds: float, why: str) -> None:
        now = self.now()
        before, until = self.paused_until, now + seconds
        if seconds > self._longest_pause_s or until <= before:
            return
        if before <= now:
            self._oldest, self._oldest_at = self._older, self._older_at
            self._older, self._older_at = max(0, self.in_flight - self._being_kept - 1), now
            self._turned_back = self._let_through = 0
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
        self.in_flight = in_flight = self.in_flight + 1
        if in_flight > self._most_lately:
            self._most_lately = in_flight
            self.peak = max(self.peak, in_flight)
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
        if self._turned_back and now >= self.paused_until:
            self._look_back(now)
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


def _repeats(answered: Sequence[int], *, surely: bool) -> bool:
    """Whether about as many were answered before the last refusal as before the one before it, or by turns.

    Where that was chance once, only one time more is sure.
    """
    first, second, third, last = answered
    by_turns = _alike(second, last) and _alike(first, third)
    return by_turns if surely else by_turns or _alike(third, last)


def _alike(before: int, after: int) -> bool:
    return min(before, after) >= COMPANY and abs(before - after) <= ALIKE * after
