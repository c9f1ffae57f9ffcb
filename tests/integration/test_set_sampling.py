"""What the configuration sets wins over what a solver's calls ask for, so it makes another run of the same values."""

from __future__ import annotations

import pytest

from tests.support import ChatRequest, engine, rows, scripted

WARM = """
from solvers import SolverStrategy


class WarmSolver(SolverStrategy):
    def evaluation_name(self):
        return "warm"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        return "warm" == await self.start_inference_session("").run_task("how?", temperature=0.7)
"""
BENCH = """
[providers.here]
base_url = "{url}"
[[benchmark]]
dataset = "d.jsonl"
solver = "warm.py"
models = ["here::m"]
{more}
"""


@pytest.mark.parametrize(
    "more", ["[sampling]\ntemperature = 0", '[models."here::m"]\nextra_body = { temperature = 0 }'], ids=["set", "body"]
)
async def test_a_run_at_a_set_temperature_reuses_no_verdict_of_one_at_the_solvers_own(tmp_path, more):
    rows(tmp_path / "d.jsonl", [{"a": 1}])
    (tmp_path / "warm.py").write_text(WARM)
    asked: list[float] = []

    def answer(request: ChatRequest) -> str:
        asked.append(request.body["temperature"])
        return "warm" if asked[-1] else "cold"

    async with scripted(answer) as (server, _):
        seen = []
        for each in ("", more, more):
            (tmp_path / "bench.toml").write_text(BENCH.format(url=server.base_url, more=each))
            (run,) = (await engine("run", "bench.toml", "--json", cwd=tmp_path)).runs
            seen.append((run["passed"], run["requests"]))
    assert seen == [(1, 1), (0, 1), (0, 0)]
    assert asked == [0.7, 0]
