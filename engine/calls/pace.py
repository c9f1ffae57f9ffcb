"""A pace that is learned from refusals: how fast requests may leave where nobody tells the limit."""

from __future__ import annotations

from collections import deque
from math import inf

LEAST_PACE = 0.2
FIRST_PACE = 5.0
LATE_S = 0.02
"""How far timers may be late and be made up for: more would be a burst, which no window of a second forgives."""
REMEMBERED_S = 120.0

KEPT = 0.975
"""Of the known rate, what is used after a refusal."""
PLATEAU_S = 60.0
"""Seconds after a refusal until the pace is back at the known rate."""
CUT_S = 0.2
LEAST_CUT = 0.96
"""Of a known rate that lasted for some seconds, what is taken as allowed: less by `CUT_S` seconds' share of them. A
refusal costs its pause, so the sooner they come, the more is to be gained by a wider margin."""
SURE = 0.99
"""The same of one that had lasted before and is refused at once: the first time, that is chance."""

FIRST_KEPT = 0.97
"""Of the first estimate."""
AT_ONCE_S = 0.5
UNSURE_KEPT = 0.8
"""The same where it took longer than `AT_ONCE_S` until the refusal: then more than one window may have been counted."""
SOON = 2.2
"""Windows: a pace above the limit is refused within two, however they are counted, unless it fills a bucket."""
STEPS = (0.8, 0.8, 0.8, 0.7, 0.6, 0.5)
"""Of a pace that was refused soon, what is tried next; less each time in a row."""
APPROACH = 0.2
"""Of what is between a pace that was not refused soon and one that was, what is added each second."""
NEAR = 0.97
LASTS = 5.0
"""Windows: a pace so near to one that was refused is known to be allowed where it lasts for so many."""
GROWTH = 0.01
"""A second, while no pace was refused that was faster: slow at first, for it may be right ..."""
SLOW_S = 3.0
DOUBLES_S = 1.5
MOST_GROWTH = 0.2
"""... then doubling, for it may be far too low."""
SETTLES = 0.08
"""A second: a pace that did not grow faster is known well enough when it is refused."""
AGREES = 0.9
"""Of the pace that was grown to, where an estimate is believed that was counted before."""

IN_VAIN = 4
EARLY = 5.0
FEW = 64
"""`IN_VAIN` refusals in a row, each within `EARLY` windows and after fewer requests: no pace helps."""


