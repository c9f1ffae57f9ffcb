"""Recorded answers of real models, replayed, give their published scores: at any concurrency, after a kill too."""

from __future__ import annotations

import gzip
import json
import signal
import sqlite3
from pathlib import Path

import anyio
import pytest

from engine.endpoints.recorded import Recorded, load_recording
from engine.endpoints.server import serve
from tests.support import engine, engine_running

PUBLISHED = {"6b_finetuning": 286, "175b_verification": 742}


def recording(shared_data: Path, name: str) -> Path:
    return shared_data / "oracles" / f"gsm8k-openai-{name}.jsonl.gz"


@pytest.mark.parametrize(
    ("name", "max_concurrent"), [("6b_finetuning", 1), ("6b_finetuning", 256), ("175b_verification", 8)]
)
async def test_the_score_is_the_published_one_at_any_concurrency(shared_data, tmp_path, name, max_concurrent):
    async with serve(Recorded(load_recording(recording(shared_data, name)))) as server:
        words = ("run", shared_data / "gsm8k" / "test.jsonl", "GSM8KSolverStrategy", "--model", f"{server.base_url}::m")
        ended = await engine(*words, "--max_concurrent", max_concurrent, "--max-tokens", 512, cwd=tmp_path)
        first = server.stats.requests
        again = await engine(*words, "--max_concurrent", max_concurrent, "--max-tokens", 512, "--json", cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert ended.final == f"Final score: {PUBLISHED[name]}/1319 - {100 * PUBLISHED[name] / 1319:.2f}%"
    assert first == 1319
    assert server.stats.requests == first, "a second full run sends nothing"
    assert again.runs[0]["cached"] == 1319
    assert again.runs[0]["passed"] == PUBLISHED[name]


async def test_each_verdict_is_the_published_one_row_by_row(shared_data, tmp_path):
    path = recording(shared_data, "6b_finetuning")
    async with serve(Recorded(load_recording(path))) as server:
        model = f"{server.base_url}::m"
        await engine("run", shared_data / "gsm8k" / "test.jsonl", "GSM8KSolverStrategy", "--model", model, cwd=tmp_path)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        published = [bool(json.loads(line)["expected"]) for line in lines]
    with sqlite3.connect(tmp_path / "home" / "engine.db") as db:
        ours = [row[0] == "passed" for row in db.execute("select outcome from tasks order by datum_index")]
    db.close()
    assert ours == published


async def test_a_kill_in_the_middle_costs_at_most_the_calls_in_flight(shared_data, tmp_path):
    responder = Recorded(load_recording(recording(shared_data, "6b_finetuning")), latency_s=0.02)
    async with serve(responder) as server:
        words = ("run", shared_data / "gsm8k" / "test.jsonl", "GSM8KSolverStrategy", "--model", f"{server.base_url}::m")
        words = (*words, "--max_concurrent", 16)
        for kill_after in (150, 500, 900):
            async with engine_running(*words, cwd=tmp_path) as process:
                with anyio.fail_after(60):
                    while server.stats.requests < kill_after:
                        await anyio.sleep(0.005)
                process.send_signal(signal.SIGKILL)
                await process.wait()
        ended = await engine(*words, cwd=tmp_path)

    assert ended.final == "Final score: 286/1319 - 21.68%"
    assert 1319 <= server.stats.requests <= 1319 + 3 * 16
