"""Resampling with a seed: the interval and the p-value of a mean whose values keep to no known distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.statistics.intervals import Interval

RESAMPLES = 9_999
AT_ONCE = 2_000_000
"""Values drawn at a time, so that memory does not follow the number of resamples."""


@dataclass(frozen=True, slots=True)
class Resampled:
    """A mean with its standard error, its interval and the p-value for a true mean of 0."""

    mean: float
    error: float
    interval: Interval
    p_value: float


def resampled_mean(
    values: Sequence[float],
    *,
    counts: Sequence[int] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Resampled:
    """The mean of independent values, each that of one cluster, by the symmetric studentised bootstrap.

    With `counts` the values are sums over clusters of so many members, and the mean is that over members; the
    standard errors are then cluster-robust, as those of `ClusteredMean`.

    With mean m and standard error e, and m*, e* those of each resample: the interval is m plus and minus e
    times the confidence quantile of |m* - m| / e*; the p-value is the share of resamples, counting the values
    themselves as one, in which that reaches |m| / e. So the interval leaves 0 out just where p is small.
    Resamples of equal values have no error: they count as infinitely far where their mean is not m.

    Args:
        values: at least two, not all equal.
        counts: how many members the clusters have; one each without.
        seed: where the draws start from; the same seed gives the same figures.
        resamples: how many are drawn.
        confidence: the share of such intervals that hold the true mean.

    Source: Hall 1988, "On symmetric bootstrap confidence intervals", JRSS B 50; Davison and Hinkley 1997,
        "Bootstrap Methods and their Application", 4.4 (p-value with the values themselves counted).
    """
    import numpy as np

    totals = np.asarray(values, dtype=float)
    sizes = np.ones(len(totals)) if counts is None else np.asarray(counts, dtype=float)
    n = len(totals)
    mean, error = (float(each) for each in _moments(totals, sizes))
    random = np.random.default_rng(seed)
    distances = []
    step = max(1, AT_ONCE // n)
    for start in range(0, resamples, step):
        picked = random.integers(0, n, size=(min(step, resamples - start), n))
        means, spread = _moments(totals[picked], sizes[picked])
        off = np.abs(means - mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            distances.append(np.where(spread > 0, off / spread, np.where(off > 0, np.inf, 0.0)))
    far = np.concatenate(distances)
    rank = min(math.ceil(confidence * (resamples + 1)), resamples)
    reach = float(np.partition(far, rank - 1)[rank - 1]) * error
    p_value = (1 + int((far >= abs(mean) / error).sum())) / (resamples + 1)
    return Resampled(mean, error, Interval(mean - reach, mean + reach), p_value)


def _moments(sums: Any, members: Any) -> tuple[Any, Any]:
    """The mean over members, and its cluster-robust standard error, along the last axis."""
    import numpy as np

    everybody, clusters = members.sum(axis=-1), sums.shape[-1]
    mean = sums.sum(axis=-1) / everybody
    off = sums - members * mean[..., None]
    return mean, np.sqrt((off * off).sum(axis=-1) * clusters / (clusters - 1)) / everybody
