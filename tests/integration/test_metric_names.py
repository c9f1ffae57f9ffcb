"""A solver's figure that is called as one of the engine's is recorded beside it, and never in its place."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import Ended, adds, engine, rows, scripted, sums

SOLVER = """
from solvers import Score, SolverScoringMethod, SolverStrategy

class Mine(SolverStrategy):
    {custom}

    def evaluation_name(self):
        return "mine"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        text = await self.start_inference_session().run_task(datum["input"])
        metrics = {{"cost_usd": 0.25, "own_n": 3.0, "n": float(text), "pass@1": 0.5, "fine": 1.0}}
        return Score(value=1.0, metrics=metrics, tags=("empty",))
"""
CUSTOM = """scoring_method = SolverScoringMethod.Custom

    def get_custom_tasks(self):
        return list(self.data)

    def __init__(self, dataset_ref, model="", agent=""):
        super().__init__(model, agent)
        self.data = dataset_ref

    def get_evaluation_metrics(self, results):
        return {"n": 7, "pass@1": 0.5}
"""


async def recorded(folder: Path, *words: object, custom: str = "") -> tuple[Ended, dict[str, dict[str, float]]]:
    """The run, and its recorded metrics by name."""
    rows(folder / "sums.jsonl", sums(4))
    (folder / "mine.py").write_text(SOLVER.format(custom=custom))
    async with scripted(adds) as (server, _):
        run = ("run", "sums.jsonl", "mine.py", "--model", f"{server.base_url}::m", "--record", "--json")
        ended = await engine(*run, *words, cwd=folder)
    assert ended.code == 0, ended.err
    shown = await engine("evaluation", "show", "latest", "--format", "json", cwd=folder)
    return ended, {each["name"].removeprefix("mine/"): each for each in json.loads(shown.out)["metrics"]}


async def test_figures_of_tasks_stand_beside_those_of_the_engine(tmp_path):
    ended, metrics = await recorded(tmp_path)
    assert (metrics["n"]["value"], metrics["own_own_n"]["value"], metrics["own_n"]["value"]) == (4, 4, 3)
    assert (metrics["cost_usd"]["value"], metrics["own_cost_usd"]["value"]) == (None, 0.25)
    assert (metrics["empty"]["value"], metrics["own_empty"]["value"]) == (0, 1)
    assert (metrics["own_empty"]["n"], metrics["own_empty"]["ci_high"]) == (4, 1)
    assert (metrics["pass@1"]["value"], metrics["fine"]["value"]) == (0.5, 1)
    assert "'mine/cost_usd' is recorded as 'mine/own_cost_usd'" in ended.err
    assert "'mine/fine'" not in ended.err
    assert ended.runs[0]["metrics"]["mine/n"] == 4


async def test_with_repeats_pass_at_k_is_the_engines(tmp_path):
    _, metrics = await recorded(tmp_path, "--repeats", 2)
    assert (metrics["pass@1"]["value"], metrics["own_pass@1"]["value"]) == (1, 0.5)
    assert metrics["own_pass@1"]["n"] == 8


async def test_what_a_custom_solver_computes_stands_beside_them_too(tmp_path):
    ended, metrics = await recorded(tmp_path, custom=CUSTOM)
    assert (metrics["n"]["value"], metrics["own_n"]["value"], metrics["pass@1"]["value"]) == (4, 7, 0.5)
    assert "'mine/n' is recorded as 'mine/own_n'" in ended.err
