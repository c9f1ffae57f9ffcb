"""What a judge says about one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.records import Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one reply against one target.

    `value` is in 0-1. `outcome` is `Outcome.UNPARSED` where no answer could be read from the reply, and None
    where one was judged. `answer` is what was read, as it is shown to people.
    """

    value: float
    outcome: Outcome | None = None
    answer: str | None = None


Judge = Callable[[str, str], Verdict]
"""`judge(text, target)`: the reply, then what was wanted; raises `SolverError` where the target is no target."""

UNREAD = Verdict(0.0, Outcome.UNPARSED)
"""The reply holds no answer."""
