"""Two runs on shared data: the difference, how sure it is, what was fixed and what was broken."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Any, cast

from engine.errors import UsageError
from engine.evaluations.evaluation import EvaluationStore
from engine.evaluations.names import told_apart
from engine.evaluations.pairing import Pairs, Subject, pair
from engine.statistics import PairedResult, Table, compare_paired, holm

LEVEL = 0.05


class Gate(StrEnum):
    """Whether the second run may take the place of the first."""

    GO = "go"
    NO_GO = "no-go"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs on the data they share; all figures are fractions, the difference is the second less the first.

    `a` and `b` are the scores on the shared data. `fixed` and `broken` name the data on which the second is
    better and worse: by index, or by id where the runs read different versions of a dataset. `table` is None
    where answers are more than right or wrong. `p_value` is corrected where several pairs were compared.
    Ratios are the second's for each of the first's, None where unknown: `latency_ratio` of the median seconds of a
    call, `task_time_ratio` of those of a task, which waits for a slot too.
    """

    names: tuple[str, str]
    a: float
    b: float
    table: Table | None
    fixed: tuple[int | str, ...]
    broken: tuple[int | str, ...]
    result: PairedResult
    p_value: float
    warnings: tuple[str, ...]
    cost_ratio: float | None = None
    latency_ratio: float | None = None
    task_time_ratio: float | None = None
    gate: Gate | None = None
    margin: float = 0.0

    @property
    def shown(self) -> bool:
        """Whether a difference is shown, at the level of 5 %."""
        return self.p_value < LEVEL

    @property
    def verdict(self) -> str:
        """What the figures say, in words."""
        points, low, high = (100 * each for each in (self.result.difference, *self._bounds()))
        first, second = self.names
        if self.shown:
            word = "better" if points > 0 else "worse"
            text = f"{second} is {word} than {first} by {abs(points):.1f} points (95 % {low:+.1f} to {high:+.1f})"
        else:
            unseen = f"a gap under about {100 * self.result.detectable:.1f} points would usually go unseen"
            text = f"no difference shown; with {self.result.n} data {unseen}"
        if self.gate is None:
            return text
        return f"{self.gate.value}: {_GATES[self.gate].format(margin=100 * self.margin, low=low, high=high)}; {text}"

    def as_dict(self) -> dict[str, Any]:
        """The comparison as `--format json` prints it."""
        low, high = self._bounds()
        return {
            "n": self.result.n,
            "a": self.a,
            "b": self.b,
            "fixed": list(self.fixed),
            "broken": list(self.broken),
            "difference": self.result.difference,
            "ci_low": low,
            "ci_high": high,
            "test": self.result.test,
            "p_value": self.p_value,
            "minimum_detectable": self.result.detectable,
            "verdict": self.verdict,
            "warnings": list(self.warnings),
        }

    def _bounds(self) -> tuple[float, float]:
        return self.result.interval.low, self.result.interval.high


_GATES: Mapping[Gate, str] = {
    Gate.GO: "a regression of more than {margin:g} points is ruled out, the lower bound is {low:+.2f}",
    Gate.NO_GO: "a regression of more than {margin:g} points is shown, the upper bound is {high:+.2f}",
    Gate.INCONCLUSIVE: "a regression of more than {margin:g} points is neither shown nor ruled out",
}


