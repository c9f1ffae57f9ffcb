"""The seed's tutorial works as written: its script, its solver, its commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.support import adds, engine, environment, rows, scripted, sums

SCRIPT = """
import random
from itertools import product

import datasets

SAMPLE_SIZE = 1000
SEED = 42
PATH = "3_digit_addition"

random.seed(SEED)
datasets.Dataset.from_generator(
    lambda: iter(
        {
            "input": f"{a} + {b}",
            "output": str(a + b)
        }
        for a, b in random.sample(list(product(range(1000), range(1000))), SAMPLE_SIZE)
    ),
    features=datasets.Features(
        {
            "input": datasets.Value("string"),
            "output": datasets.Value("string")
        }
    )
).save_to_disk(PATH)
"""

SOLVER = '''
from pydantic import BaseModel
from datasets import Dataset
from solvers import SolverStrategy

from typing import Dict, List


class ThreeDigitAdditionDatum(BaseModel):
    input: str
    output: str


class TutorialAdditionSolver(SolverStrategy):
    """Solver for the 3 digit addition benchmark."""

    def __init__(self, dataset_ref: Dataset, model: str = "", agent: str = ""):
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref

    def evaluation_name(self) -> str:
        return "3_digit_addition"

    def compatible_datasets(self) -> List[str]:
        return ["3_digit_addition"]

    def solve(self, datum: Dict[str, str]) -> bool:
        datum = ThreeDigitAdditionDatum(**datum)
        label = datum.input.replace(" + ", "+")
        session = self.start_inference_session(label)
        goal = f"""Please add the following numbers together: {datum.input}\\n\\nOutput the result only."""
        result = session.run_task(goal).strip()
        return result == datum.output
'''


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory) -> Path:
    """The folder that the seed's script makes."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "make.py").write_text(SCRIPT)
    cached = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "make.py"], cwd=folder, env=environment(folder, **cached), check=True)
    return folder / "3_digit_addition"


