"""What bench.toml says for one model alone reaches that model alone, within the provider's own limits."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from tests import servers as s
from tests.support import engine, rows, sums

BENCH = """
[providers.here]
base_url = "{url}"
headers = {{ "X-Team" = "evals", "X-Tier" = "free" }}
client = "{client}"
max_concurrent = 3
[models."here::special"]
headers = {{ "x-tier" = "paid" }}
extra_body = {{ top_k = 5 }}
[[benchmark]]
dataset = "sums.jsonl"
solver = "TemplateSolver"
models = ["here::plain", "here::special"]
options = {{ prompt = "{{input}}", target = "{{output}}" }}
"""


@pytest.mark.parametrize("client", ["http", "sdk"])
async def test_headers_and_body_of_a_model_are_laid_over_the_providers_and_sent_with_its_requests_alone(
    tmp_path, client
):
    rows(tmp_path / "sums.jsonl", sums(20))
    async with s.fault_server({"v1": s.said(s.completion("1"))}) as server:
        (tmp_path / "bench.toml").write_text(BENCH.format(url=server.url("v1"), client=client))
        ended = await engine("run", "bench.toml", "--json", cwd=tmp_path)
    assert [run["n"] for run in ended.runs] == [20, 20], ended.err
    asked = [(json.loads(seen.body), seen.headers) for seen in server.seen if seen.method == "POST"]
    assert len(asked) == 40
    said = {(body["model"], body.get("top_k"), headers["x-team"], headers["x-tier"]) for body, headers in asked}
    assert said == {("plain", None, "evals", "free"), ("special", 5, "evals", "paid")}


async def test_a_model_with_headers_shares_the_ceiling_of_its_provider(tmp_path):
    rows(tmp_path / "sums.jsonl", sums(20))
    in_flight, too_many = 0, asyncio.Event()
    answer = s.said(s.completion("1"))

    async def held(connection: s.Connection) -> bool | None:
        """Each reply waits a little for one request too many to come in meanwhile."""
        nonlocal in_flight
        if connection.method == "POST":
            in_flight += 1
            if in_flight > 3:
                too_many.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(too_many.wait(), 0.05)
            in_flight -= 1
        return await answer(connection)

    async with s.fault_server({"v1": held}) as server:
        (tmp_path / "bench.toml").write_text(BENCH.format(url=server.url("v1"), client="http"))
        ended = await engine("run", "bench.toml", "--json", cwd=tmp_path)
    assert [run["n"] for run in ended.runs] == [20, 20], ended.err
    assert not too_many.is_set()
