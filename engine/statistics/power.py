"""What a comparison can see: the smallest difference that it would usually show, and the data that one needs."""

from __future__ import annotations

import math
from statistics import NormalDist

POWER = 0.8


def detectable(error: float, *, power: float = POWER, confidence: float = 0.95) -> float:
    """The smallest true difference that a two-sided test shows with this power, in the unit of its error.

    Args:
        error: the standard error of the difference.
        power: how often the difference is to be shown where it is there.
        confidence: one less the level of the test.

    Source: Miller 2024, arXiv 2411.00640, section 5, solved for the difference.
    """
    return _reach(power, confidence) * error


def discordant_error(fixed: int, broken: int, n: int) -> float:
    """The standard error of a paired difference of proportions where there is none: sqrt(fixed + broken) / n.

    At least one discordant pair is taken: none at all does not say that there never is one.

    Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample design",
        Biometrics 43, the variance under the null hypothesis.
    """
    return math.sqrt(max(fixed + broken, 1)) / n


def questions_needed(difference: float, *, discordant: float, power: float = POWER, confidence: float = 0.95) -> int:
    """How many data a paired comparison needs to show this difference with this power.

    Args:
        difference: the true difference, as a fraction: 0.02 for two points.
        discordant: the share of data on which the two differ; for two models that agree no more than by
            chance, both right with probability p, it is 2 p (1 - p), at most a half.
        power: how often the difference is to be shown.
        confidence: one less the level of the test.

    Source: Connor 1987, Biometrics 43; Miller 2024, arXiv 2411.00640, section 5.
    """
    normal = NormalDist()
    share = max(discordant, abs(difference))
    level, strength = normal.inv_cdf((1 + confidence) / 2), normal.inv_cdf(power)
    root = level * math.sqrt(share) + strength * math.sqrt(max(share - difference * difference, 0.0))
    return math.ceil((root / difference) ** 2)


def detectable_by(n: int, *, discordant: float, power: float = POWER, confidence: float = 0.95) -> float:
    """The smallest difference that a paired comparison of `n` data shows with this power: `questions_needed` solved.

    1.0 where so few data show none at all.

    Args:
        n: data that both runs have.
        discordant: as for `questions_needed`.
        power: how often the difference is to be shown.
        confidence: one less the level of the test.
    """
    low, high = 0.0, 1.0
    for _ in range(60):  # halves until nothing is left to halve
        middle = (low + high) / 2
        enough = questions_needed(middle, discordant=discordant, power=power, confidence=confidence) <= n
        low, high = (low, middle) if enough else (middle, high)
    return high


def _reach(power: float, confidence: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)
