"""The exact messages of three tasks of every built-in solver, so that no prompt changes unseen.

A case in `tests/golden/prompts` holds a solver, its options, made-up rows and the messages of every call they lead
to. After a change that is meant, `UPDATE_GOLDEN=1 pytest tests/unit/test_golden_prompts.py` writes the messages anew,
and the difference is read before it is committed.
"""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import pytest
from solving import MODEL, Replies, task

from engine.load import BUILT_IN, find_solver, solver_names

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "prompts"
CASES = sorted(FOLDER.glob("*.json"))
TASKS = 3


class Splits(dict[str, list[dict[str, Any]]]):
    """A dataset by its splits."""

    name = "made-up"
    subset = ""
    path = None


def dataset_of(case: dict[str, Any], folder: Path) -> Any:
    """What the solver is given: a folder with the case's files, else the splits."""
    for name, text in case.get("files", {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder) if "files" in case else Splits(case.get("splits", {}))


async def asked(solver: Any, datum: dict[str, Any], case: dict[str, Any]) -> list[Any]:
    """The messages of every call that the datum leads to, those to other models last."""
    caller = Replies(*case.get("replies", ["?"]), others=case.get("others"))
    with task(caller):
        if inspect.iscoroutinefunction(solver.solve):
            await solver.solve(dict(datum))
        else:
            solver.solve(dict(datum))
    return [*caller.asked, *(messages for other in caller.others.values() for messages in other.asked)]


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
async def test_prompts_are_byte_for_byte_what_they_were(path, tmp_path):
    case = json.loads(path.read_text(encoding="utf-8"))
    solver = find_solver(case["solver"], folder=BUILT_IN)(
        dataset_of(case, tmp_path), model=MODEL, **case.get("options", {})
    )
    data = case.get("data") or solver.get_custom_tasks()
    assert len(data) == TASKS
    case["messages"] = [await asked(solver, datum, case) for datum in data]
    if hasattr(solver, "aclose"):
        await solver.aclose()
    text = json.dumps(case, ensure_ascii=False, indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_built_in_solver_has_its_prompts_kept():
    kept = {json.loads(path.read_text(encoding="utf-8"))["solver"] for path in CASES}
    assert [name for name in solver_names(folder=BUILT_IN) if name not in kept] == []
