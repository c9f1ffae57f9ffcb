"""What a run will cost and how long it will take: in `engine plan`, and while it runs."""

from __future__ import annotations

import json

import pytest

from engine.cli.bars import state
from engine.endpoints.server import Answer
from engine.forecast import clock
from engine.progress import Progress
from engine.records import Outcome
from tests.support import SUM, adds, engine, rows, scripted, sums

USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


async def test_a_plan_says_what_remains_costs_and_how_long_it_takes_by_what_is_stored(tmp_path):
    data = rows(tmp_path / "sums.jsonl", sums(200))

    def answer(request):
        return Answer(texts=[adds(request)], finish_reasons=["stop"], usage=USAGE, delay_s=0.1)

    async with scripted(answer) as (server, _):
        (tmp_path / "bench.toml").write_text(
            f'[engine]\nmax_concurrent = 4\n[providers.p]\nbase_url = "{server.base_url}"\n'
            '[models."p::m"]\nprices = { input = 10.0, output = 100.0 }\n'
        )
        words = (data, *SUM, "--model", "p::m")
        await engine("run", *words, "--limit", 40, cwd=tmp_path)
        plan = await engine("plan", *words, "--json", cwd=tmp_path)
        said = await engine("plan", *words, cwd=tmp_path)
    told = json.loads(plan.out.splitlines()[0])
    assert (told["tasks"], told["basis"]) == (200, 40)
    assert told["cost_usd"] == pytest.approx(told["remaining"] * 0.002)
    assert 0.1 * told["remaining"] / 4 * 0.9 <= told["duration_s"] <= 0.1 * told["remaining"] / 4 * 4
    assert f"about {clock(told['duration_s'])}" in said.out
    assert server.stats.requests == 40, "a plan sends nothing"


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65.4, "1:05"), (3600, "1:00:00"), (90061, "25:01:01")])
def test_a_duration_is_minutes_or_hours(seconds, text):
    assert clock(seconds) == text


def test_a_bar_says_what_the_whole_run_will_cost_once_it_knows():
    progress = Progress(run_id="r", benchmark="b", model="m", tasks=120, reused=20, cost_usd=0.0)
    assert "about" not in state(progress)["cost"]
    progress.outcomes[Outcome.PASSED] = 25
    progress.cost_usd = 0.5
    assert state(progress)["cost"] == "$0.50 of about $2.00"
    progress.cost_usd = None
    assert state(progress)["cost"] == "$–"
