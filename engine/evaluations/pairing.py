"""The stored results of two runs, datum by datum: what they share, and how the runs themselves differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from engine.errors import UsageError
from engine.plan import differences
from engine.ports import Store
from engine.records import Selection, TaskResult

DIFFERING = ("subset", "solver", "options", "solver_source", "scorers", "sampling", "set_sampling")
"""Parts of an identity that two runs are expected to share, beside the dataset."""
LONGEST = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A stored run, or the part of it that was recorded: only tasks in `selection`, or all where that is None.

    `store` is where it is; None is the store that the others are in. `latency_s` is the median of its calls,
    from sending the request to the end of the reply, where it is known.
    """

    run_id: str
    selection: Selection | None = None
    store: Store | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """What a run came to on one datum: the mean score over its counted repeats, and how many these are."""

    score: float
    repeats: int
    index: int
    cost_usd: float | None
    duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A run's data by index, or by the dataset's own ids; those without any score are in `lost`."""

    data: Mapping[int | str, Datum]
    lost: frozenset[int | str]

    @property
    def single(self) -> bool:
        """Whether each datum has one score."""
        return all(datum.repeats == 1 for datum in self.data.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The data that two runs share, in order, with what is worth a warning about them.

    `keys` are datum indices, or the dataset's ids where the runs read different versions of it.
    """

    keys: tuple[int | str, ...]
    first: tuple[Datum, ...]
    second: tuple[Datum, ...]
    single: bool
    warnings: tuple[str, ...]

    @property
    def cost_ratio(self) -> float | None:
        """What the second costs for each unit of the first, uncached; None where a price is unknown."""
        ours, theirs = ([each.cost_usd for each in side] for side in (self.first, self.second))
        known = [[cost for cost in side if cost is not None] for side in (ours, theirs)]
        if len(known[0]) < len(ours) or len(known[1]) < len(theirs) or not sum(known[0]):
            return None
        return sum(known[1]) / sum(known[0])

    @property
    def task_time_ratio(self) -> float | None:
        """The median seconds of a task of the second for each of the first; over tasks that used no stored call.

        A task also waits for a slot, so that a low ceiling of requests in flight looks slow.
        """
        sides = [[e.duration_s for e in side if e.duration_s is not None] for side in (self.first, self.second)]
        if not all(sides) or not median(sides[0]):
            return None
        return median(sides[1]) / median(sides[0])


async def read_series(store: Store, run_id: str, *, by_id: bool = False, selection: Selection | None = None) -> Series:
    """The results of a run by datum index, or by the ids of the dataset; ids that stand for several are left out.

    Where a selection is given, what the run holds beside it does not count.
    """
    results: dict[int, list[TaskResult]] = {}
    async for chunk in store.results(run_id):
        for result in chunk:
            if selection is not None and (result.key.datum_index, result.key.repeat) not in selection:
                continue
            results.setdefault(result.key.datum_index, []).append(result)
    names: dict[int, int | str] = {index: index for index in results}
    if by_id:
        counts = Counter(group[0].datum_id for group in results.values())
        ids = {index: group[0].datum_id for index, group in results.items()}
        names = {index: name for index, name in ids.items() if name and counts[name] == 1}
    data: dict[int | str, Datum] = {}
    lost = set()
    for index, name in names.items():
        scores = [result.score for result in results[index] if result.score is not None]
        if scores:
            data[name] = _datum(results[index], scores)
        else:
            lost.add(name)
    return Series(data=data, lost=frozenset(lost))


async def pair(
    stores: Sequence[Store],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    *,
    selections: Sequence[Selection | None] = (None, None),
) -> Pairs:
    """The data that two runs share.

    Args:
        stores: where the results of each are.
        first: a row of `runs`.
        second: another.
        selections: of each, the tasks that count; None are all.

    Raises:
        UsageError: they share nothing that can be paired; it says why.
    """
    same = first["dataset_fingerprint"] == second["dataset_fingerprint"]
    if not same and not _one_dataset(first["dataset"], second["dataset"]):
        raise UsageError(
            f"the runs are on different datasets, {first['dataset']!r} and {second['dataset']!r}: nothing to pair",
            hint="compare runs on the same data",
        )
    ours, theirs = [
        await read_series(store, run["run_id"], by_id=not same, selection=selection)
        for store, run, selection in zip(stores, (first, second), selections, strict=True)
    ]
    keys = [key for key in ours.data if key in theirs.data]
    if not keys:
        why = "they share no datum that both have a score for" if same else "the content differs, and no ids are shared"
        raise UsageError(f"the runs on {first['dataset']!r} cannot be paired: {why}", hint="run both on the same rows")
    return Pairs(
        keys=tuple(keys),
        first=tuple(ours.data[key] for key in keys),
        second=tuple(theirs.data[key] for key in keys),
        single=ours.single and theirs.single,
        warnings=(*_differences(first, second, same=same), *_left_out(ours, theirs, len(keys))),
    )


def _datum(results: Sequence[TaskResult], scores: Sequence[float]) -> Datum:
    costs = [result.uncached_cost_usd for result in results]
    known = [cost for cost in costs if cost is not None]
    fresh = [result.duration_s for result in results if result.requests and not result.cached_calls]
    return Datum(
        score=sum(scores) / len(scores),
        repeats=len(scores),
        index=results[0].key.datum_index,
        cost_usd=sum(known) / len(known) if known and len(known) == len(costs) else None,
        duration_s=sum(fresh) / len(fresh) if fresh else None,
    )


def _one_dataset(first: str, second: str) -> bool:
    """Whether two names can be versions of one dataset: equal, or equal registry entries less their version."""

    def family(name: str) -> str:
        parts = name.split("/")
        return "/".join(parts[:2]) if len(parts) == 3 and not name.startswith(("/", ".", "~")) else name

    return family(first) == family(second)


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], *, same: bool) -> list[str]:
    ours, theirs = json.loads(first["parts"]), json.loads(second["parts"])
    found = {part: (a, b) for part, a, b in differences(ours, theirs)}
    warnings = [] if same else ["the content of the dataset differs: data are paired by their ids"]
    for part in DIFFERING:
        if part in found:
            a, b = (_short(each) for each in found[part])
            name = part.replace("_", " ")
            warnings.append(f"{name} differs" if part == "solver_source" else f"{name} differs: {a} and {b}")
    return warnings


def _left_out(ours: Series, theirs: Series, shared: int) -> list[str]:
    both = (ours.data.keys() | ours.lost) & (theirs.data.keys() | theirs.lost)
    warnings = []
    if len(both) > shared:
        warnings.append(f"{len(both) - shared} shared data have no score in one of the runs and are left out")
    for side, one, other in (("first", ours, theirs), ("second", theirs, ours)):
        alone = len((one.data.keys() | one.lost) - (other.data.keys() | other.lost))
        if alone:
            warnings.append(f"{alone} data are only in the {side} run and are left out")
    return warnings


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
