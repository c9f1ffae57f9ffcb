"""Progress on a terminal: a line for each run that fits, whatever the width, and says the most that it can."""

from __future__ import annotations

import io
import sys
import time

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.cli.bars import MOST_BARS, bars
from engine.cli.logs import open_log
from engine.progress import Progress
from engine.records import Outcome


def run(
    model: str = "fireworks::llama-v3p1-8b-instruct", *, benchmark: str = "gsm8k_8shots", done: int = 40
) -> Progress:
    progress = Progress(run_id=model, benchmark=benchmark, model=model, tasks=1319)
    progress.outcomes.update({Outcome.PASSED: done // 2, Outcome.FAILED: done - done // 2 - 1, Outcome.ERRORED: 1})
    progress.values = progress.squares = float(done // 2)
    progress.meter.requests = done + 5
    progress.meter.faults["rate_limit"] = 2
    for _ in range(done):
        progress.meter.service.add(0.5)
    return progress


def test_a_wide_terminal_says_all_of_each_run():
    (line,) = (each.plain for each in bars([run()], width=150))
    for said in (
        "gsm8k_8shots × fireworks::llama-v3p1-8b-instruct",
        "━━━━━━━━",
        "40/1319",
        "51.3 (36-67)",
        "1 error ",
        " to go",
    ):
        assert said in line
    assert "3 in flight" in line  # sent 45, of which 40 were answered and 2 refused
    assert "0 cached" in line
    assert "$0.00" in line


def test_an_interval_that_leans_to_one_side_is_shown_by_its_bounds():
    progress = Progress(run_id="r", benchmark="b", model="m", tasks=10)
    progress.outcomes.update({Outcome.PASSED: 10})
    progress.values = progress.squares = 10.0
    assert "100.0 (72-100)" in bars([progress], width=150)[0].plain


@given(st.integers(1, 220), st.lists(st.sampled_from(["a::b", "提供者::模型" * 4, "p::" + "x" * 90]), max_size=12))
def test_every_line_fits_and_tells_how_far_it_is(width, models):
    lines = [each.plain for each in bars([run(model) for model in models], width=width)]
    assert len(lines) == min(len(models), MOST_BARS + 1)
    assert all(cell_len(line) <= width for line in lines)
    if width >= 30:
        assert all("40/1319" in line for line in lines[:MOST_BARS])


def test_a_bar_says_that_nothing_is_answered_any_more_and_stops_saying_it(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(run_id="r", benchmark="b", model="m", tasks=10)
    for _ in range(20):
        progress.meter.failed("connection", "refused")
    assert "no answer" not in bars([progress], width=160)[0].plain, "a moment is nothing"
    now = 172.0
    assert "no answer for 1:12" in bars([progress], width=160)[0].plain
    progress.meter.failed("rate_limit", "slowly")
    assert "no answer" not in bars([progress], width=160)[0].plain, "who refuses is there"


def test_what_all_runs_share_is_left_out_where_room_is_scarce():
    models, benchmarks = bars([run("p::one"), run("p::two")], width=50), [run(), run(benchmark="mmlu")]
    assert [line.plain[:6] for line in models] == ["p::one", "p::two"]
    assert [line.plain[:4] for line in bars(benchmarks, width=60)] == ["gsm8", "mmlu"]


def test_runs_that_are_done_make_room_for_those_that_are_open():
    finished = [run(f"p::{number}", done=1319) for number in range(MOST_BARS + 2)]
    lines = [line.plain for line in bars([*finished, run("p::open")], width=100)]
    assert "p::open" in lines[0]
    assert lines[-1] == f"and 3 runs more  {3 * 1319}/{3 * 1319}"


def test_a_terminal_without_letters_of_its_own_gets_plain_marks():
    (line,) = bars([run(done=1319)], width=150, ascii_only=True)
    assert "####" in line.plain
    assert "━" not in line.plain


def test_the_log_goes_through_what_stderr_is_when_something_is_logged(monkeypatch):
    log = open_log(verbose=False, quiet=False)
    above_the_bars = io.StringIO()
    monkeypatch.setattr(sys, "stderr", above_the_bars)
    log.warning("limit changed", provider="p")
    assert "limit changed" in above_the_bars.getvalue()
