"""How fast requests may leave: budgets by the minute, a pace learned from refusals, and what headers say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from math import inf
from typing import Self

SLACK_S = 1.0
"""A budget may be used up to this many seconds ahead: bursts are short, the minute is kept."""
KEPT = 0.975
"""Of the rate at which refusals began, what is used afterwards."""
PLATEAU_S = 60.0
"""Seconds after a refusal until the pace is back where the refusal came."""
SURE = 0.99
"""Of the rate at which refusals began, what is taken as allowed; less for each early refusal in a row."""
CHANCE = 0.997
"""The same where the pace was kept for a while: requests arrived closer together than they left, mostly."""
FIRST_KEPT = 0.97
GROWTH = 0.01
"""A second, while the pace is an estimate: slow at first, for it may be right ..."""
SETTLES = 8
"""Times that growth: a pace that did not grow faster is known well enough when it is refused."""
SLOW_S = 3.0
DOUBLES_S = 1.5
MOST_GROWTH = 0.2
"""... then doubling, for it may be far too low."""
AGREES = 0.9
"""Of the pace that was grown to, where an estimate is believed that was there before."""
SEEN_AFTER_S = 1.5
"""How long a pace was too high, about, when it is refused."""
SOON = 1.5
"""A pace that is refused within so many windows may be far too high: half of the way down to what was got."""
A_LITTLE = 0.92
"""The first time, for it may be chance."""
EARLY = 5.0
"""One that is refused within so many windows is a little too high; later, it is chance or slow growth."""
IN_VAIN = 4
"""Refusals in a row, each early and after few requests, however far the pace was cut: no pace helps."""
FEW = 64
AT_ONCE_S = 0.75
"""A pace that is refused within this time was none that is allowed; it tells nothing of how far it may grow."""
WINDOW_S = 10.0
LEAST_PACE = 0.2
FIRST_PACE = 5.0
LATE_S = 0.02
"""How far timers may be late and be made up for: more would be a burst, which no window of a second forgives."""
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Bucket:
    """A budget that fills evenly: `rate` units a second, at most `SLACK_S` seconds' worth kept."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.most = max(1.0, rate * SLACK_S)
        self.level = self.most
        self._at: float | None = None

    @classmethod
    def per_minute(cls, units: int | None) -> Self | None:
        """The bucket of a limit by the minute; None where there is none."""
        return None if units is None else cls(units / 60.0)

    def due(self, now: float, units: float) -> float:
        """Seconds until `units` may be taken; what is larger than the bucket goes when it is full."""
        self._fill(now)
        missing = min(units, self.most) - self.level
        return missing / self.rate if missing > 1e-9 else 0.0

    def take(self, now: float, units: float) -> None:
        """Take them, into debt where need be."""
        self._fill(now)
        self.level -= units

    def correct(self, units: float) -> None:
        """Give back (or take) the difference between what was set aside and what was used."""
        self.level = min(self.most, self.level + units)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self.level = min(self.most, self.level + (now - self._at) * self.rate)
        self._at = now


