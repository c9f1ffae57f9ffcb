"""Two runs that share no data: whether their scores differ, from what is known of each alone."""

from __future__ import annotations

import math

NOTHING = 1e-30
"""A probability below this share of the likeliest adds nothing to a sum of them."""
ALIKE = 1 + 1e-7
"""Two probabilities that differ by less are one and the same, but for rounding."""


def fisher_exact(right: int, n: int, other_right: int, other_n: int) -> float:
    """The two-sided p-value of two shares of right answers, exact for any number of data.

    It sums the probabilities of all ways to share out the right answers that are no likelier than what was
    seen, were both equally good. Shares of 0 and 1 are shares like any other.

    Args:
        right: how many of the first `n` answers are right.
        n: answers of the first.
        other_right: how many of the second are right.
        other_n: answers of the second.

    Source: Fisher 1935, "The logic of inductive inference", Journal of the Royal Statistical Society 98; two-sided
        as R and scipy have it.
    """
    total = right + other_right
    lowest, highest = max(0, total - other_n), min(n, total)
    likeliest = min(max((n + 1) * (total + 1) // (n + other_n + 2), lowest), highest)
    # Probabilities relative to the likeliest, so that nothing overflows: each follows from the one beside it.
    weights = {likeliest: 1.0}
    weight = 1.0
    for k in range(likeliest, highest):
        weight *= (n - k) * (total - k) / ((k + 1) * (other_n - total + k + 1))
        if weight < NOTHING:
            break
        weights[k + 1] = weight
    weight = 1.0
    for k in range(likeliest, lowest, -1):
        weight *= k * (other_n - total + k) / ((n - k + 1) * (total - k + 1))
        if weight < NOTHING:
            break
        weights[k - 1] = weight
    seen = weights.get(right, 0.0) * ALIKE
    return min(1.0, math.fsum(each for each in weights.values() if each <= seen) / math.fsum(weights.values()))


def welch(difference: float, errors: tuple[float, float], units: tuple[int, int]) -> float:
    """The two-sided p-value of the difference of two means, each with a spread of its own.

    1.0, no difference, where a spread cannot be known: fewer than two data, or all values equal.

    Args:
        difference: of the means.
        errors: their standard errors.
        units: the data, or groups of them, that each is made from.

    Source: Welch 1947, "The generalization of Student's problem when several different population variances are
        involved", Biometrika 34.
    """
    if min(errors) <= 0 or min(units) < 2:
        return 1.0
    from scipy.special import stdtr  # type: ignore[import-untyped]

    squares = [error * error for error in errors]
    freedom = sum(squares) ** 2 / sum(s * s / (n - 1) for s, n in zip(squares, units, strict=True))
    return float(2 * stdtr(freedom, -abs(difference) / math.sqrt(sum(squares))))
