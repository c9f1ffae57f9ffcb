"""`cached` counts the tasks that needed no request now, however they ended, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.endpoints.server import Answer, ChatRequest
from tests.support import Ended, engine, rows, scripted

SOLVER = """
from solvers import SolverStrategy

class Odd(SolverStrategy):
    def evaluation_name(self):
        return "odd"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        text = await self.start_inference_session().run_task(datum["word"])
        return {"right": True}[text]
"""
RUN = ("run", "words.jsonl", "odd.py", "--json", "--max-errors", "100%")


def answers(request: ChatRequest) -> Answer | str:
    said = request.texts[-1][1]
    if said in ("content_filter", "bad_request"):
        return Answer(status=400, code=said, message=said)
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "odd.py").write_text(SOLVER)
    words = ("right", "raises", "content_filter", "bad_request")
    rows(tmp_path / "words.jsonl", [{"word": word} for word in words])
    return tmp_path


async def run(folder: Path, *more: str) -> Ended:
    ended = await engine(*RUN, *more, cwd=folder)
    assert ended.runs, ended.err
    return ended


async def test_a_task_whose_call_failed_was_not_cached(folder):
    async with scripted(answers) as (server, _):
        [told] = (await run(folder, "--model", f"{server.base_url}::m")).runs
    assert (told["passed"], told["errored"], told["refused"]) == (1, 2, 1)
    assert (told["requests"], told["cached"]) == (4, 0)


async def test_of_a_run_that_ended_each_task_is_cached(folder):
    async with scripted(answers) as (server, _):
        words = ("--model", f"{server.base_url}::m")
        await run(folder, *words)
        [told] = (await run(folder, *words)).runs
    assert (told["requests"], told["cached"]) == (0, 4)


async def test_a_task_that_raises_again_on_a_stored_reply_is_cached_and_one_that_is_asked_again_is_not(folder):
    async with scripted(answers) as (server, _):
        words = ("--model", f"{server.base_url}::m")
        await run(folder, *words)
        [told] = (await run(folder, *words, "--retry-errors")).runs
    assert (told["errored"], told["requests"], told["cached"]) == (2, 1, 3)


async def test_one_of_a_thing_is_told_in_the_singular(folder):
    async with scripted(answers) as (server, _):
        ended = await engine(
            "run", "words.jsonl", "odd.py", "--model", f"{server.base_url}::m", "--limit", "1", cwd=folder
        )
    assert " 1 request · " in ended.out
    assert " 1 token in" in ended.out or " tokens in" in ended.out