class Pace:
    """A rate of requests, learned: none until the first refusal.

    The first estimate is what was accepted until the refusal, in the time that the provider asks to let it be
    forgotten. Then the limit is searched for: a pace that is refused soon is cut, one that lasts grows, slower the
    nearer it comes to one that was refused. Once it is refused while it grows slowly, the limit is known, and the
    pace is kept below it, on a cubic that reaches it after `PLATEAU_S` and passes it slowly, to learn of more.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._known = 0.0
        self._counted = False
        """Whether the known rate was counted at one go, and not found by trying."""
        self._settled = False
        self._proven = 0.0
        self._most = inf
        """The slowest pace that was refused in this search."""
        self._near_since = inf
        self._soon = 0
        self._in_vain = 0
        self._since_resumed = 0
        self._over_s = 1.0
        self._sure = True
        self._open = 0
        self._refused_at = -inf
        self._window_s = 1.0
        self._resumed = 0.0
        self._grown = 0.0
        self._growth = 0.0
        self._next = 0.0
        self._is_told = False
        self._left: deque[tuple[int, int]] = deque()
        self._began: float | None = None
        """When the first of those left that count now; what left before a pause is no part of what comes after it."""
        self._counts_from = -inf
        self._afresh_at = inf

    @property
    def in_vain(self) -> bool:
        """Whether requests are refused as often however slow they leave."""
        return self._in_vain >= IN_VAIN

    @property
    def is_told(self) -> bool:
        """Whether anything was ever answered; without, a refusal tells nothing of a rate."""
        return self._is_told

    @property
    def lately(self) -> int:
        """How many were answered since the last pause."""
        return self._since_resumed

    def accepted(self, now: float, *, sent_at: float) -> None:
        """A request that left at `sent_at` was answered."""
        self._is_told = True
        self._count_afresh(now)
        if sent_at < self._counts_from:
            return
        self._since_resumed += 1
        if self._began is None:
            self._began = sent_at

    def due(self, now: float) -> float:
        """Seconds until the next request may leave."""
        return self._next - now if self.rate is not None else 0.0

    def sent(self, now: float) -> None:
        """A request leaves; those of the last windows are remembered, in tenths of a second."""
        if self.rate is None:
            return
        self._grow(now)
        self._next = max(self._next, now - LATE_S) + 1.0 / self.rate
        tenth, left = int(now * 10), self._left
        if left and left[-1][0] == tenth:
            left[-1] = (tenth, left[-1][1] + 1)
            return
        left.append((tenth, 1))
        while left[0][0] < tenth - 10 * min(REMEMBERED_S, 3 * self._window_s):
            left.popleft()

    def paused(self, now: float, until: float) -> None:
        """Everything waits until then, though no rate is suspected yet."""
        self._count_afresh(now)
        self._afresh_at = until

    def refused(self, now: float, *, sent_at: float, pause_s: float, others: int = 0) -> None:
        """The first refusal of a cool-down, of a request that left at `sent_at`; everything waits for `pause_s`.

        `others` left since the pause before this one, and are in flight.
        """
        self._window_s = max(1.0, pause_s)
        if self.rate is None:
            self._begin(now, sent_at, others)
        else:
            self._grow(now)
            lasted_s = now - self._resumed
            early = lasted_s < EARLY * self._window_s
            self._in_vain = self._in_vain + 1 if early and self._since_resumed < FEW else 0
            if self._settled:
                self._known_is_refused(lasted_s)
            else:
                self._tried_is_refused(lasted_s, self._left_lately(now))
            self._counted, self._open = False, 0
        self._refused_at = now
        self._resume(now + pause_s)

    def let_through(self, now: float, *, count: int, pause_s: float) -> None:
        """At the end of a pause: `count` of those that left at once before it were answered, or are in flight still."""
        self._window_s = max(1.0, pause_s)
        self._open, self._over_s, self._sure = count, self._window_s, True
        self._estimate()
        self._resume(now)

    def wait_until(self, at: float) -> None:
        """Nothing leaves before; what was not sent meanwhile is not made up for."""
        self._next = max(self._next, at)

    def also_refused(self, *, sent_at: float) -> None:
        """Another one, which left at `sent_at`, was refused as well."""
        if self._open and sent_at <= self._refused_at:
            self._open -= 1
            self._estimate()

    def _begin(self, now: float, sent_at: float, others: int) -> None:
        self._count_afresh(now)
        took_s = sent_at - self._began if self._began is not None else 0.0
        self._over_s = max(self._window_s, took_s)
        self._sure = took_s <= AT_ONCE_S * self._window_s
        self._open = self._since_resumed + others
        self._estimate()

    def _resume(self, at: float) -> None:
        self._since_resumed = 0
        self._near_since = inf
        self._resumed = self._grown = self._counts_from = at
        self.wait_until(at)

    def _count_afresh(self, now: float) -> None:
        if now >= self._afresh_at:
            self._since_resumed, self._began, self._counts_from = 0, self._afresh_at, self._afresh_at
            self._afresh_at = inf

    def _estimate(self) -> None:
        """The first pace: what was answered, and what is in flight and was not refused by the end of the pause."""
        self._known, self._counted = self._open / self._over_s, self._sure
        if not self._sure:
            self._most = self._known
        self.rate = max(FIRST_PACE, self._known * (FIRST_KEPT if self._sure else UNSURE_KEPT))

    def _known_is_refused(self, lasted_s: float) -> None:
        assert self.rate is not None
        if lasted_s >= SOON * self._window_s:
            self._proven = max(self.rate, self._known)
            self._settle(self._proven * max(LEAST_CUT, 1.0 - CUT_S / lasted_s))
        elif self.rate <= self._proven * 1.03:
            proven, self._proven = self._proven, 0.0
            self._settle(proven * SURE)
        else:
            self._settled, self._most, self._soon = False, inf, 0
            self._step_down()

    def _tried_is_refused(self, lasted_s: float, left: float) -> None:
        assert self.rate is not None
        if lasted_s < SOON * self._window_s:
            self._step_down()
            return
        self._soon = 0
        left = min(self.rate, self._most, left)
        believed = self._counted and AGREES * left <= self._known <= left
        self._known = self._known if believed else left
        if self._growth <= SETTLES:
            self._proven = self._known
            self._settle(self._known)
        else:
            self._most = min(self._most, self.rate)
            self.rate = max(LEAST_PACE, self._known * FIRST_KEPT)

    def _left_lately(self, now: float) -> float:
        """Requests a second that left in the last two windows: the last was refused, the one before was not."""
        end, tenths = int(now * 10), int(20 * self._window_s)
        return sum(n for tenth, n in self._left if end - tenths <= tenth < end) / (2 * self._window_s)

    def _settle(self, known: float) -> None:
        self._known, self._settled, self._most = max(LEAST_PACE, known), True, inf
        self.rate = max(LEAST_PACE, self._known * KEPT)

    def _step_down(self) -> None:
        assert self.rate is not None
        self._most = min(self._most, self.rate)
        self.rate = self._known = max(LEAST_PACE, self.rate * STEPS[min(self._soon, len(STEPS) - 1)])
        self._soon += 1

    def _grow(self, now: float) -> None:
        assert self.rate is not None
        lasted_s, since_s = now - self._resumed, min(now - self._grown, 1.0)
        if since_s <= 0:
            return
        self._grown = now
        if self._settled:
            self.rate = self._known * (KEPT + (1.0 - KEPT) * (lasted_s / PLATEAU_S) ** 3)
            return
        doublings = max(0.0, lasted_s - SLOW_S) / DOUBLES_S
        self._growth = float(min(MOST_GROWTH, GROWTH * 2.0 ** min(doublings, MOST_GROWTH / GROWTH)))
        if self._most < inf:
            is_tried = lasted_s >= SOON * self._window_s
            self._growth = APPROACH * max(0.0, self._most / self.rate - 1.0) if is_tried else 0.0
        self.rate *= (1.0 + self._growth) ** since_s
        if self.rate >= NEAR * self._most:
            self._near_since = min(now, self._near_since)
            if now - self._near_since > LASTS * self._window_s:
                self._settle(self._most)
                self._resumed = now
