"""Judges from the command line: another model, with its own provider, sampling and count."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.endpoints.server import Answer, ChatRequest
from tests.support import engine, rows, scripted

FACTS = [{"problem": f"Question {number}?", "answer": "Ada"} for number in range(4)]


def graded(text: str) -> str:
    return "A" if "Predicted answer: yes" in text else "B"


async def test_the_judge_is_asked_at_its_own_provider_and_counted_apart(tmp_path: Path):
    file = rows(tmp_path / "simpleqa.jsonl", FACTS)
    async with (
        scripted(lambda request: "yes" if "1" in request.texts[-1][1] else "no") as (model, _),
        scripted(lambda request: graded(request.texts[-1][1])) as (judge, _),
    ):
        words = ("run", file, "SimpleQASolverStrategy", "--model", f"{model.base_url}::m", "--temperature", 0.7)
        words = (*words, "--judge", f"{judge.base_url}::j", "--json")
        [run] = (await engine(*words, cwd=tmp_path)).runs
        again = (await engine(*words, cwd=tmp_path)).runs
        assert (model.stats.requests, judge.stats.requests) == (4, 4)
    assert (run["n"], run["passed"], run["failed"], run["requests"]) == (4, 1, 3, 4)
    name = run["benchmark"]
    assert run["metrics"][f"{name}/correct"] == 0.25
    assert run["metrics"][f"{name}/other_models/calls"] == 1
    assert again[0]["passed"] == 1
    with closing(sqlite3.connect(tmp_path / "home" / "engine.db")) as db:
        sent = [json.loads(text) for (text,) in db.execute("select request from completions")]
    assert {body["model"]: body["temperature"] for body in sent} == {"m": 0.7, "j": 0}


async def test_a_judge_that_cannot_be_reached_is_found_before_anything_is_sent(tmp_path: Path):
    file = rows(tmp_path / "simpleqa.jsonl", FACTS)
    async with scripted(lambda _: "yes") as (model, _):
        words = ("run", file, "SimpleQASolverStrategy", "--model", f"{model.base_url}::m")
        ended = await engine(*words, "--judge", "http://127.0.0.1:9/v1::j", cwd=tmp_path)
        assert model.stats.requests == 0
    assert ended.code == 3


async def test_a_judge_that_is_not_named_is_a_clear_error(tmp_path: Path):
    file = rows(tmp_path / "simpleqa.jsonl", FACTS)
    ended = await engine("run", file, "SimpleQASolverStrategy", "--model", "simulated::any", cwd=tmp_path)
    assert ended.code == 2
    assert "no judge is named" in ended.err


async def test_a_judge_at_the_same_provider_is_served_in_turn_with_what_it_judges(tmp_path: Path):
    file = rows(tmp_path / "simpleqa.jsonl", [{"problem": f"Question {n}?", "answer": "Ada"} for n in range(30)])
    order: list[str] = []

    def answer(request: ChatRequest) -> Answer:
        order.append(request.body["model"])
        text = graded(request.texts[-1][1]) if request.body["model"] == "j" else "yes"
        return Answer(texts=[text], finish_reasons=["stop"], delay_s=0.02)

    async with scripted(answer) as (server, _):
        words = ("run", file, "SimpleQASolverStrategy", "--model", f"{server.base_url}::m", "--max_concurrent", 1)
        [run] = (await engine(*words, "--judge", f"{server.base_url}::j", "--json", cwd=tmp_path)).runs
    assert run["passed"] == 30
    assert order.index("j") <= 4, "it does not wait for all that were open before"
