"""Intervals around a score, a mean or a quantile, from counts and sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from engine.records import Tally

ROUNDING = 1e-12
"""A sum of squared deviations below this share of the sum of squares is nothing but rounding."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The bounds of a confidence interval, in the unit of the estimate."""

    low: float
    high: float

    def within(self, low: float, high: float) -> Interval:
        """The same, clipped to a range that the estimate cannot leave."""
        return Interval(min(max(self.low, low), high), min(max(self.high, low), high))


def score_interval(tally: Tally, repeats: int, confidence: float = 0.95) -> Interval | None:
    """The interval around `tally.score`, as fractions in 0-1; None where no task was counted.

    With several repeats: Student's t on the clustered standard error, a datum's repeats being one cluster.
    Right and wrong answers once each: Wilson. Partial credit: Student's t. Where all values are equal, t has
    no width and says more than is known; the interval is then Wilson's with as many trials as there are data.

    Source: Miller 2024, arXiv 2411.00640 (clusters); Bowyer, Aitchison and Ivanova 2025, arXiv 2503.01747
        (no normal approximation for a proportion of few data).
    Differs: Miller takes the normal quantile.
    """
    n = tally.counted
    if not n:
        return None
    if repeats > 1 and tally.clusters:
        units = tally.clusters
        interval = clustered_interval(tally, confidence)
    elif not tally.fractional:
        return wilson(tally.values, n, confidence)
    else:
        units = n
        interval = mean_interval(tally.values, tally.squares, n, confidence)
    if interval is None or interval.low == interval.high:
        return wilson(tally.values / n * units, units, confidence)
    return interval.within(0.0, 1.0)


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval | None:
    """The score interval of a proportion, always within 0-1; None without trials.

    Args:
        successes: how many of the trials; a fraction where the mean of values in 0-1 stands for it.
        n: trials.
        confidence: the share of such intervals that hold the true proportion.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22;
        without continuity correction.
    """
    if n <= 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = successes / n, z * z / n
    middle = share + weight / 2
    reach = math.sqrt(max(share * (1 - share), 0.0) * weight + weight * weight / 4)
    low, high = (middle - reach) / (1 + weight), (middle + reach) / (1 + weight)
    return Interval(0.0 if successes <= 0 else low, 1.0 if successes >= n else high).within(0.0, 1.0)


def mean_interval(total: float, squares: float, n: int, confidence: float = 0.95) -> Interval | None:
    """Student's t interval of a mean of independent values; None for fewer than two.

    Args:
        total: the sum of the values.
        squares: the sum of their squares.
        n: how many there are.
        confidence: the share of such intervals that hold the true mean.

    Source: Student 1908, "The probable error of a mean", Biometrika 6.
    """
    if n < 2:
        return None
    mean = total / n
    deviations = _deviations(squares - n * mean * mean, squares)
    return _around(mean, math.sqrt(deviations / (n - 1) / n), n - 1, confidence)


def clustered_interval(tally: Tally, confidence: float = 0.95) -> Interval | None:
    """Student's t interval of `tally.score`, a datum's repeats being one cluster; None for fewer than two data.

    See `clustered_error`; degrees of freedom are the data less one.
    """
    error = clustered_error(tally)
    score = tally.score
    if error is None or score is None:
        return None
    return _around(score, error, tally.clusters - 1, confidence)


def clustered_error(tally: Tally) -> float | None:
    """The cluster-robust standard error of `tally.score`; None for fewer than two data.

    With data c of n_c counted repeats and sum of scores T_c, N tasks in all and mean s:
    sqrt(G / (G - 1) * sum over the G data of (T_c - n_c s)^2) / N.

    Source: Miller 2024, arXiv 2411.00640, on clustered standard errors.
    Differs: the factor G / (G - 1), usual for few clusters (CR1), so that with one repeat a datum it is the
        plain standard error of the mean.
    """
    clusters, n, score = tally.clusters, tally.counted, tally.score
    if clusters < 2 or score is None:
        return None
    raw = tally.cluster_square - 2 * score * tally.cluster_cross + score * score * tally.cluster_count_square
    return math.sqrt(_deviations(raw, tally.cluster_square) * clusters / (clusters - 1)) / n


@dataclass(slots=True)
class ClusteredMean:
    """Sums over the clusters of a mean, filled cluster by cluster: what its interval is made from.

    A cluster is a datum with its repeats, or a group of questions that share a passage.
    """

    clusters: int = 0
    counted: int = 0
    total: float = 0.0
    square: float = 0.0
    cross: float = 0.0
    count_square: int = 0
    partial: bool = False

    def add(self, values: Sequence[float]) -> None:
        """Count one cluster, with all its values."""
        total, n = math.fsum(values), len(values)
        self.clusters += 1
        self.counted += n
        self.total += total
        self.square += total * total
        self.cross += total * n
        self.count_square += n * n
        self.partial = self.partial or any(value not in (0, 1) for value in values)

    @property
    def mean(self) -> float:
        """The mean of all values."""
        return self.total / self.counted

    @property
    def error(self) -> float | None:
        """The cluster-robust standard error of the mean, as `clustered_error`; None for fewer than two clusters."""
        if self.clusters < 2:
            return None
        mean = self.mean
        raw = self.square - 2 * mean * self.cross + mean * mean * self.count_square
        return math.sqrt(_deviations(raw, self.square) * self.clusters / (self.clusters - 1)) / self.counted

    def interval(self, *, share: bool, confidence: float = 0.95) -> Interval | None:
        """The interval of the mean; None where nothing can be said.

        Args:
            share: whether the values are shares in 0-1: those that are 0 or 1, once each, get Wilson's
                interval, and so do equal ones, whose spread says nothing.
            confidence: the share of such intervals that hold the true mean.
        """
        error = self.error
        if share and ((self.counted == self.clusters and not self.partial) or not error):
            return wilson(self.mean * self.clusters, self.clusters, confidence)
        if error is None:
            return None
        found = _around(self.mean, error, self.clusters - 1, confidence)
        return found.within(0.0, 1.0) if share else found


def quantile_interval(values: Sequence[float], share: float, confidence: float = 0.95) -> tuple[float, Interval]:
    """A quantile of independent values and its interval; the values need not be sorted.

    The quantile is the value of rank ceil(share * n). The interval lies between the order statistics whose
    ranks are n times the bounds of Wilson's interval for `share`, rounded outwards.

    Source: Thompson 1936, "On confidence ranges for the median and other expectation distributions for
        populations of unknown distribution form", Annals of Mathematical Statistics 7.
    Differs: the binomial bounds are Wilson's in place of exact ones.
    """
    ordered, n = sorted(values), len(values)
    bounds = wilson(share * n, n, confidence)
    assert bounds is not None
    ranks = (math.ceil(share * n), math.floor(bounds.low * n), math.ceil(bounds.high * n) + 1)
    middle, low, high = (ordered[min(max(rank, 1), n) - 1] for rank in ranks)
    return middle, Interval(low, high)


def _deviations(raw: float, squares: float) -> float:
    return raw if raw > ROUNDING * squares else 0.0


def _around(mean: float, error: float, freedom: int, confidence: float) -> Interval:
    if not error:
        return Interval(mean, mean)
    reach = student_quantile((1 + confidence) / 2, freedom) * error
    return Interval(mean - reach, mean + reach)


def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t with that many degrees of freedom."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(freedom, probability))
