"""Interleaved rounds of processes, and what comes of them: cost per task as a difference, ratios within rounds.

A noisy machine slows down whatever runs at that moment. So every round runs each contestant once, each round
begins with another one, ratios are taken within a round, and the median of the rounds is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.process import Spent

Start = Callable[[int], Spent]
"""Runs a process that does this many tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Something that does tasks; `few` and `many` are the two counts whose difference is its cost."""

    name: str
    start: Start
    few: int
    many: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One contestant in one round."""

    few: Spent
    many: Spent
    tasks: int

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a task, start-up subtracted."""
        return 1000 * (self.many.cpu_s - self.few.cpu_s) / self.tasks

    @property
    def wall_ms(self) -> float:
        """Milliseconds a task by the clock, start-up subtracted."""
        return 1000 * (self.many.wall_s - self.few.wall_s) / self.tasks


@dataclass(frozen=True, slots=True)
class Middle:
    """The median of the rounds, with the lowest and the highest."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Middle:
        """The middle of these."""
        return cls(median(values), min(values), max(values))


Rounds = Mapping[str, Sequence[Pair]]
"""By contestant, its pairs in the order of the rounds."""


def pair_of(each: Contestant) -> Pair:
    """Its run of few tasks, and at once that of many."""
    return Pair(few=each.start(each.few), many=each.start(each.many), tasks=each.many - each.few)


def play(contestants: Sequence[Contestant], rounds: int, tell: Callable[[str], None]) -> Rounds:
    """Each contestant in each round."""
    pairs: dict[str, list[Pair]] = {each.name: [] for each in contestants}
    for number in range(rounds):
        first = number % len(contestants)
        for each in (*contestants[first:], *contestants[:first]):
            pair = pair_of(each)
            pairs[each.name].append(pair)
            tell(f"  round {number + 1}/{rounds}  {each.name}: {pair.cpu_ms:.3f} ms CPU, {pair.wall_ms:.3f} ms a task")
    return pairs


def costs(rounds: Rounds, name: str) -> Middle:
    """CPU milliseconds a task."""
    return Middle.of([pair.cpu_ms for pair in rounds[name]])


def ratios(rounds: Rounds, name: str, other: str) -> Middle:
    """CPU of one over CPU of the other, a task, within rounds."""
    both = zip(rounds[name], rounds[other], strict=True)
    return Middle.of([mine.cpu_ms / theirs.cpu_ms for mine, theirs in both])
