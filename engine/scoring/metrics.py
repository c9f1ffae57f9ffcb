"""What several answers to one question say together: pass@k, pass^k, majority@k, average@k; pure functions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import ceil, comb

from engine.errors import UsageError

VERSION = 1


def pass_at_k(n: int, correct: int, k: int) -> float:
    """How likely one of k answers is correct, drawn from n without putting back, of which `correct` are.

    Unbiased: the mean over questions estimates the chance that k fresh answers hold a correct one.

    Raises:
        UsageError: it is not 0 <= correct <= n and 1 <= k <= n.

    Source: Chen et al. 2021, arXiv 2107.03374, section 2.1.
    Differs: exact integers in place of a product of floats.
    """
    _check(n, correct, k)
    return 1.0 - comb(n - correct, k) / comb(n, k)


def pass_hat_k(n: int, correct: int, k: int) -> float:
    """How likely all of k answers are correct, drawn from n without putting back: pass^k.

    Raises:
        UsageError: as `pass_at_k`.

    Source: tau-bench (Yao et al. 2024, arXiv 2406.12045), section 3.
    """
    _check(n, correct, k)
    return comb(correct, k) / comb(n, k)


def threshold_pass_at_k(n: int, correct: int, k: int, threshold: float) -> float:
    """How likely at least the share `threshold` of k answers is correct: G-Pass@k.

    0 asks for one correct answer (pass@k), 1 for all of them (pass^k).

    Raises:
        UsageError: as `pass_at_k`, or the threshold is not in 0-1.

    Source: Liu et al. 2024, arXiv 2412.13147, equation 3.
    """
    _check(n, correct, k)
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"the threshold is {threshold!r}", hint="it is a share in 0-1")
    least = max(ceil(threshold * k), 1)
    ways = sum(comb(correct, j) * comb(n - correct, k - j) for j in range(least, min(correct, k) + 1))
    return ways / comb(n, k)


def average_at_k(values: Sequence[float], k: int) -> float:
    """The mean value of the first k answers.

    Raises:
        UsageError: there are fewer than k, or k is less than 1.
    """
    _check(len(values), 0, k)
    return sum(values[:k]) / k


def majority(answers: Iterable[Hashable | None]) -> int | None:
    """The position of the first answer among those given most often; None where no answer is given at all.

    None is an abstention. Of equally frequent answers the one that came first wins.

    Source: self-consistency (Wang et al. 2022, arXiv 2203.11171), which leaves ties open.
    """
    counts: dict[Hashable, int] = {}
    first: dict[Hashable, int] = {}
    for position, answer in enumerate(answers):
        if answer is not None:
            counts[answer] = counts.get(answer, 0) + 1
            first.setdefault(answer, position)
    return first[max(counts, key=lambda answer: counts[answer])] if counts else None


def majority_at_k(answers: Sequence[Hashable | None], values: Sequence[float], k: int) -> float:
    """The value of the most frequent of the first k answers; 0 where none of them holds an answer.

    Raises:
        UsageError: there are fewer than k, k is less than 1, or values and answers differ in number.
    """
    if len(answers) != len(values):
        raise UsageError(f"there are {len(answers)} answers and {len(values)} values", hint="give one for each")
    _check(len(answers), 0, k)
    chosen = majority(answers[:k])
    return 0.0 if chosen is None else values[chosen]


def repeat_metrics(questions: Iterable[tuple[Sequence[Hashable | None], Sequence[float]]], k: int) -> dict[str, float]:
    """Metrics over questions that were answered k times: `pass@j` and `pass^j` for j = 1, 2, 4 ... k, `majority@k`.

    A question of which fewer than j answers could be judged does not count for j.

    Args:
        questions: for each, its answers and their values, in the order of the repeats; 1 is correct.
        k: how often each was asked.
    """
    steps = sorted({k, *(1 << power for power in range(k.bit_length()) if 1 << power <= k)})
    sums: dict[str, list[float]] = {}
    for answers, values in questions:
        n, correct = len(values), sum(value == 1 for value in values)
        figures = {f"pass@{j}": pass_at_k(n, correct, j) for j in steps if j <= n}
        figures |= {f"pass^{j}": pass_hat_k(n, correct, j) for j in steps if 1 < j <= n}
        if k <= n and any(answer is not None for answer in answers):
            figures[f"majority@{k}"] = majority_at_k(answers, values, k)
        for name, value in figures.items():
            total = sums.setdefault(name, [0.0, 0.0])
            total[0] += value
            total[1] += 1
    return {name: total / count for name, (total, count) in sums.items()}


def _check(n: int, correct: int, k: int) -> None:
    if not (0 <= correct <= n and 1 <= k <= n):
        raise UsageError(
            f"k is {k!r} of n {n!r} answers, {correct!r} of them correct", hint="0 <= correct <= n and 1 <= k <= n"
        )
