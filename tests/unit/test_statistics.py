"""Intervals agree with independent computations, and cover what they promise to cover."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from scipy import stats

from engine.records import Outcome, Tally
from engine.statistics import (
    Interval,
    clustered_error,
    clustered_interval,
    mean_interval,
    score_interval,
    student_quantile,
    wilson,
)


def tally_of(data: Sequence[Sequence[float]]) -> Tally:
    values = [value for datum in data for value in datum]
    fractional = sum(value not in (0, 1) for value in values)
    return Tally(
        outcomes={
            Outcome.PASSED: values.count(1),
            Outcome.FAILED: values.count(0),
            Outcome.SCORED: fractional,
            Outcome.ERRORED: 2,
        },
        values=sum(values),
        squares=sum(value * value for value in values),
        fractional=fractional,
        clusters=len(data),
        cluster_square=sum(sum(datum) ** 2 for datum in data),
        cluster_cross=sum(sum(datum) * len(datum) for datum in data),
        cluster_count_square=sum(len(datum) ** 2 for datum in data),
    )


def assert_close(interval: Interval | None, low: float, high: float) -> None:
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (131, 500), (286, 1319), (1, 10_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_that_of_scipy(k, n, confidence):
    published = stats.binomtest(k, n).proportion_ci(confidence_level=confidence, method="wilson")
    assert_close(wilson(k, n, confidence), published.low, published.high)


def test_wilson_gives_the_figures_that_newcombe_published():
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    for k, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson(k, n)
        assert interval is not None
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_covers_what_it_promises():
    for share in (0.5, 0.8, 0.95):
        covered = 0.0
        for k in range(101):
            interval = wilson(k, 100)
            assert interval is not None
            covered += stats.binom.pmf(k, 100, share) * (interval.low <= share <= interval.high)
        assert 0.93 < covered < 0.98


def test_a_mean_of_partial_credit_has_the_interval_of_student():
    values = np.random.default_rng(1).random(30)
    published = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert_close(mean_interval(values.sum(), (values**2).sum(), 30), *published)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (4, 2.776), (29, 2.045), (1000, 1.962)])
def test_quantiles_are_those_of_the_printed_tables(freedom, quantile):
    assert round(student_quantile(0.975, freedom), 3) == quantile


def test_the_clustered_error_is_that_of_the_residuals():
    rng = np.random.default_rng(2)
    data = [list((rng.random(rng.integers(1, 6)) < 0.6).astype(float)) for _ in range(40)]
    values = np.concatenate(data)
    mean, n = values.mean(), len(values)
    pairs = sum((a - mean) * (b - mean) for datum in data for a in datum for b in datum)
    error = math.sqrt(pairs * 40 / 39) / n
    assert clustered_error(tally_of(data)) == pytest.approx(error)
    reach = stats.t.ppf(0.975, 39) * error
    assert_close(clustered_interval(tally_of(data)), mean - reach, mean + reach)


def test_with_equal_repeats_clusters_are_a_t_interval_of_the_means_of_the_data():
    data = [[1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0]]
    means = [sum(datum) / 3 for datum in data]
    assert_close(clustered_interval(tally_of(data)), *stats.t.interval(0.95, 4, np.mean(means), stats.sem(means)))


def test_repeats_that_always_agree_make_the_interval_no_narrower():
    once = [[1.0]] * 30 + [[0.0]] * 20
    fivefold = [datum * 5 for datum in once]
    wide, narrow = score_interval(tally_of(fivefold), 5), wilson(150, 250)
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert clustered_error(tally_of(fivefold)) == pytest.approx(clustered_error(tally_of(once)))


def test_clustered_intervals_cover_what_they_promise():
    rng = random.Random(3)
    covered = 0
    for _ in range(1000):
        chances = [rng.betavariate(2, 1) for _ in range(40)]
        data = [[float(rng.random() < chance) for _ in range(4)] for chance in chances]
        interval = score_interval(tally_of(data), 4)
        assert interval is not None
        covered += interval.low <= 2 / 3 <= interval.high
    assert 0.93 < covered / 1000 < 0.97


def test_right_and_wrong_once_each_is_wilson_over_counted_tasks():
    assert score_interval(tally_of([[1]] * 131 + [[0]] * 369), 1) == wilson(131, 500)


def test_partial_credit_stays_within_0_and_1():
    interval = score_interval(tally_of([[1.0], [1.0], [0.5]]), 1)
    assert interval is not None
    assert interval.high == 1
    assert 0 <= interval.low < 0.5


def test_no_counted_task_has_no_interval():
    assert score_interval(Tally(outcomes={Outcome.ERRORED: 3}), 1) is None
    assert wilson(0, 0) is None
    assert mean_interval(0.5, 0.25, 1) is None
    assert clustered_interval(tally_of([[1, 0]])) is None


def test_one_task_says_little():
    assert score_interval(tally_of([[1]]), 1) == wilson(1, 1)
    assert score_interval(tally_of([[0.5]]), 1) == wilson(0.5, 1)
    assert score_interval(tally_of([[1, 1, 0]]), 3) == wilson(2 / 3, 1)


@pytest.mark.parametrize(("datum", "repeats"), [([0.3], 1), ([1, 1], 2), ([0, 0, 0], 3), ([1, 0], 2)])
def test_equal_values_are_not_taken_for_certainty(datum, repeats):
    share = sum(datum) / len(datum)
    widest = wilson(share * 10, 10)
    assert widest is not None
    assert_close(score_interval(tally_of([datum] * 10), repeats), widest.low, widest.high)


def test_a_run_of_right_and_wrong_answers_does_not_load_scipy():
    code = (
        "import sys; from engine.records import Outcome, Tally; from engine.statistics import score_interval;"
        "score_interval(Tally(outcomes={Outcome.PASSED: 3}, values=3.0), 1);"
        "sys.exit(any(name.partition('.')[0] in ('scipy', 'numpy') for name in sys.modules))"
    )
    assert run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
