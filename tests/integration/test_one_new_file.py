"""A new part is one new file: a solver, endpoint, dataset source, scorer, store or export; nothing is edited for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import ROOT, engine

PARTS = {
    "solvers/echoing.py": """
from solvers import SolverStrategy
from engine.scoring.judges import judge_named


class EchoingSolver(SolverStrategy):
    def evaluation_name(self):
        return "echoing"

    def compatible_datasets(self):
        return ["letters"]

    def scorer_versions(self):
        return {"backwards": 1}

    async def solve(self, datum):
        reply = await self.start_inference_session("").run_task(datum["letter"] * 3)
        return judge_named("backwards")(reply, datum["letter"] * 3)
""",
    "engine/endpoints/parrot.py": '''
"""Says what was said to it."""

import json

from engine.endpoints.replies import read_reply


class Parrot:
    identity = "parrot"

    async def send(self, body, *, timeout_s):
        said = json.loads(body)["messages"][-1]["content"]
        reply = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
        return read_reply(json.dumps(reply).encode(), status=200, headers={}, latency_s=0.0)

    async def probe(self):
        pass

    async def aclose(self):
        pass


def make(provider, *, key, folder, max_concurrent):
    return Parrot()
''',
    "engine/scoring/backwards.py": '''
"""Whether the reply is the target read backwards."""

from engine.records import Score

VERSION = 1


def judge(text, target):
    return Score(float(text[::-1] == target), answer=text)
''',
    "engine/data/letters.py": '''
"""The letters of a word."""

from engine.data.rows import Summary, Wanted
from engine.data.source import Source

SCHEME = "letters"


class Letters:
    def __init__(self, word):
        self.word = word
        self.summary = Summary(len(word), word, ("letter",))

    def read(self, indices=None):
        for index in range(len(self.word)) if indices is None else indices:
            yield index, {"letter": self.word[index]}

    def to_hf(self):
        raise NotImplementedError


def open_source(word, *, subset, cache):
    return Source(name=f"letters:{word}", rows=lambda: Letters(word)), subset
''',
    "storage/remembered.py": '''
"""SQLite under another name."""

from storage.sqlite import open_store as open_file


def open_store(url, **how):
    return open_file(url.replace("remembered://", "sqlite://"), **how)
''',
    "engine/evaluations/exports/as_names.py": '''
"""The names of evaluations."""


async def export(chosen):
    return ", ".join(each.benchmark for each in chosen.evaluations)
''',
}
BENCH = """
[storage]
url = "remembered:///mine.db"
[providers.bird]
kind = "parrot"
[[benchmark]]
dataset = "letters:abcdef"
solver = "EchoingSolver"
models = ["bird::grey"]
record = true
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the engine with one more file for each kind of part."""
    tree = tmp_path_factory.mktemp("tree")
    for package in ("engine", "solvers", "storage"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in PARTS.items():
        assert not (tree / name).exists()
        (tree / name).write_text(text)
    return tree


async def test_a_part_of_every_kind_is_one_new_file_and_nothing_is_edited(tree, tmp_path):
    (tmp_path / "bench.toml").write_text(BENCH)
    where = {"cwd": tmp_path, "PYTHONPATH": str(tree)}
    ended = await engine("run", "bench.toml", "--json", **where)
    assert ended.code == 0, ended.err
    (run,) = ended.runs
    assert {name: run[name] for name in ("n", "passed", "requests", "provider")} == {
        "n": 6,
        "passed": 6,
        "requests": 6,
        "provider": "bird",
    }
    assert run["cost_usd"] is None, "nobody knows what an endpoint of somebody's own costs"
    assert (tmp_path / "mine.db").is_file()
    assert (await engine("evaluation", "export", "names", **where)).final == "echoing"
    unknown = await engine("evaluation", "export", "nothing", **where)
    assert "use one of csv, html, inspect, jsonl, names, parquet" in unknown.err
    scorer = ("letters:abba", "TemplateSolver", "--prompt", "{letter}", "--target", "{letter}")
    scored = await engine("run", *scorer, "--scorer", "backwards", "--model", "bird::grey", "--json", **where)
    assert json.loads(scored.final)["runs"][0]["passed"] == 4, scored.err


async def test_a_kind_of_endpoint_that_is_no_file_is_told_before_anything_is_read(tree, tmp_path):
    for kind in ("parot", "../parrot", "faults"):
        (tmp_path / "bench.toml").write_text(BENCH.replace('"parrot"', f'"{kind}"'))
        ended = await engine("check", "bench.toml", cwd=tmp_path, PYTHONPATH=str(tree))
        assert ended.code == 2
        assert "bench.toml:5: providers.bird.kind: must be 'openai', 'simulated' or 'recorded'" in ended.err
