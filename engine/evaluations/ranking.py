"""Everything ranked by one metric, with ranks as ranges: what is not shown to differ shares them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from engine.evaluations.evaluation import FRACTION, Evaluation, EvaluationStore, Metric
from engine.statistics import fisher_exact, holm, mcnemar_exact, rank_ranges, welch

LEVEL = 0.05
CLOSE = 1e-6
"""Counts and errors that differ by less are the same, but for rounding."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """An evaluation's place by a metric: `best` and `worst` are the ranks that it can have, from 1."""

    best: int
    worst: int
    evaluation: Evaluation
    metric: Metric

    @property
    def rank(self) -> str:
        """`3`, or `2–5` where ranks are shared."""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


@dataclass(frozen=True, slots=True)
class _Answers:
    """Scores by datum: as bits where each is right or wrong, once; else as mean values."""

    dataset: str
    asked: int
    right: int
    values: Mapping[int, float]
    binary: bool


async def ranking(store: EvaluationStore | None, evaluations: Sequence[Evaluation], name: str) -> list[Ranked]:
    """Evaluations that have the metric, the best first, each with the range of its rank.

    Two of them tie unless their difference is shown at the level of 5 %, corrected by Holm's method for all
    pairs. A pair that shares data is compared on it: exact McNemar where answers are right or wrong, else
    the paired t-test over data. Other pairs are compared by Fisher's exact test where answers are right or
    wrong, else by Welch's t-test. Figures whose spread cannot be known tie with everything.

    Args:
        store: where the answers are; None compares by what is known of each figure alone.
        evaluations: of which those without the metric are left out.
        name: the metric.
    """
    found = [(each, each.metrics[name]) for each in evaluations if name in each.metrics]
    found = [(each, metric) for each, metric in found if metric.value is not None]
    upwards = all(metric.higher_is_better is not False for _, metric in found)
    found.sort(key=lambda pair: (pair[1].value or 0.0) * (-1 if upwards else 1))
    answers = [await _answers(store, each, name) for each, _ in found]
    pairs = list(combinations(range(len(found)), 2))
    p_values = [_p_value(*found[i], answers[i], *found[j], answers[j]) for i, j in pairs]
    shown = [pair for pair, p_value in zip(pairs, holm(p_values), strict=True) if p_value < LEVEL]
    ranges = rank_ranges(len(found), shown)
    return [Ranked(*span, *pair) for span, pair in zip(ranges, found, strict=True)]


async def _answers(store: EvaluationStore | None, evaluation: Evaluation, name: str) -> _Answers | None:
    if store is None or not evaluation.run_id or name != evaluation.details.get("evaluation_name"):
        return None
    sums: dict[int, list[float]] = {}
    selection = evaluation.selection
    limits = {} if selection is None else {"repeats": selection.repeats}
    for index, score in await store.scores(evaluation.run_id, **limits):
        if selection is not None and (index, 0) not in selection:
            continue
        sums.setdefault(index, []).append(score)
    if not sums:
        return None
    binary = all(len(scores) == 1 and scores[0] in (0, 1) for scores in sums.values())
    asked = _bits(sums)
    right = _bits(index for index, scores in sums.items() if scores[0] == 1) if binary else 0
    values = {} if binary else {index: sum(scores) / len(scores) for index, scores in sums.items()}
    return _Answers(str(evaluation.details.get("dataset_fingerprint")), asked, right, values, binary)


def _bits(indices: Any) -> int:
    held = list(indices)
    marks = bytearray(max(held, default=0) // 8 + 1)
    for index in held:
        marks[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(marks, "little")


def _p_value(
    one: Evaluation, first: Metric, ours: _Answers | None, other: Evaluation, second: Metric, theirs: _Answers | None
) -> float:
    if ours is not None and theirs is not None and ours.dataset == theirs.dataset:
        shared = ours.asked & theirs.asked
        if shared and ours.binary and theirs.binary:
            fixed = (theirs.right & ~ours.right & shared).bit_count()
            broken = (ours.right & ~theirs.right & shared).bit_count()
            return _mcnemar(min(fixed, broken), max(fixed, broken))
        if shared:
            return _t_test(list(_differences(ours, theirs)))
    return _unpaired(one, first, other, second)


def _unpaired(one: Evaluation, first: Metric, other: Evaluation, second: Metric) -> float:
    """By what is known of each figure alone; nothing is claimed of one whose spread cannot be known."""
    counts = _counts(one, first), _counts(other, second)
    if counts[0] is not None and counts[1] is not None:
        return _fisher(*counts[0], *counts[1])
    if first.stderr is None or second.stderr is None or first.value is None or second.value is None:
        return 1.0
    units = _units(one, first), _units(other, second)
    return welch(first.value - second.value, (first.stderr, second.stderr), units)


def _units(evaluation: Evaluation, metric: Metric) -> int:
    """The data behind a figure: the repeats of a datum are one."""
    repeats = evaluation.details.get("repeats")
    return (metric.n or 0) // (repeats if isinstance(repeats, int) and repeats > 0 else 1)


def _counts(evaluation: Evaluation, metric: Metric) -> tuple[int, int] | None:
    """How many answers are right, and of how many; None where answers can be more than right or wrong.

    No values in 0-1 spread further around their mean than those that are 0 or 1, so their standard error tells.
    Repeats tell of it only where they are all right, or all wrong, and are then one answer a datum.
    """
    n, value, error = _units(evaluation, metric), metric.value, metric.stderr
    if metric.unit != FRACTION or value is None or error is None or n < 2 or not 0 <= value <= 1:
        return None
    right = round(value * n)
    widest = math.sqrt(value * (1 - value) / (n - 1))
    whole = math.isclose(value * n, right, abs_tol=CLOSE) and math.isclose(error, widest, abs_tol=CLOSE)
    single = n == metric.n or value in (0, 1)
    return (right, n) if whole and single else None


_fisher = lru_cache(maxsize=100_000)(fisher_exact)
_mcnemar = lru_cache(maxsize=100_000)(mcnemar_exact)


def _differences(ours: _Answers, theirs: _Answers) -> Iterator[float]:
    one, other = _values(ours), _values(theirs)
    return (other[index] - value for index, value in one.items() if index in other)


def _values(answers: _Answers) -> Mapping[int, float]:
    if not answers.binary:
        return answers.values
    return {i: float(answers.right >> i & 1) for i in range(answers.asked.bit_length()) if answers.asked >> i & 1}


def _t_test(differences: Sequence[float]) -> float:
    n = len(differences)
    mean = math.fsum(differences) / n
    spread = math.fsum((each - mean) ** 2 for each in differences)
    if n < 2 or spread <= 0:
        return 1.0 if not mean or n < 2 else 0.5 ** (n - 1)
    from scipy.special import stdtr  # type: ignore[import-untyped]

    t = mean / math.sqrt(spread / (n - 1) / n)
    return float(2 * stdtr(n - 1, -abs(t)))
