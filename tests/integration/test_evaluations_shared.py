"""What is passed on of an evaluation names no place of the machine that it was recorded on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.support import engine

SOLVER = """
from solvers import SolverStrategy

class Fickle(SolverStrategy):
    def evaluation_name(self):
        return "fickle"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        text = await self.start_inference_session().run_task(datum["input"])
        return {}[text] if datum["input"].startswith("1") else True
"""


@pytest.fixture
async def study(tmp_path: Path) -> Path:
    """A folder with its own database and an evaluation in which a task raised."""
    folder = tmp_path / "secret-place"
    folder.mkdir()
    (folder / "fickle.py").write_text(SOLVER)
    (folder / "sums.jsonl").write_text("".join(json.dumps({"input": f"{i} + 1 = "}) + "\n" for i in range(4)))
    (folder / "bench.toml").write_text('[storage]\nurl = "sqlite:///own.db"\n')
    run = ("run", "sums.jsonl", "fickle.py:Fickle", "--model", "simulated::calculator", "--record", "-q")
    ended = await engine(*run, "--max-errors", "50%", cwd=folder)
    assert ended.code == 0, ended.err
    return folder


@pytest.mark.parametrize("form", ["jsonl", "csv", "inspect", "html"])
async def test_exports_name_no_folder_of_this_machine(study, form):
    ended = await engine("evaluation", "export", form, "latest", cwd=study)
    assert (ended.code, ended.err) == (0, "")
    assert "fickle" in ended.out
    assert "secret-place" not in ended.out


async def test_a_bundle_names_none(study):
    await engine("evaluation", "bundle", "latest", "-o", "proof.bundle", cwd=study)
    content = gzip.decompress((study / "proof.bundle").read_bytes()).decode()
    assert "KeyError" in content
    assert "secret-place" not in content


async def test_an_entry_that_is_uploaded_or_fetched_elsewhere_names_none(study):
    [entry] = {path.parent for path in (study / "home" / "registry").glob("local/*/*/evaluation.json")}
    words = ("--namespace", "team", "--name", "shared", "--version", "1.0.0", "--category", "evaluation")
    ended = await engine("registry", "upload", entry, *words, cwd=study)
    assert ended.code == 0, ended.err
    uploaded = study / "home" / "registry" / "team" / "shared" / "1.0.0"
    files = [path for path in uploaded.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"evaluation.json", "metadata.json", "metrics.json", "solutions.jsonl"}
    listed = [entry / name for name in json.loads((entry / "metadata.json").read_text())["files"]]
    for path in (*files, *listed, entry / "metadata.json"):
        assert "secret-place" not in path.read_text(), path
    assert (await engine("registry", "verify", cwd=study)).code == 0
    solution = json.loads((uploaded / "solutions.jsonl").read_text().splitlines()[1])
    assert (solution["error"]["at"], 'File "fickle.py"' in solution["error"]["traceback"]) == ("fickle.py:13", True)


async def test_the_database_is_found_from_elsewhere_all_the_same(study):
    elsewhere = study.parent / "elsewhere"
    elsewhere.mkdir()
    ended = await engine("evaluation", "bundle", "latest", cwd=elsewhere, ENGINE_HOME=str(study / "home"))
    assert "not in" not in ended.err
    ended = await engine("evaluation", "tag", "latest", "+paper", cwd=elsewhere, ENGINE_HOME=str(study / "home"))
    assert ended.code == 0, ended.err
    shown = await engine("evaluation", "show", "latest", "--format", "json", cwd=study)
    assert json.loads(shown.out)["tags"] == ["paper"]
