"""The table of ARCHITECTURE.md, cell by cell: what a rerun does with a task, by how it ended and what is asked for."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import anyio
import pytest

from engine.endpoints.server import Answer, ChatRequest
from tests.support import engine, engine_running, rows, scripted

# Two calls a datum: the second one of `errored` fails at first, that of `none` never comes back.
SOLVER = """
from engine import SolverStrategy


class Twice(SolverStrategy):
    def evaluation_name(self):
        return "twice"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        with open("solved.txt", "a") as log:
            log.write(datum["name"] + "\\n")
        session = self.start_inference_session(datum["name"])
        await session.run_task(datum["name"] + " one")
        return await session.run_task(datum["name"] + " two") == "yes"
"""
NOTHING = (0, 0)
"""Times solved, and calls made."""
CELLS = {
    "an open run": {
        # flags: what becomes of the passed, the errored and the task without an outcome
        (): (NOTHING, (1, 1), (1, 1)),
        ("--retry-errors",): (NOTHING, (1, 1), NOTHING),
        ("--regrade",): ((1, 0), (1, 0), (1, 0)),
        ("--force",): ((1, 2), (1, 2), (1, 2)),
        ("--offline",): (NOTHING, (1, 0), (1, 0)),
    },
    "an ended run": {
        (): (NOTHING, NOTHING, (1, 2)),
        ("--retry-errors",): (NOTHING, (1, 1), NOTHING),
        ("--regrade",): ((1, 0), (1, 0), (1, 0)),
        ("--force",): ((1, 2), (1, 2), (1, 2)),
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "twice.py").write_text(SOLVER)
    rows(tmp_path / "data.jsonl", [{"name": name} for name in ("passed", "errored", "none")])
    return tmp_path


def outcomes(folder: Path) -> list[str]:
    db = sqlite3.connect(folder / "home" / "engine.db")
    try:
        return [outcome for (outcome,) in db.execute("select outcome from tasks order by datum_index")]
    finally:
        db.close()


@pytest.mark.parametrize(
    ("before", "flags"), [(before, flags) for before, cells in CELLS.items() for flags in cells], ids=str
)
async def test_a_rerun_does_what_the_table_says(folder, before, flags):
    asked: Counter[str] = Counter()
    first = {"time": True}

    def answer(request: ChatRequest) -> Answer | str:
        text = request.texts[-1][1]
        asked[text.split()[0]] += 1
        if first["time"] and text == "errored two":
            return Answer(status=400, code="bad", message="no")
        if first["time"] and text == "none two":
            return Answer(texts=["late"], finish_reasons=["stop"], delay_s=600)
        return "yes"

    async with scripted(answer) as (server, _):
        words = ("run", "data.jsonl", "twice.py", "--model", f"{server.base_url}::m")
        if before == "an ended run":
            await engine(*words, "--limit", 2, cwd=folder)
        else:
            async with engine_running(*words, cwd=folder):  # it is killed on leaving
                with anyio.fail_after(60):
                    while asked["none"] < 2 or outcomes(folder) != ["passed", "errored"]:
                        await anyio.sleep(0.02)
        assert outcomes(folder) == ["passed", "errored"]
        first["time"] = False
        asked.clear()
        (folder / "solved.txt").unlink()
        await engine(*words, *flags, cwd=folder)
    log = folder / "solved.txt"
    solved = Counter(log.read_text().split() if log.exists() else [])
    did = tuple((solved[name], asked[name]) for name in ("passed", "errored", "none"))
    assert did == CELLS[before][flags]


async def test_retrying_errors_of_a_run_that_is_not_there_yet_is_a_plain_run(folder):
    async with scripted(lambda _: "yes") as (server, _):
        words = ("run", "data.jsonl", "twice.py", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, "--retry-errors", cwd=folder)
    assert (ended.code, ended.runs[0]["passed"]) == (0, 3)


PLANS = {
    (): "3 tasks, 2 stored (67 %), 1 to do, about 2 calls",
    ("--limit", 2): "0 to do, costs nothing",
    ("--retry-errors",): "2 tasks, 1 stored (50 %), 1 to do",
    ("--regrade",): "3 to do from what is stored, no call is made",
    ("--force",): "3 tasks, 0 stored (0 %), 3 to do",
}


@pytest.mark.parametrize("flags", list(PLANS), ids=str)
async def test_a_plan_says_what_the_run_would_do(folder, flags):
    def answer(request: ChatRequest) -> Answer | str:
        failing = request.texts[-1][1] == "errored two"
        return Answer(status=400, code="bad", message="no") if failing else "yes"

    async with scripted(answer) as (server, _):
        words = ("data.jsonl", "twice.py", "--model", f"{server.base_url}::m")
        await engine("run", *words, "--limit", 2, cwd=folder)
        planned = await engine("plan", *words, *flags, cwd=folder)
    assert PLANS[flags] in planned.out.splitlines()[0]
