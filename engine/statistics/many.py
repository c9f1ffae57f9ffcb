"""Many comparisons at once: p-values corrected for their number, and ranks as far as they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected so that all of them together err at most as often as one alone; in their order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = highest
    return corrected


def rank_ranges(n: int, shown: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The best and the worst rank that each of `n` things can have, from 1.

    Args:
        n: how many there are.
        shown: `(better, worse)` for each pair of which a difference is shown; all other pairs tie.
    """
    above, below = [0] * n, [0] * n
    for better, worse in shown:
        above[worse] += 1
        below[better] += 1
    return [(1 + above[each], n - below[each]) for each in range(n)]
