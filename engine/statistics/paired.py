"""Two runs on the same data: the difference of their scores, how sure it is, and whether it is shown.

The difference is always the second less the first, as a fraction.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from engine.statistics.bootstrap import resampled_mean
from engine.statistics.intervals import ROUNDING, Interval, wilson
from engine.statistics.power import detectable, discordant_error

MCNEMAR, BOOTSTRAP = "mcnemar_exact", "paired_bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How often both were right, only the second (`fixed`), only the first (`broken`), and neither."""

    both: int
    fixed: int
    broken: int
    neither: int

    @property
    def n(self) -> int:
        """All pairs."""
        return self.both + self.fixed + self.broken + self.neither

    @property
    def difference(self) -> float:
        """The share that the second had right, less that of the first."""
        return (self.fixed - self.broken) / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedResult:
    """A difference with its interval, the test that was made and what it would usually have shown.

    `detectable` is the smallest true difference that this comparison shows four times in five.
    """

    n: int
    difference: float
    interval: Interval
    test: str
    p_value: float
    detectable: float


def compare_paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    single: bool,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedResult:
    """Compare the values of two runs, datum by datum.

    One test is made and chosen by what the data are, never by what it says: exact McNemar where each datum
    was asked once (`single`) and every value is 0 or 1, else the studentised bootstrap over data, so that the
    repeats of a datum stay together.

    Args:
        first: a value for each shared datum, in 0-1; the mean over its repeats.
        second: the same of the other run, in the same order.
        single: whether both runs asked each datum once.
        groups: for each datum what it belongs to, as the passage that it asks about; data of one group are one
            cluster, and the bootstrap is over clusters.
        seed: where resampling starts from.
        confidence: the share of such intervals that hold the true difference.
    """
    n = len(first)
    if groups is not None and len(set(groups)) < n:
        return _clustered([b - a for a, b in zip(first, second, strict=True)], groups, seed, confidence)
    if single and all(value in (0, 1) for value in (*first, *second)):
        both = sum(a == 1 == b for a, b in zip(first, second, strict=True))
        fixed = sum(b > a for a, b in zip(first, second, strict=True))
        broken = sum(a > b for a, b in zip(first, second, strict=True))
        return compare_table(
            Table(both=both, fixed=fixed, broken=broken, neither=n - both - fixed - broken), confidence
        )
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if n < 2 or min(differences) == max(differences):
        return _without_spread(differences, confidence)
    found = resampled_mean(differences, seed=seed, confidence=confidence)
    return PairedResult(
        n=n,
        difference=found.mean,
        interval=found.interval.within(-1.0, 1.0),
        test=BOOTSTRAP,
        p_value=found.p_value,
        detectable=detectable(found.error, confidence=confidence),
    )


def _clustered(differences: Sequence[float], groups: Sequence[Hashable], seed: int, confidence: float) -> PairedResult:
    """The mean difference over data, groups of them being resampled whole."""
    held: dict[Hashable, list[float]] = {}
    for group, difference in zip(groups, differences, strict=True):
        held.setdefault(group, []).append(difference)
    sums, counts = [math.fsum(each) for each in held.values()], [len(each) for each in held.values()]
    mean = math.fsum(sums) / sum(counts)
    off = max(abs(total - count * mean) for total, count in zip(sums, counts, strict=True))
    if len(held) < 2 or off < ROUNDING:
        return replace(_without_spread([mean] * len(held), confidence), n=len(differences))
    found = resampled_mean(sums, counts=counts, seed=seed, confidence=confidence)
    return PairedResult(
        n=len(differences),
        difference=found.mean,
        interval=found.interval.within(-1.0, 1.0),
        test=BOOTSTRAP,
        p_value=found.p_value,
        detectable=detectable(found.error, confidence=confidence),
    )


def compare_table(table: Table, confidence: float = 0.95) -> PairedResult:
    """Compare two runs of right and wrong answers."""
    return PairedResult(
        n=table.n,
        difference=table.difference,
        interval=newcombe_paired(table, confidence),
        test=MCNEMAR,
        p_value=mcnemar_exact(table.fixed, table.broken),
        detectable=detectable(discordant_error(table.fixed, table.broken, table.n), confidence=confidence),
    )


def mcnemar_exact(fixed: int, broken: int) -> float:
    """The two-sided p-value of as uneven a split of the discordant pairs, were both sides equally likely.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
        percentages", Psychometrika 12; the exact binomial form, as Dietterich 1998 recommends for few pairs.
    """
    n, fewer = fixed + broken, min(fixed, broken)
    if 2 * fewer >= n:
        return 1.0
    # Terms of the binomial relative to its middle, so that nothing overflows: each follows from the last.
    middle = n // 2
    term, tail, half = 1.0, 0.0, 0.0
    for k in range(middle, -1, -1):
        half += term
        if k <= fewer:
            tail += term
        term *= k / (n - k + 1)
        if term == 0.0:
            break
    whole = 2 * half - (1.0 if n % 2 == 0 else 0.0)
    return min(1.0, 2 * tail / whole)


def newcombe_paired(table: Table, confidence: float = 0.95) -> Interval:
    """The interval of a paired difference of proportions; always within -1 and 1.

    Wilson's intervals of both proportions are put together with the correlation of the pairs.

    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions
        based on paired data", Statistics in Medicine 17, method 10.
    """
    n, fixed, broken = table.n, table.fixed, table.broken
    second, first = table.both + fixed, table.both + broken
    ours, theirs = wilson(second, n, confidence), wilson(first, n, confidence)
    assert ours is not None
    assert theirs is not None
    p, q = second / n, first / n
    phi = _correlation(table)
    difference = table.difference

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))

    low = difference - reach(p - ours.low, theirs.high - q)
    high = difference + reach(ours.high - p, q - theirs.low)
    return Interval(low, high).within(-1.0, 1.0)


def _correlation(table: Table) -> float:
    """Newcombe's phi, corrected for continuity where it is positive; 0 where a margin is empty."""
    second, first = table.both + table.fixed, table.both + table.broken
    margins = math.sqrt(second * (table.n - second)) * math.sqrt(first * (table.n - first))
    product = float(table.both * table.neither - table.fixed * table.broken)
    if not margins:
        return 0.0
    return (max(product - table.n / 2, 0.0) if product > 0 else product) / margins


def _without_spread(differences: Sequence[float], confidence: float) -> PairedResult:
    """Data that all differ alike have no spread to resample; Wilson's bound for what was not seen stands in."""
    n = len(differences)
    mean = differences[0]
    unseen = wilson(0, n, confidence)
    assert unseen is not None
    fixed, broken = (n, 0) if mean > 0 else (0, n)
    return PairedResult(
        n=n,
        difference=mean,
        interval=Interval(mean - unseen.high, mean + unseen.high).within(-1.0, 1.0),
        test=BOOTSTRAP,
        p_value=mcnemar_exact(fixed, broken) if mean else 1.0,
        detectable=detectable(discordant_error(0, 0, n), confidence=confidence),
    )
