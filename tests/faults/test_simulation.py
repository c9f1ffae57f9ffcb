"""The whole engine in virtual time, with seeded faults and crashes: nothing is lost, and one seed is one history."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.simulation import LIMITS, TASKS, simulate
from tests.support import rows, sums


def _holds(folder: Path, seed: int) -> str:
    data = rows(folder / f"sums{seed}.jsonl", sums(TASKS))
    told = simulate(folder / f"seed{seed}", data, seed)
    print(
        f"seed {seed}: {told.crashes} crashes, {told.requests} requests, {told.answered} answers for {TASKS} tasks, "
        f"{told.lost} lost, {told.wasted} in flight at a crash at most, history {told.digest}"
    )
    assert told.lost == 0
    assert told.points == TASKS, "faults and crashes change no score"
    assert set(told.outcomes.values()) == {"passed"}
    assert told.wasted <= LIMITS["engine"]["max_concurrent"]
    assert told.answered - TASKS <= told.crashes * LIMITS["engine"]["max_concurrent"]
    return told.digest


@pytest.mark.parametrize("seed", range(4))
def test_faults_and_crashes_lose_nothing_and_buy_nothing_twice(tmp_path, seed):
    _holds(tmp_path, seed)


def test_one_seed_is_one_history(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (_holds(tmp_path / name, 7) for name in ("a", "b"))
    (tmp_path / "c").mkdir()
    assert first == second
    assert first != _holds(tmp_path / "c", 8)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_two_hundred_seeds(tmp_path):
    for seed in range(100, 300):
        _holds(tmp_path, seed)