class Pace:
    """A rate of requests, learned: none until the first refusal.

    The first estimate is what was accepted until the refusal, in the time that the provider asks to let it be
    forgotten. A pace that is refused soon is halved on the way to what was got in spite of the pauses; one that lasts
    grows until it is refused: then what is allowed is known, and it is approached along a cubic that reaches it
    after `PLATEAU_S` and passes it slowly, to learn of more.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._known = 0.0
        self._proven = 0.0
        self._least = 0.0
        self._settled = False
        self._early = 0
        self._soon = 0
        self._in_vain = 0
        self._since_resumed = 0
        self._over_s = 1.0
        self._open = 0
        self._count = 0
        self._resumed = 0.0
        self._grown = 0.0
        self._next = 0.0
        self._accepted: deque[tuple[float, int]] = deque()
        self._started: float | None = None
        self._afresh_at = inf

    @property
    def in_vain(self) -> bool:
        """Whether requests are refused as often however slow they leave."""
        return self._in_vain >= IN_VAIN

    @property
    def is_told(self) -> bool:
        """Whether anything was answered in the last seconds; without, a refusal tells nothing of a rate."""
        return bool(self._accepted)

    @property
    def lately(self) -> int:
        """How many were answered since the last pause."""
        return self._since_resumed

    def accepted(self, now: float) -> None:
        """A request was answered; the last seconds are remembered, in tenths."""
        tenth = int(now * 10) / 10
        if now >= self._afresh_at:
            self._since_resumed, self._started, self._afresh_at = 0, self._afresh_at, inf
        self._since_resumed += 1
        if self._started is None:
            self._started = now
        if self._open:
            self._open -= 1
            self._count += 1
            self._estimate()
        if self._accepted and self._accepted[-1][0] == tenth:
            self._accepted[-1] = (tenth, self._accepted[-1][1] + 1)
            return
        self._accepted.append((tenth, 1))
        while self._accepted[0][0] < now - WINDOW_S:
            self._accepted.popleft()

    def due(self, now: float) -> float:
        """Seconds until the next request may leave."""
        return self._next - now if self.rate is not None else 0.0

    def sent(self, now: float) -> None:
        """A request leaves."""
        if self.rate is not None:
            self._grow(now)
            self._next = max(self._next, now - LATE_S) + 1.0 / self.rate

    def paused(self, until: float) -> None:
        """Everything waits, though no rate is suspected yet."""
        self._afresh_at = until

    def refused(self, now: float, *, pause_s: float, others: int = 0) -> None:
        """The first refusal of a cool-down, with `others` in flight; everything waits for `pause_s`."""
        if self.rate is None:
            began = self._started if self._started is not None else now
            self._count, self._over_s = self._since_resumed, max(1.0, pause_s, now - began)
            self._open = others
            self._estimate()
        else:
            self._grow(now)
            lasted_s, window_s = now - self._resumed, max(1.0, pause_s)
            early = lasted_s < EARLY * window_s
            self._in_vain = self._in_vain + 1 if early and self._since_resumed < FEW else 0
            got = sum(n for at, n in self._accepted if at > now - window_s) / window_s
            if lasted_s < AT_ONCE_S:
                self._known, self._settled = min(self.rate, got), False
            elif lasted_s < SOON * window_s:
                self._known, self._settled = self._halfway(self._since_resumed / (lasted_s + pause_s)), False
            else:
                self._known = self._allowed(lasted_s, got, early=early)
            self._known = max(LEAST_PACE, self._known)
            self.rate = max(LEAST_PACE, self._known * (KEPT if self._settled else FIRST_KEPT))
            self._open = 0
        self._since_resumed = 0
        self._resumed = self._grown = now + pause_s
        self.wait_until(now + pause_s)

    def wait_until(self, at: float) -> None:
        """Nothing leaves before; what was not sent meanwhile is not made up for."""
        self._next = max(self._next, at)

    def also_refused(self) -> None:
        """Another one of those that were in flight was refused as well."""
        self._open = max(0, self._open - 1)

    def _estimate(self) -> None:
        """The first pace; what was in flight at the first refusal and is accepted all the same raises it."""
        self._known = self._count / self._over_s
        self.rate = max(FIRST_PACE, self.rate or 0.0, self._known * FIRST_KEPT)

    def _halfway(self, got: float) -> float:
        """Between a pace that was refused soon and what is known to be allowed."""
        assert self.rate is not None
        proven, self._proven = self._proven, 0.0
        if self.rate <= proven * 1.03:  # it had lasted before: once, that is chance
            return proven * SURE
        self._soon += 1
        if self._soon == 1:
            return self.rate * A_LITTLE
        self._least = max(got, self._least if self._least < self.rate else 0.0)
        return (self._least + self.rate) / 2

    def _allowed(self, lasted_s: float, got: float, *, early: bool) -> float:
        """What a pace that lasted for a while, and is refused, tells of what is allowed."""
        assert self.rate is not None
        if not self._settled:
            growth = _growth(lasted_s)
            self._settled = growth <= SETTLES * GROWTH
            grew_to = max(self.rate / float((1.0 + growth) ** SEEN_AFTER_S), min(self.rate, got))
            believed = self._soon == 0 and AGREES * grew_to <= self._known <= grew_to
            self._proven = self._known if believed else grew_to
            self._early = self._soon = 0
            return self._proven
        self._soon = 0
        self._early = self._early + 1 if early else 0
        self._proven = max(self.rate, self._known)
        return self._proven * (float(SURE ** (2 ** (self._early - 1))) if early else CHANCE)

    def _grow(self, now: float) -> None:
        assert self.rate is not None
        lasted_s = now - self._resumed
        if now <= self._grown:
            return
        if self._settled:
            self.rate = self._known * (KEPT + (1.0 - KEPT) * (lasted_s / PLATEAU_S) ** 3)
        else:
            self.rate *= (1.0 + _growth(lasted_s)) ** min(now - self._grown, 1.0)
        self._grown = now


def _growth(lasted_s: float) -> float:
    """By how much a pace that is an estimate grows in a second, after it has lasted for some."""
    doublings = max(0.0, lasted_s - SLOW_S) / DOUBLES_S
    return float(min(MOST_GROWTH, GROWTH * 2.0 ** min(doublings, MOST_GROWTH / GROWTH)))


_KINDS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)
_MORE_KINDS = (*_KINDS, ("x-ratelimit-remaining", "x-ratelimit-reset"), ("ratelimit-remaining", "ratelimit-reset"))
_EPOCH_S = 1e9
_EPOCH_MS = 1e12


def pause_asked(headers: Mapping[str, str], *, refused: bool = False, wall_s: float = 0.0) -> float | None:
    """Seconds that `x-ratelimit-*` ask to wait: nothing is left of requests or tokens; None where they do not.

    Where a request was `refused`, headers of other names are looked at as well, and a moment in place of seconds is
    taken relative to `wall_s`.
    """
    found = None
    for remaining, reset in _MORE_KINDS if refused else _KINDS:
        left = headers.get(remaining)
        if left is None or left.strip() not in ("0", "0.0", "-1"):
            continue
        reset_s = duration_s(headers.get(reset, ""))
        if reset_s is not None and reset_s >= _EPOCH_S:
            reset_s = (reset_s / 1000 if reset_s >= _EPOCH_MS else reset_s) - wall_s
        if reset_s is not None and 0 <= reset_s <= UNITS_S["m"]:
            found = max(found or 0.0, reset_s)
    return found


def duration_s(text: str) -> float | None:
    """Seconds of `1s`, `6m0s`, `120ms` or a plain number; None of anything else, dates too."""
    text = text.strip()
    parts = DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * UNITS_S[unit] for number, unit in parts)
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None
