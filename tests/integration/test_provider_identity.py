"""What a provider is in a key: the same answers behind another port are the same provider."""

from __future__ import annotations

from engine.endpoints.recorded import Recorded, load_recording
from engine.endpoints.server import serve
from tests.support import SUM, engine, rows, sums


async def test_a_replay_on_a_new_port_or_gone_is_the_same_provider(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(20))
    recording = [{"match": row["input"], "content": row["output"]} for row in sums(20)]
    file = rows(tmp_path / "recording.jsonl", recording)
    words = ("run", "sums.jsonl", *SUM, "--json", "--model")
    async with serve(Recorded(load_recording(file))) as first:
        one = await engine(*words, f"{first.base_url}::m", cwd=tmp_path)
    async with serve(Recorded(load_recording(file))) as second:
        two = await engine(*words, f"{second.base_url}::m", cwd=tmp_path)
    gone = await engine(*words, f"{first.base_url}::m", "--offline", cwd=tmp_path)
    assert [ended.runs[0]["passed"] for ended in (one, two, gone)] == [20, 20, 20]
    assert first.base_url != second.base_url
    assert second.stats.requests == 0
    assert one.runs[0]["run_id"] == two.runs[0]["run_id"] == gone.runs[0]["run_id"]
