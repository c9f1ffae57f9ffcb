"""No failure hides in a bundle as an error: what can be scored again is, and what cannot is counted."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.app import run_command_line
from engine.endpoints.server import Answer, ChatRequest
from tests.proof_kit import Line, first, lines_of, rewritten
from tests.support import engine, rows, scripted

SOLVER = """
from solvers import Score, SolverStrategy

class Fickle(SolverStrategy):
    def evaluation_name(self):
        return "fickle"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        session = self.start_inference_session()
        first = await session.run_task(f"{datum['word']} one")
        second = await session.run_task(f"{datum['word']} two")
        if datum["word"] == "raises":
            raise ValueError(f"nothing to read in {second!r} of {object()}")
        return Score(value=float("right" in second), answer=str(second))
"""
WORDS = ("right", "wrong", "raises", "cut-off", "filtered", "right again")


def answers(request: ChatRequest) -> Answer | str:
    said = request.texts[-1][1]
    if said == "cut-off two":
        return Answer(status=400, code="bad_request", message="no")
    if said == "filtered one":
        return Answer(status=400, code="content_filter", message="filtered")
    return said


async def made(folder: Path, words: tuple[str, ...]) -> Path:
    (folder / "fickle.py").write_text(SOLVER)
    rows(folder / "data.jsonl", [{"word": word} for word in words])
    async with scripted(answers) as (server, _):
        run = ("run", "data.jsonl", "fickle.py:Fickle", "--model", f"{server.base_url}::m", "--record")
        ended = await engine(*run, cwd=folder)
        assert ended.code in (0, 1), ended.err
    ended = await engine("evaluation", "bundle", "latest", "-o", "proof.bundle", cwd=folder)
    assert ended.code == 0, ended.err
    assert "warning" not in ended.out
    return folder / "proof.bundle"


@pytest.fixture
async def bundle(tmp_path: Path) -> Path:
    return await made(tmp_path, WORDS)


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Verifies on a machine that has the solver, and neither the store nor the data."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ENGINE_HOME", str(folder / "home"))
    solver = f"{tmp_path / 'fickle.py'}:Fickle"
    return lambda path, *more: run_command_line(["verify", str(path), "--solver", solver, *more])


def hidden(lines: list[Line], *, index: int, outcome: str, **more: Any) -> None:
    """Let a failed task pass for one that gave nothing to judge."""
    score = None if outcome in ("errored", "skipped") else 0.0
    error = {"code": "call", "class": "timeout", "message": "no answer"}
    told = {"outcome": outcome, "score": score, "answer": None, "error": error}
    first(lines, "task", index=index).update({**told, **more})


def test_tasks_that_ended_in_errors_are_replayed_as_far_as_their_replies_go(bundle, verify, capsys):
    outcomes = {line["index"]: line["outcome"] for line in lines_of(bundle) if line["kind"] == "task"}
    assert outcomes == {0: "passed", 1: "failed", 2: "errored", 3: "errored", 4: "refused", 5: "passed"}
    assert verify(bundle) == 0
    said = capsys.readouterr().out
    assert "4 tasks scored again" in said
    assert "2 tasks without an answer have no reply and cannot be replayed: 1 errored, 1 refused" in said
    assert said.splitlines()[-1].endswith("figures and all 4 tasks that can be replayed come out the same")


def test_the_replies_that_an_errored_task_had_go_along(bundle):
    replies = {line["index"]: len(line["replies"]) for line in lines_of(bundle) if line["kind"] == "task"}
    assert replies == {0: 2, 1: 2, 2: 2, 3: 1, 4: 0, 5: 2}


@pytest.mark.parametrize("outcome", ["errored", "skipped", "refused"])
@pytest.mark.parametrize("replies", ["kept", "unlisted"])
def test_a_failed_task_cannot_pass_for_one_without_an_answer(bundle, verify, capsys, outcome, replies):
    more = {"replies": []} if replies == "unlisted" else {}
    path = rewritten(bundle, lambda lines: hidden(lines, index=1, outcome=outcome, **more))
    assert verify(path) == 1
    said = capsys.readouterr().out
    assert f"differs: task 1 repeat 0: outcome {outcome} → failed" in said
    assert "1 of 6 tasks come out otherwise" in said


def test_where_its_reply_was_taken_out_too_it_is_counted_and_not_called_the_same(bundle, verify, capsys):
    def hide(lines: list[Line]) -> None:
        task = first(lines, "task", index=1)
        for _, key in task["replies"]:
            lines.remove(first(lines, "reply", key=key))
        hidden(lines, index=1, outcome="errored", replies=[])

    verify(rewritten(bundle, hide))
    said = capsys.readouterr().out
    assert "3 tasks without an answer have no reply and cannot be replayed: 2 errored, 1 refused" in said
    assert "all 6 tasks" not in said


def test_a_task_that_is_said_to_have_raised_and_does_not_is_told(bundle, verify, capsys):
    error = {"code": "solver", "class": "ValueError", "message": "nothing to read"}
    path = rewritten(bundle, lambda lines: hidden(lines, index=0, outcome="errored", error=error))
    assert verify(path) == 1
    assert "outcome errored → passed" in capsys.readouterr().out


def test_tasks_that_were_left_out_of_the_file_are_counted(bundle, verify, capsys):
    assert verify(rewritten(bundle, lambda lines: lines.remove(first(lines, "task", index=1)))) == 1
    assert "1 task of the run is not in the file" in capsys.readouterr().out


def test_a_bundle_of_which_nothing_can_be_replayed_is_not_verified(tmp_path, verify, capsys):
    path = asyncio.run(made(tmp_path, ("filtered", "filtered")))
    shutil.rmtree(tmp_path / "home")
    assert verify(path, "--format", "json") == 1
    proof = json.loads(capsys.readouterr().out)
    assert (proof["holds"], proof["replayed"], proof["unreplayable"]) == (False, 0, {"refused": 2})
    assert verify(path) == 1
    assert "not verified: no task can be replayed" in capsys.readouterr().out
