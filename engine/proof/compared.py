"""What was recorded beside what a replay gave: tasks, and figures one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.evaluations.evaluation import Metric
from engine.records import TaskResult

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""How far apart two figures may be that are the same: sums in another order, and nothing else."""
FIELDS = ("value", "ci_low", "ci_high", "stderr", "n")
MEASURED_ONCE = ("/latency_p50_s", "/latency_p95_s")
"""Ends of figures that the process which recorded has measured, and that no replay can give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric as it was recorded and as it comes out; `unlike` names the fields that differ.

    `checked` is false where nothing can be compared: seconds that were measured once.
    """

    name: str
    recorded: Metric | None
    replayed: Metric | None
    unlike: tuple[str, ...] = ()
    checked: bool = True

    @property
    def same(self) -> bool:
        """Whether it comes out the same."""
        return not self.unlike

    def as_dict(self) -> dict[str, Any]:
        """The figure as `--format json` prints it."""
        return {
            "name": self.name,
            "recorded": self.recorded.value if self.recorded else None,
            "replayed": self.replayed.value if self.replayed else None,
            "checked": self.checked,
            "same": self.same,
            "unlike": list(self.unlike),
        }


def compare_figures(recorded: Mapping[str, Metric], replayed: Sequence[Metric], *, whole: bool) -> Iterator[Figure]:
    """Every figure of either side, in the order of what was recorded.

    Args:
        recorded: by name.
        replayed: what came out.
        whole: whether all of them could come out; without a solver those that it computes itself cannot.
    """
    now = {metric.name: metric for metric in replayed}
    for name in dict.fromkeys([*recorded, *now]):
        before, after = recorded.get(name), now.get(name)
        if before is not None and after is not None:
            unlike = tuple(each for each in FIELDS if not near(getattr(before, each), getattr(after, each)))
            yield Figure(name=name, recorded=before, replayed=after, unlike=unlike)
        elif name.endswith(MEASURED_ONCE) or not whole:
            yield Figure(name=name, recorded=before, replayed=after, checked=False)
        else:
            missing = "is not recorded" if before is None else "does not come out"
            yield Figure(name=name, recorded=before, replayed=after, unlike=(missing,))


def task_differences(recorded: TaskResult, replayed: TaskResult) -> tuple[str, ...]:
    """What of a task came out otherwise, as `score 1.0 → 0.0`; nothing where all is the same."""
    found = [
        f"{name} {_short(before)} → {_short(after)}"
        for name in ("outcome", "score", "answer", "tags")
        if not near(before := getattr(recorded, name), after := getattr(replayed, name))
    ]
    for name in dict.fromkeys([*recorded.metrics, *replayed.metrics]):
        before, after = recorded.metrics.get(name), replayed.metrics.get(name)
        if not near(before, after):
            found.append(f"{name} {_short(before)} → {_short(after)}")
    return tuple(found)


def near(one: Any, other: Any) -> bool:
    """Whether two values are the same; numbers up to the rounding of sums."""
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    if numbers and not isinstance(one, bool) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(one == other)


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, str | int | float) else repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
