"""Questions that belong together, as those about one passage, and what that does to the doubt about a score."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from engine.errors import UsageError
from engine.evaluations.evaluation import FRACTION, Metric
from engine.statistics import ClusteredMean

Solutions = Iterable[Mapping[str, Any]]


def groups_of(solutions: Solutions, field: str) -> dict[int | str, Hashable]:
    """What each datum has in this field, by its index and by its id.

    Raises:
        UsageError: no datum has such a field.
    """
    groups: dict[int | str, Hashable] = {}
    for solution in solutions:
        group = _group(solution, field)
        if group is not None:
            groups[int(solution.get("datum_index") or 0)] = group
            groups[str(solution.get("datum_id") or "")] = group
    if not groups:
        raise UsageError(f"no datum has a field {field!r}", hint="engine evaluation read_solutions ID shows the data")
    return groups


def clustered_score(solutions: Solutions, field: str) -> tuple[Metric, int]:
    """The mean score over tasks with its cluster-robust error and Student's t interval, and how many clusters.

    Data that share a value of the field are one cluster, with all their repeats; tasks without a score are left out.

    Raises:
        UsageError: no datum with a score has such a field.
    """
    held: dict[str, list[float]] = {}
    for solution in solutions:
        group, score = _group(solution, field), solution.get("score")
        if group is not None and isinstance(score, int | float):
            held.setdefault(group, []).append(float(score))
    if not held:
        raise UsageError(f"no datum has a field {field!r}", hint="engine evaluation read_solutions ID shows the data")
    mean = ClusteredMean()
    for values in held.values():
        mean.add(values)
    bounds = mean.interval(share=True)
    made = Metric(
        name=f"score, clustered by {field}",
        value=mean.mean,
        ci_low=bounds.low if bounds else None,
        ci_high=bounds.high if bounds else None,
        stderr=mean.error,
        n=mean.counted,
        unit=FRACTION,
        higher_is_better=True,
    )
    return made, mean.clusters


def _group(solution: Mapping[str, Any], field: str) -> str | None:
    datum = solution.get("datum")
    if not isinstance(datum, dict) or field not in datum:
        return None
    return json.dumps(datum[field], sort_keys=True, default=str)
