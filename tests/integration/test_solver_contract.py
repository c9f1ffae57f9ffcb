"""A solver that breaks its contract is told how, before anything is sent; one that changes its datum harms itself."""

from __future__ import annotations

import pytest

from tests.support import adds, engine, rows, scripted, sums

SOLVER = """
from engine import SolverStrategy
from solvers import SolverScoringMethod


class Mine(SolverStrategy):
    def evaluation_name(self):
        return "mine"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        question, answer = datum["input"], datum.pop("output")
        datum.clear()
        return await self.start_inference_session().run_task(question + " =") == answer

    {more}
"""
CUSTOM = "scoring_method = SolverScoringMethod.Custom\n    def get_custom_tasks(self): "
WRONG = {
    "letters for names": ("def compatible_datasets(self): return 'sums'", "datasets returned 'sums'", "['mbpp']"),
    "nothing for names": ("def compatible_datasets(self): return None", "compatible_datasets returned None", "a list"),
    "names that cannot be told": ("def compatible_datasets(self): return 1 / 0", "ZeroDivisionError", "mend"),
    "an empty name": ("def evaluation_name(self): return ' '", "evaluation_name returned ' '", "a text"),
    "a name that is none": ("evaluation_name = 'mine'", "evaluation_name failed: TypeError", "mend"),
    "tasks that cannot be made": (f"{CUSTOM}raise ValueError('boom')", "failed: ValueError: boom", "mend"),
    "no tasks": (f"{CUSTOM}return []", "get_custom_tasks returned []", "one or more"),
    "tasks that are none": (f"{CUSTOM}return ['a']", "get_custom_tasks returned ['a']", "dicts"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(WRONG))
async def test_a_broken_promise_is_told_before_anything_is_sent(tmp_path, case):
    more, said, hint = WRONG[case]
    rows(tmp_path / "sums.jsonl", sums(3))
    (tmp_path / "mine.py").write_text(SOLVER.format(more=more))
    async with scripted(adds) as (server, _):
        ended = await engine("run", "sums.jsonl", "mine.py", "--model", f"{server.base_url}::m", cwd=tmp_path)
    assert (ended.code, ended.out, server.stats.requests) == (2, "", 0), ended.err
    assert "solver 'Mine': " in ended.err
    assert said in ended.err
    assert hint in ended.err.partition("hint: ")[2]


async def test_a_solver_that_changes_its_datum_changes_no_other_repeat(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(4))
    (tmp_path / "mine.py").write_text(SOLVER.format(more=""))
    async with scripted(adds) as (server, _):
        words = ("run", "sums.jsonl", "mine.py", "--model", f"{server.base_url}::m", "--repeats", 3)
        ended = await engine(*words, cwd=tmp_path)
    assert ended.final == "Final score: 12/12 - 100.00%", ended.err


async def test_tasks_may_be_made_one_by_one(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(1))
    generated = f"{CUSTOM}yield from ({{'input': f'{{n}} + 1', 'output': str(n + 1)}} for n in range(3))"
    more = f"{generated}\n    def get_evaluation_metrics(self, results): return {{'n': len(results)}}"
    (tmp_path / "mine.py").write_text(SOLVER.format(more=more))
    async with scripted(adds) as (server, _):
        words = ("run", "sums.jsonl", "mine.py", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, cwd=tmp_path)
    assert ended.runs[0]["metrics"] == {"mine/n": 3}, ended.err


FAULTY = """
import json

from engine import SolverStrategy


def looked_up(datum):
    return datum["captial"]


class Capitals(SolverStrategy):
    def evaluation_name(self):
        return "capitals"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        if datum["input"].startswith("0"):
            return looked_up(datum)
        return json.loads("{")
"""


async def test_an_exception_of_a_solver_is_told_with_its_place_in_the_solvers_own_code(tmp_path):
    rows(tmp_path / "two.jsonl", [{"input": "0"}, {"input": "1"}])
    (tmp_path / "capitals.py").write_text(FAULTY)
    ended = await engine("run", "two.jsonl", "capitals.py", "--model", "simulated::calculator", cwd=tmp_path)
    lines = FAULTY.splitlines()
    own = lines.index('    return datum["captial"]') + 1
    outside = lines.index('        return json.loads("{")') + 1
    assert f"task errored, task 0: KeyError 'captial' at capitals.py:{own} (solver/KeyError)" in ended.err
    assert "task errored, task 1: JSONDecodeError Expecting" in ended.err
    assert f" at capitals.py:{outside} (solver/JSONDecodeError)" in ended.err
