"""How fast requests may leave where it is told: budgets by the minute, and what headers say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

SLACK_S = 1.0
"""A budget may be used up to this many seconds ahead: bursts are short, the minute is kept."""
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