async def compare_runs(
    store: EvaluationStore,
    first: str | Subject,
    second: str | Subject,
    *,
    names: tuple[str, str] | None = None,
    max_regression: float | None = None,
    groups: Mapping[int | str, Hashable] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two stored runs, datum by datum.

    Args:
        store: where they are.
        first: the run that is the baseline: its id, or a subject where a part of it counts, or it is elsewhere.
        second: the other.
        names: how the verdict calls them; their models without.
        max_regression: how much worse the second may be, as a fraction, tested on the bound of the interval.
        groups: by datum index and id, the group of questions that each datum belongs to; such groups are clusters.
        seed: where resampling starts from.

    Raises:
        UsageError: a run is not there, they share nothing, or a shared datum has no group.
    """
    subjects = [each if isinstance(each, Subject) else Subject(run_id=each) for each in (first, second)]
    stores = [store if each.store is None else cast("EvaluationStore", each.store) for each in subjects]
    runs = [await _run(where, each.run_id) for where, each in zip(stores, subjects, strict=True)]
    pairs = await pair(stores, runs[0], runs[1], selections=[each.selection for each in subjects])
    first_name, second_name = names or labels(runs, [each.run_id for each in subjects])
    if subjects[0].run_id == subjects[1].run_id:
        same = f"both are of one run, {subjects[0].run_id}: its answers are compared with themselves"
        pairs = replace(pairs, warnings=(same, *pairs.warnings))
    made = _compared(pairs, (first_name, second_name), max_regression, _groups(pairs, groups), seed)
    before, after = (each.latency_s for each in subjects)
    return replace(made, latency_ratio=after / before) if before and after else made


async def compare_all(
    store: EvaluationStore,
    runs: Sequence[str | Subject],
    *,
    names: Sequence[str],
    groups: Mapping[int | str, Hashable] | None = None,
    seed: int = 0,
) -> list[Comparison]:
    """Every pair of these runs, in their order; p-values are corrected for the number of pairs by Holm's method.

    Raises:
        UsageError: as for `compare_runs`.
    """
    made = [
        await compare_runs(store, runs[i], runs[j], names=(names[i], names[j]), groups=groups, seed=seed)
        for i, j in combinations(range(len(runs)), 2)
    ]
    corrected = holm([each.p_value for each in made])
    return [replace(each, p_value=p_value) for each, p_value in zip(made, corrected, strict=True)]


def _groups(pairs: Pairs, groups: Mapping[int | str, Hashable] | None) -> list[Hashable] | None:
    if groups is None:
        return None
    missing = next((key for key in pairs.keys if key not in groups), None)
    if missing is not None:
        raise UsageError(f"datum {missing!r} belongs to no group", hint="name a field that every datum has")
    return [groups[key] for key in pairs.keys]


def _compared(
    pairs: Pairs, names: tuple[str, str], max_regression: float | None, groups: list[Hashable] | None, seed: int
) -> Comparison:
    first, second = ([datum.score for datum in side] for side in (pairs.first, pairs.second))
    result = compare_paired(first, second, single=pairs.single, groups=groups, seed=seed)
    binary = pairs.single and all(value in (0, 1) for value in (*first, *second))
    fixed = tuple(key for key, a, b in zip(pairs.keys, first, second, strict=True) if b > a)
    broken = tuple(key for key, a, b in zip(pairs.keys, first, second, strict=True) if a > b)
    both = sum(a == 1 == b for a, b in zip(first, second, strict=True))
    rest = len(first) - both - len(fixed) - len(broken)
    return Comparison(
        names=names,
        a=sum(first) / len(first),
        b=sum(second) / len(second),
        table=Table(both=both, fixed=len(fixed), broken=len(broken), neither=rest) if binary else None,
        fixed=fixed,
        broken=broken,
        result=result,
        p_value=result.p_value,
        warnings=pairs.warnings,
        cost_ratio=pairs.cost_ratio,
        task_time_ratio=pairs.task_time_ratio,
        gate=None if max_regression is None else gate(result, max_regression),
        margin=max_regression or 0.0,
    )


def gate(result: PairedResult, max_regression: float) -> Gate:
    """Whether a regression of more than this fraction is ruled out by the interval, shown by it, or neither."""
    if result.interval.low >= -max_regression:
        return Gate.GO
    return Gate.NO_GO if result.interval.high < -max_regression else Gate.INCONCLUSIVE


async def _run(store: EvaluationStore, run_id: str) -> Mapping[str, Any]:
    run = await store.run(run_id)
    if run is None:
        raise UsageError(
            f"the results of run {run_id!r} are not in this database, only its figures are known",
            hint="compare where it was run, or run it here",
        )
    return run


def labels(abouts: Sequence[Mapping[str, Any]], run_ids: Sequence[str]) -> list[str]:
    """What to call each run: its agent or its model, with the provider where that tells two apart, else with its id."""
    names = told_apart([{name: str(value or "") for name, value in dict(about).items()} for about in abouts])
    called = [agent or model for model, agent in names]
    return [f"{n} ({i})" if called.count(n) > 1 else n for n, i in zip(called, run_ids, strict=True)]
