"""The Nth write or sync of the database fails, for every N: nothing acknowledged is lost, and the next run finishes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.io_faults import DONE, KINDS, STORAGE, TASKS
from tests.support import environment, rows, sums

HERE = Path(__file__).parent
NO_GCC = "there is no gcc to build the shim with"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, built now."""
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip(NO_GCC)
    built = tmp_path_factory.mktemp("shim") / "io_shim.so"
    source = HERE / "io_shim.c"
    subprocess.run(("gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", built, source, "-ldl"), check=True, timeout=60)
    return built


def _every(folder: Path, shim: Path, stride: int) -> None:
    rows(folder / "sums.jsonl", sums(TASKS))
    more = {"LD_PRELOAD": str(shim), "FAULT_PATH": "fault-"}
    words = [sys.executable, str(HERE / "io_faults.py"), str(folder), str(stride)]
    env = environment(folder / "home", **more)
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=1500, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    ends = Counter((run["kind"], run["code"]) for run in runs if run["fired"])
    print(f"{len(runs)} runs, the last at operation {max(run['nth'] for run in runs)}:", dict(ends))
    assert {run["kind"] for run in runs if run["fired"]} == set(KINDS), "every kind of fault has happened"
    for run in runs:
        assert (run["lost"], run["torn"]) == (0, 0), run
        assert (run["again"], run["points"], run["bought again"]) == (DONE, TASKS, 0), run
        killed = run["kind"] in ("torn write", "killed before", "killed after")
        assert run["code"] in ((-9, DONE) if killed else (DONE, STORAGE)), run
    once = [run["code"] for run in runs if run["kind"] in ("no space", "I/O error") and run["acknowledged"]]
    assert set(once) == {DONE}, "a fault that passes ends no run that has begun"


def test_a_write_that_fails_loses_nothing(tmp_path, shim):
    _every(tmp_path, shim, stride=47)


@pytest.mark.long
@pytest.mark.timeout(1600)
def test_every_write_that_fails_loses_nothing(tmp_path, shim):
    _every(tmp_path, shim, stride=1)
