"""Examples come from the split that the paper uses, or from one that an option names; never from what is evaluated."""

from __future__ import annotations

import gzip
import json

import pytest
from solving import MODEL, prompts

from engine.errors import SolverError
from solvers.hellaswag import HellaswagSolverStrategy
from solvers.mbpp import MBPPSolverStrategy
from solvers.mmlu import MMLUSolverStrategy
from solvers.mmlu_pro import MMLUProSolverStrategy

ROW = {"question": "2 + 2?", "subject": "abstract_algebra", "choices": ["3", "4", "5", "6"], "answer": 1}
OTHER = {**ROW, "question": "1 + 1?", "choices": ["1", "2", "3", "4"]}
ADD = {"text": "Add.", "code": "def add(a, b): return a + b", "test_list": ["assert add(1, 2) == 3"]}


class Splits(dict):
    """A dataset by its splits, of which one is evaluated."""

    name = "made-up"
    subset = "test"
    path = None


async def asked(solver, row=ROW) -> str:
    [[message]] = await prompts(solver, [row], "B")
    return message["content"]


async def test_a_split_by_name_is_shown_in_place_of_the_paper_s():
    data = Splits(test=[ROW], dev=[{**OTHER, "question": "from dev"}], val=[OTHER])
    assert "from dev" in await asked(MMLUSolverStrategy(data, MODEL))
    solver = MMLUSolverStrategy(data, MODEL, examples="val")
    assert "1 + 1?" in await asked(solver)
    assert solver.evaluation_name() == "mmlu_1shots"


@pytest.mark.parametrize("form", ["lines", "list", "gzip"])
async def test_a_file_by_name_is_shown(tmp_path, form):
    path = tmp_path / "examples.jsonl"
    text = json.dumps([OTHER]) if form == "list" else json.dumps(OTHER) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    solver = MMLUSolverStrategy([ROW], MODEL, examples=str(path))
    assert "1 + 1?" in await asked(solver)
    assert solver.scorer_versions() != MMLUSolverStrategy([ROW], MODEL).scorer_versions()


async def test_every_solver_with_examples_takes_them_by_name(tmp_path):
    swag = {"query": "He boils", "choices": ["water.", "sand."], "gold": 0}
    data = Splits(test=[swag], more=[{**swag, "query": "She reads"}])
    assert "She reads" in await asked(HellaswagSolverStrategy(data, MODEL, examples="more"), swag)
    pro = {"question": "2 + 2?", "category": "math", "options": ["3", "4"], "answer": "B"}
    worked = {**pro, "question": "1 + 1?", "cot_content": "A: Let's think step by step. It is 2. The answer is (B)."}
    data = Splits(test=[pro], more=[worked])
    assert "It is 2." in await asked(MMLUProSolverStrategy(data, MODEL, examples="more"), pro)
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({**ADD, "text": "Mine."}))
    solver = MBPPSolverStrategy([], MODEL, examples=str(path))
    assert "Mine." in solver.prompt(solver.read(ADD))
    assert solver.evaluation_name() == "mbpp_1shots"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("test", "is what is evaluated"),
        ("nowhere", "neither a split nor a file"),
        ("empty.jsonl", "hold no rows"),
        ("broken.jsonl", "cannot be read"),
    ],
)
def test_examples_that_cannot_be_used_are_an_error_before_anything_is_sent(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(SolverError, match=said):
        MMLUSolverStrategy(Splits(test=[ROW], dev=[OTHER]), MODEL, examples=given)
