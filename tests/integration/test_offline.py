"""What sends nothing sends nothing at all, and finds what is stored all the same."""

from __future__ import annotations

import pytest

from tests import servers as s
from tests.support import SUM, Ended, adds, engine, rows, scripted, sums

BENCH = """
[[benchmark]]
dataset = "sums.jsonl"
solver = "TemplateSolver"
models = ["{url}::m"]
name = "called otherwise"
options = {{ prompt = "{{input}}", target = "{{output}}", scorer = "number" }}
"""


def counts(ended: Ended) -> tuple[int, int, int]:
    (run,) = ended.runs
    return run["passed"], run["skipped"], run["requests"]


@pytest.mark.parametrize("flag", ["--offline", "--regrade"])
async def test_an_endpoint_on_this_machine_is_not_asked_for_its_name_either(tmp_path, flag):
    rows(tmp_path / "sums.jsonl", [{"input": "1 + 1", "output": "1"}])
    async with s.fault_server({"v1": s.said(s.completion("1"))}) as server:
        words = ("run", "sums.jsonl", *SUM, "--model", f"{server.url('v1')}::m", "--json")
        assert counts(await engine(*words, cwd=tmp_path)) == (1, 0, 1)
        before = server.opened
        assert counts(await engine(*words, flag, cwd=tmp_path)) == (1, 0, 0)
        assert server.opened == before


@pytest.mark.parametrize("flag", ["--offline", "--regrade", "-q"])
async def test_what_a_server_of_ours_answered_is_found_when_it_is_gone(tmp_path, flag):
    rows(tmp_path / "sums.jsonl", sums(5))
    async with scripted(adds) as (server, responder):
        responder.identity = "of-this-recording"
        (tmp_path / "bench.toml").write_text(BENCH.format(url=server.base_url))
        assert counts(await engine("run", "bench.toml", "--json", cwd=tmp_path)) == (5, 0, 5)
    assert counts(await engine("run", "bench.toml", "--json", flag, cwd=tmp_path)) == (5, 0, 0)


LISTING = """
[providers.here]
base_url = "{url}"
[[benchmark]]
dataset = "sums.jsonl"
solver = "TemplateSolver"
models = ["m"]
options = {{ prompt = "{{input}}", target = "{{output}}" }}
"""


async def test_a_bare_name_is_the_model_that_was_run_and_no_provider_is_asked_for_it(tmp_path):
    rows(tmp_path / "sums.jsonl", [{"input": "1 + 1", "output": "1"}])
    listing = s.said({**s.completion("1"), "data": [{"id": "m"}]})
    async with s.fault_server({"v1": listing}) as server:
        (tmp_path / "bench.toml").write_text(LISTING.format(url=server.url("v1")))
        refused = await engine("run", "bench.toml", "--offline", cwd=tmp_path)
        assert (refused.code, server.opened) == (3, 0)
        assert "nobody may be asked" in refused.err
        assert counts(await engine("run", "bench.toml", "--json", cwd=tmp_path)) == (1, 0, 1)
        before = server.opened
        assert counts(await engine("run", "bench.toml", "--json", "--offline", cwd=tmp_path)) == (1, 0, 0)
        assert server.opened == before
