"""Two runs are compared on what they share, and everything that sets them apart is said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from scipy import stats

from engine.errors import UsageError
from engine.evaluations.compare import Gate, compare_all, compare_runs
from engine.evaluations.pairing import Subject
from tests.evaluation_kit import open_store, put_run

FIRST = [1, 1, 1, 0, 0, 1, 1, 0, 1, 1]
SECOND = [1, 0, 1, 1, 0, 1, 1, 1, 1, 1]
DOCUMENTED = [
    "n",
    "a",
    "b",
    "fixed",
    "broken",
    "difference",
    "ci_low",
    "ci_high",
    "test",
    "p_value",
    "minimum_detectable",
]


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "bench.db") as opened:
        yield opened


async def test_single_right_and_wrong_answers_give_the_two_by_two_and_mcnemar(store):
    await put_run(store, "a", FIRST, model="one")
    await put_run(store, "b", SECOND, model="two")
    made = await compare_runs(store, "a", "b")
    assert (made.fixed, made.broken) == ((3, 7), (1,))
    assert made.table is not None
    assert (made.table.both, made.table.fixed, made.table.broken, made.table.neither) == (6, 2, 1, 1)
    assert (made.a, made.b) == (0.7, 0.8)
    assert made.result.difference == pytest.approx(0.1)
    assert made.p_value == stats.binomtest(1, 3).pvalue
    assert made.verdict.startswith("no difference shown; with 10 data")
    assert list(made.as_dict()) == [*DOCUMENTED, "verdict", "warnings"]


async def test_only_shared_data_with_a_score_in_both_are_compared_and_the_rest_is_told(store):
    await put_run(store, "a", [1, 1, None, 0, 1], model="one")
    await put_run(store, "b", [1, 0, 1, 0], model="two")
    made = await compare_runs(store, "a", "b")
    assert made.result.n == 3
    assert made.warnings == (
        "1 shared data have no score in one of the runs and are left out",
        "1 data are only in the first run and are left out",
    )


async def test_repeats_stay_together_and_partial_credit_is_resampled(store):
    await put_run(store, "a", [[1, 0], [0, 0], [1, 1], [0, 1]] * 8, model="one")
    await put_run(store, "b", [[1, 1], [0, 1], [1, 1], [0, 1]] * 8, model="two")
    made = await compare_runs(store, "a", "b", seed=3)
    assert made.result.test == "paired_bootstrap"
    assert made.result.n == 32
    assert made.table is None
    assert made.result.difference == pytest.approx(0.25)
    assert made.shown
    assert made.verdict.startswith("two is better than one by 25.0 points")
    assert made == await compare_runs(store, "a", "b", seed=3)


async def test_what_sets_the_runs_apart_is_a_warning(store):
    await put_run(store, "a", FIRST, model="one")
    parts = {"options": {"shots": 3}, "sampling": {"temperature": 1}, "solver_source": "s2"}
    await put_run(store, "b", SECOND, model="two", parts=parts)
    made = await compare_runs(store, "a", "b")
    assert made.warnings == (
        'options differs: {} and {"shots": 3}',
        "solver source differs",
        'sampling differs: {"temperature": 0} and {"temperature": 1}',
    )


async def test_two_versions_of_a_dataset_are_paired_by_their_ids(store):
    await put_run(store, "a", [1, 0, 1], model="one", ids=["x", "y", "z"])
    changes = {"parts": {"dataset": "f2"}, "dataset": "near.ai/adding/1.1.0"}
    await put_run(store, "b", [1, 1, 0], model="two", ids=["y", "w", "x"], **changes)
    made = await compare_runs(store, "a", "b")
    assert (made.fixed, made.broken) == (("y",), ("x",))
    assert "the content of the dataset differs: data are paired by their ids" in made.warnings


@pytest.mark.parametrize("dataset", ["near.ai/adding/1.1.0", "near.ai/other/1.0.0"])
async def test_datasets_that_share_nothing_are_refused_with_the_reason(store, dataset):
    await put_run(store, "a", FIRST, model="one")
    await put_run(store, "b", SECOND, model="two", parts={"dataset": "f2"}, dataset=dataset)
    with pytest.raises(UsageError, match=r"cannot be paired|different datasets"):
        await compare_runs(store, "a", "b")


async def test_a_run_that_is_not_stored_here_is_refused(store):
    await put_run(store, "a", FIRST, model="one")
    with pytest.raises(UsageError, match="results of run 'b' are not in this database"):
        await compare_runs(store, "a", "b")


@pytest.mark.parametrize(
    ("second", "margin", "expected"),
    [
        ([1] * 380 + [0] * 20, 0.05, Gate.GO),
        ([1] * 200 + [0] * 200, 0.05, Gate.NO_GO),
        ([1] * 360 + [0] * 40, 0.05, Gate.INCONCLUSIVE),
    ],
)
async def test_the_gate_is_tested_on_the_bound_of_the_interval(store, second, margin, expected):
    await put_run(store, "a", [1] * 380 + [0] * 20, model="one")
    await put_run(store, "b", second, model="two")
    made = await compare_runs(store, "a", "b", max_regression=margin)
    assert made.gate is expected
    assert made.verdict.startswith(f"{expected.value}: a regression of more than 5 points is ")


async def test_more_than_two_are_compared_in_pairs_and_corrected(store):
    for name, scores in (("a", [1] * 60), ("b", [1] * 52 + [0] * 8), ("c", [1] * 50 + [0] * 10)):
        await put_run(store, name, scores, model=name)
    made = await compare_all(store, ["a", "b", "c"], names=["a", "b", "c"])
    raw = [stats.binomtest(0, n).pvalue for n in (8, 10, 2)]
    assert [each.names for each in made] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [each.p_value for each in made] == pytest.approx([2 * raw[0], 3 * raw[1], raw[2]], rel=1e-9)


async def test_cost_and_time_are_told_as_ratios(store):
    await put_run(store, "a", FIRST, model="one")
    await put_run(store, "b", SECOND, model="two")
    made = await compare_runs(store, "a", "b")
    assert (made.cost_ratio, made.task_time_ratio, made.latency_ratio) == (pytest.approx(1.0), 1.0, None)
    known = [Subject(run_id="a", latency_s=0.5), Subject(run_id="b", latency_s=1.0)]
    assert (await compare_runs(store, *known)).latency_ratio == 2.0


async def test_two_recorded_models_on_gsm8k_compare_as_independent_computations_do(store, shared_data: Path):
    verdicts = {}
    for name in ("6b_finetuning", "175b_verification"):
        with gzip.open(shared_data / "oracles" / f"gsm8k-openai-{name}.jsonl.gz", "rt") as file:
            verdicts[name] = [int(json.loads(line)["expected"]) for line in file]
        await put_run(store, name, verdicts[name], model=name)
    made = await compare_runs(store, "6b_finetuning", "175b_verification")
    small, large = verdicts.values()
    fixed = sum(b > a for a, b in zip(small, large, strict=True))
    broken = sum(a > b for a, b in zip(small, large, strict=True))
    assert (made.a, made.b) == (286 / 1319, 742 / 1319)
    assert (len(made.fixed), len(made.broken)) == (fixed, broken)
    assert made.p_value == pytest.approx(stats.binomtest(broken, fixed + broken).pvalue, rel=1e-9)
    assert made.result.interval.low < 456 / 1319 < made.result.interval.high
