"""A program of a user's that is strict about types finds the engine's: its parts are marked and named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PROGRAM = """
from typing import Any

from engine import Engine, Score, SolverStrategy
from engine.api import Choice, Mode, Order, RunReport
from engine.events import RunEnded, TaskEnded
from solvers import SolverScoringMethod


class Mine(SolverStrategy):
    scoring_method = SolverScoringMethod.TrueOrFalseList

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "", *, shots: int = 3) -> None:
        super().__init__(model, agent)
        self.shots = shots

    def evaluation_name(self) -> str:
        return f"mine_{self.shots}"

    def compatible_datasets(self) -> list[str]:
        return ["*"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        session = self.start_inference_session("x")
        session.add_system_message("be brief")
        answer: str = (await session.run_task(datum["input"], temperature=0.3)).strip()
        return Score(value=float(answer == datum["output"]), answer=answer)


async def main() -> None:
    async with Engine(storage="sqlite:///mine.db") as engine, engine.events() as events:
        choice = Choice(limit=3)
        report: RunReport = await engine.run("rows.jsonl", Mine, model="simulated::m", choice=choice)
        order = Order(dataset="rows.jsonl", solver=Mine, model="simulated::m")
        reports = await engine.run_orders([order], mode=Mode(force=True))
        score: float | None = report.score
        print(score, [each.cost_usd for each in reports])
        async for event in events:
            if isinstance(event, TaskEnded):
                print(event.result.key.datum_index, event.result.score)
            elif isinstance(event, RunEnded):
                print(event.report.interval)
"""


def test_each_package_says_that_it_is_typed() -> None:
    assert [name for name in ("engine", "solvers", "storage") if not (ROOT / name / "py.typed").is_file()] == []


@pytest.mark.long
def test_a_strict_program_passes_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    def checked(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "program.py").write_text(text)
        words = ("--strict", "--config-file", "", "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "program.py"))
        command = [sys.executable, "-m", "mypy", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    right = checked(PROGRAM)
    assert right.returncode == 0, right.stdout
    wrong = checked(PROGRAM.replace("Choice(limit=3)", "Choice(limt=3)").replace("report.score", "report.scor"))
    assert 'has no attribute "scor"' in wrong.stdout
    assert '"limt"' in wrong.stdout