async def test_the_tutorial_from_the_dataset_to_the_final_score(tutorial, tmp_path):
    (tmp_path / "solvers").mkdir()
    (tmp_path / "solvers" / "addition.py").write_text(SOLVER)
    uploaded = await engine("registry", "upload", tutorial, "--namespace", "near.ai", "--version", "1.00", cwd=tmp_path)
    assert uploaded.code == 0, uploaded.err
    words = ("near.ai/3_digit_addition/1.00", "TutorialAdditionSolver", "--model", "simulated::calculator")
    ended = await engine("benchmark", "run", *words, "--max_concurrent=64", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.final.startswith("Final score: 9")
    assert "/1000 - 9" in ended.final
    for name in ("near.ai/3_digit_addition", "3_digit_addition"):
        again = await engine(
            "benchmark", "run", name, *words[1:], "--json", "--check_compatibility", "true", cwd=tmp_path
        )
        assert again.runs[0]["requests"] == 0, "the same dataset by another of its names is the same run"
    listed = await engine("registry", "list", "--category=dataset", cwd=tmp_path)
    assert "near.ai/3_digit_addition/1.00" in listed.out


async def test_the_generated_dataset_is_the_one_that_the_script_makes(tutorial, tmp_path):
    words = ("ThreeDigitAdditionSolver", "--model", "simulated::calculator", "--json")
    one = await engine("run", tutorial, *words, cwd=tmp_path)
    two = await engine("run", "generated:3_digit_addition", *words, cwd=tmp_path)
    assert one.runs[0]["n"] == two.runs[0]["n"] == 1000
    assert one.runs[0]["score"] == two.runs[0]["score"]
    assert two.runs[0]["requests"] == 0, "equal requests at temperature 0 are bought once"


CUSTOM = """
import json
from pathlib import Path

from engine import SolverStrategy
from solvers import SolverScoringMethod


class Folder(SolverStrategy):
    scoring_method = SolverScoringMethod.Custom

    def __init__(self, dataset_ref, model="", agent="", *, step: str = "all"):
        super().__init__(model, agent)
        self.folder = Path(dataset_ref)

    def evaluation_name(self):
        return "folder"

    def compatible_datasets(self):
        return ["quiz"]

    def get_custom_tasks(self):
        return [json.loads(line) for part in ("b", "a") for line in (self.folder / part / "questions.txt").open()]

    async def solve(self, datum):
        text = await self.start_inference_session("q").run_task(datum["q"])
        return text == datum["a"], {"group": datum["group"]}

    def get_evaluation_metrics(self, tasks_results):
        assert [result.datum_index for result in tasks_results] == list(range(len(tasks_results)))
        groups = {}
        for solved, info in tasks_results:
            groups.setdefault(info["group"], []).append(solved)
        metrics = {f"group/{name}": 100 * sum(solved) / len(solved) for name, solved in groups.items()}
        return {"average": sum(metrics.values()) / len(metrics), **metrics}
"""


async def test_a_folder_of_a_custom_format_goes_to_the_solver_which_makes_tasks_and_metrics(tmp_path):
    for part, right in (("a", 1), ("b", 3)):
        (tmp_path / "quiz" / part).mkdir(parents=True)
        asked = [{"q": f"{n} + 1", "a": str(n + 1) if n < right else "wrong", "group": part} for n in range(4)]
        rows(tmp_path / "quiz" / part / "questions.txt", asked)
    (tmp_path / "folder.py").write_text(CUSTOM)
    async with scripted(adds) as (server, _):
        words = ("run", "quiz", "folder.py", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.runs[0]["metrics"] == {"folder/average": 50.0, "folder/group/a": 25.0, "folder/group/b": 75.0}
    assert ended.runs[0]["passed"] == 4


@pytest.mark.parametrize(
    "flag", [("--check_compatibility", "false"), ("--nocheck_compatibility",), ("--check-compatibility=false",)]
)
async def test_the_compatibility_check_can_be_turned_off_in_each_spelling(tmp_path, flag):
    rows(tmp_path / "other.jsonl", [{"input": "1 + 2", "output": "3"}])
    words = ("run", "other.jsonl", "ThreeDigitAdditionSolver", "--model", "simulated::calculator", "--json")
    refused = await engine(*words, cwd=tmp_path)
    assert refused.code == 2
    assert "is not made for" in json.loads(refused.out.splitlines()[0])["message"]
    taken = await engine(*words, *flag, cwd=tmp_path)
    assert taken.code in (0, 1)
    assert taken.runs[0]["n"] == 1


async def test_two_commands_at_the_same_time_on_one_database_both_end_right(tmp_path):
    words = (
        "run",
        "generated:3_digit_addition",
        "ThreeDigitAdditionSolver",
        "--model",
        "simulated::calculator",
        "--json",
    )
    ended = []

    async def one(*more: object) -> None:
        ended.append(await engine(*words, *more, cwd=tmp_path))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one, "--temperature", 0.5)
    assert [each.code for each in ended] == [0, 0], ended
    assert [each.runs[0]["n"] for each in ended] == [1000, 1000]


NEIGHBOUR = """
import beside
from engine import SolverStrategy


class Near(SolverStrategy):
    def evaluation_name(self):
        return beside.NAME

    def compatible_datasets(self):
        return ["*"]

    def solve(self, datum):
        return True
"""


@pytest.mark.parametrize("start", ["-m", "-c"])
@pytest.mark.parametrize("reference", ["folder/near.py", "near.py:Near", "near:Near"])
async def test_a_solver_imports_its_neighbours_and_hides_nothing_that_is_installed(tmp_path, reference, start):
    folder = tmp_path / "folder" if "/" in reference else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "beside.py").write_text("NAME = 'near'\n")
    (folder / "near.py").write_text(NEIGHBOUR)
    for name in ("datasets", "openai", "aiosqlite"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('foreign')\n")
    rows(tmp_path / "data.jsonl", sums(2))
    program = {"-m": ("-m", "engine"), "-c": ("-P", "-c", "from engine.__main__ import main; main()")}[start]
    words = (*program, "run", "data.jsonl", reference, "--model", "simulated::m")
    done = await anyio.run_process([sys.executable, *words], cwd=tmp_path, env=environment(tmp_path), check=False)
    assert done.stdout.decode().endswith("Final score: 2/2 - 100.00%\n"), done.stderr.decode()
