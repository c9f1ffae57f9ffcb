"""How fast requests may leave: budgets by the minute, a pace learned from refusals, and what headers say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Self

SLACK_S = 1.0
"""A budget may be used up to this many seconds ahead: bursts are short, the minute is kept."""
KEPT = 0.97
"""Of the rate at which refusals began, what is used afterwards."""
PLATEAU_S = 60.0
"""Seconds after a refusal until the pace is back where the refusal came."""
SURE = 0.99
"""Of the rate at which refusals began, what is taken as allowed."""
GROWTHS = (0.1, 0.02)
"""A second, while the pace is an estimate: a refusal ends each."""
IN_VAIN = 4
"""Refusals in a row, each early and after few requests, however far the pace was cut: no pace helps."""
EARLY_S = 15.0
FEW = 64
SEEN_AFTER_S = (1.0, 1.75)
"""How long a pace was too high, about, when it is refused, for each of these."""
AT_ONCE_S = 0.75
"""A pace that is refused within this time was none that is allowed; it tells nothing of how far it may grow."""
WINDOW_S = 10.0
LEAST_PACE = 0.2
FIRST_PACE = 5.0
LATE_S = 0.05
"""How far timers may be late before the pace forgives what was missed."""
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
    forgotten. From there it grows until it is refused, a few times, more slowly each time (`GROWTHS`): then what is
    allowed is known, and it is approached along a cubic that reaches it after `PLATEAU_S` and passes it slowly, to
    learn of more.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._known = 0.0
        self._stage = 0
        self._early = 0
        self._in_vain = 0
        self._since_resumed = 0
        self._count = 0
        self._over_s = 1.0
        self._open = 0
        self._resumed = 0.0
        self._since = 0.0
        self._next = 0.0
        self._accepted: deque[tuple[float, int]] = deque()
        self._started: float | None = None

    @property
    def in_vain(self) -> bool:
        """Whether requests are refused as often however slow they leave."""
        return self._in_vain >= IN_VAIN

    def accepted(self, now: float) -> None:
        """A request was answered; the last seconds are remembered, in tenths."""
        tenth = int(now * 10) / 10
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

    def refused(self, now: float, *, pause_s: float, others: int = 0) -> None:
        """The first refusal of a cool-down, with `others` in flight; everything waits for `pause_s`."""
        if self.rate is None:
            began = max(self._started if self._started is not None else now, now - WINDOW_S)
            self._count, self._over_s = sum(n for _, n in self._accepted), max(1.0, pause_s, now - began)
            self._open = others
            self._estimate()
        else:
            self._grow(now)
            early = self._stage >= len(GROWTHS) and now - self._since < EARLY_S
            self._early = self._early + 1 if early else 0
            self._in_vain = self._in_vain + 1 if early and self._since_resumed < FEW else 0
            self._known = max(LEAST_PACE, self._allowed(now, pause_s))
            self.rate = max(LEAST_PACE, self._known * KEPT)
            self._stage = 0 if now - self._resumed < AT_ONCE_S else self._stage + 1
            self._open = 0
        self._since_resumed = 0
        self._resumed = self._since = now + pause_s
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
        self.rate = max(FIRST_PACE, self.rate or 0.0, self._known * KEPT)

    def _allowed(self, now: float, pause_s: float) -> float:
        """What a refusal tells of the rate that is allowed."""
        assert self.rate is not None
        if now - self._resumed < AT_ONCE_S:
            over_s = max(1.0, pause_s)
            return min(self.rate, sum(n for at, n in self._accepted if at > now - over_s) / over_s)
        if self._stage >= len(GROWTHS):
            reached = max(self.rate, self._known)  # below what was known, chance refuses more often than a new limit
            spent = self._since_resumed / (now + pause_s - self._resumed)
            return reached * max(float(SURE ** (2**self._early)), min(SURE, spent / reached))
        return self.rate / float((1.0 + GROWTHS[self._stage]) ** SEEN_AFTER_S[self._stage])

    def _grow(self, now: float) -> None:
        assert self.rate is not None
        elapsed = now - self._since
        if elapsed <= 0:
            return
        if self._stage < len(GROWTHS):
            self.rate *= (1.0 + GROWTHS[self._stage]) ** min(elapsed, 1.0)
            self._since = now
            return
        back = (elapsed - PLATEAU_S) / PLATEAU_S
        self.rate = self._known * (1.0 + (1.0 - KEPT) * back * abs(back) * abs(back))


def pause_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds that `x-ratelimit-*` ask to wait: nothing is left of requests or tokens; None where they do not."""
    found = None
    for kind in ("requests", "tokens"):
        left = headers.get(f"x-ratelimit-remaining-{kind}")
        if left is None or left.strip() not in ("0", "0.0", "-1"):
            continue
        reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if reset_s is not None and reset_s <= UNITS_S["m"]:
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
    return value if 0 <= value < 1e6 else None
