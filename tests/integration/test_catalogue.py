"""`engine run mbpp ...`: a well-known name is a dataset of the hub at a fixed commit, unless the registry has it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.data.catalogue import CATALOGUE, catalogued
from tests.hub import Files, hub, repository
from tests.support import engine, rows, scripted

ADD = {"code": "def add(a, b):\r\n    return a + b", "test_list": ["assert add(1, 2) == 3"]}
MBPP = [
    {"task_id": number, "text": f"Add {number}.", **ADD, "test_setup_code": "", "challenge_test_list": []}
    for number in range(1, 5)
]
CHOICES = ["3", "4", "5", "6"]
IFEVAL = {
    "key": 1000,
    "prompt": "No commas.",
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{"num_words": None, "relation": None, "keywords": None}],
}
NUMBER = {"number": "4", "date": {"day": "", "month": "", "year": ""}, "spans": [], "worker_id": "", "hit_id": ""}
LIVE: dict[str, Any] = {
    "question_id": "q1",
    "task": "cta",
    "turns": ["Which class?"],
    "ground_truth": "B",
    "livebench_release_date": "2024-06-24T00:00:00",
    "livebench_removal_date": "",
}
FOLLOW = {
    "instruction_following": {
        "task": "summarize",
        "instruction_id_list": IFEVAL["instruction_id_list"],
        "kwargs": IFEVAL["kwargs"],
    }
}
HUB: dict[str, Files] = {
    "google-research-datasets/mbpp": repository(
        {
            "full": {"train": [{**MBPP[0], "task_id": 601}], "test": [{**MBPP[0], "task_id": 11}], "prompt": MBPP},
            "sanitized": {"test": [{"task_id": 11, "prompt": "Add.", "test_imports": [], "source_file": "x", **ADD}]},
        }
    ),
    "openai/openai_humaneval": repository(
        {
            "openai_humaneval": {
                "test": [
                    {
                        "task_id": "HumanEval/0",
                        "prompt": 'def add(a, b):\n    """The sum."""\n',
                        "entry_point": "add",
                        "canonical_solution": "    return a + b\n",
                        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
                    }
                ]
            }
        }
    ),
    "openai/gsm8k": repository({"main": {"test": [{"question": "2 + 2?", "answer": "It is 4.\n#### 4"}]}}),
    "juletxara/mgsm": repository(
        {
            language: {
                "test": [{"question": f"2+2 {language}", "answer": None, "answer_number": 4, "equation_solution": None}]
            }
            for language in CATALOGUE["mgsm"].parts
        }
    ),
    "HuggingFaceH4/MATH-500": repository(
        {
            "default": {
                "test": [
                    {
                        "problem": "2+2",
                        "solution": "\\boxed{4}",
                        "answer": "4",
                        "subject": "Algebra",
                        "level": 1,
                        "unique_id": "a",
                    }
                ]
            }
        }
    ),
    "DigitalLearningGmbH/MATH-lighteval": repository(
        {
            "default": {
                "test": [{"problem": "2+2", "level": "Level 1", "type": "Algebra", "solution": "It is $\\boxed{4}$."}]
            }
        }
    ),
    "cais/mmlu": repository(
        {"all": {"test": [{"question": "2 + 2?", "subject": "abstract_algebra", "choices": CHOICES, "answer": 1}]}}
    ),
    "TIGER-Lab/MMLU-Pro": repository(
        {
            "default": {
                "test": [
                    {
                        "question_id": 70,
                        "question": "2 + 2?",
                        "options": CHOICES,
                        "answer": "B",
                        "answer_index": 1,
                        "cot_content": "",
                        "category": "math",
                        "src": "x",
                    }
                ]
            }
        }
    ),
    "Rowan/hellaswag": repository(
        {
            "default": {
                "validation": [
                    {
                        "ind": 1,
                        "activity_label": "Sums",
                        "ctx": "Two and two",
                        "ctx_a": "Two and two",
                        "ctx_b": "",
                        "endings": CHOICES,
                        "label": "1",
                        "source_id": "x",
                        "split": "val",
                        "split_type": "x",
                    }
                ]
            }
        }
    ),
    "allenai/ai2_arc": repository(
        {
            name: {
                "test": [
                    {
                        "id": "x",
                        "question": "2+2?",
                        "choices": {"text": CHOICES, "label": ["A", "B", "C", "D"]},
                        "answerKey": "B",
                    }
                ]
            }
            for name in ("ARC-Challenge", "ARC-Easy")
        }
    ),
    "EleutherAI/drop": repository(
        {
            "default": {
                "validation": [
                    {
                        "section_id": "s",
                        "passage": "Two and two.",
                        "question": "Sum?",
                        "query_id": "q",
                        "answer": NUMBER,
                        "validated_answers": {name: [NUMBER[name]] for name in NUMBER},
                    }
                ]
            }
        }
    ),
    "lukaemon/bbh": repository(
        {task: {"test": [{"input": f"2+2 {task}", "target": "4"}]} for task in CATALOGUE["bbh"].parts}
    ),
    "google/IFEval": repository({"default": {"train": [IFEVAL]}}),
    "basicv8vc/SimpleQA": repository({"default": {"test": [{"metadata": "{}", "problem": "2+2?", "answer": "4"}]}}),
    **{
        f"livebench/{part}": repository(
            {"default": {"test": [{**LIVE, **FOLLOW.get(part, {}), "question_id": part, "category": part}]}}
        )
        for part in CATALOGUE["live_bench"].parts
    },
}
ANSWERS = {
    "mbpp": "```python\ndef add(a, b):\n    return a + b\n```",
    "humaneval": "```python\ndef add(a, b):\n    return a + b\n```",
    "math": "\\boxed{4}",
    "ifeval": "None here.",
    "drop": "Answer: 4",
    "bbh": "4",
    "gsm8k": "#### 4",
    "mgsm": "4",
    "simpleqa": "A",
    "live_bench": "B",
}
SOLVERS = {
    "mbpp": ["MBPPSolverStrategy"],
    "humaneval": ["HumanEvalSolverStrategy"],
    "gsm8k": ["GSM8KSolverStrategy"],
    "mgsm": ["MGSMSolverStrategy"],
    "math": ["MATH500SolverStrategy"],
    "mmlu": ["MMLUSolverStrategy"],
    "mmlu_pro": ["MMLUProSolverStrategy"],
    "hellaswag": ["HellaswagSolverStrategy"],
    "arc": ["ARCSolverStrategy"],
    "drop": ["DROPSolverStrategy"],
    "bbh": ["BBHSolverStrategy"],
    "ifeval": ["IFEvalSolverStrategy"],
    "live_bench": ["LiveBenchSolverStrategy"],
    "simpleqa": ["SimpleQASolverStrategy"],
}


def of(held: dict[str, Any], name: str) -> Any:
    """What is held for a name, or for the longest beginning of it."""
    return held.get(max((key for key in held if name.startswith(key)), key=len, default=""))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("mmlu", "live_bench") else pytest.mark.long) for name in CATALOGUE]
)
async def test_a_well_known_name_runs_with_its_solver_on_rows_as_the_hub_holds_them(tmp_path, name):
    async with scripted(lambda request: of(ANSWERS, name) or "B") as (server, _):
        model = f"{server.base_url}::m"
        words = [*of(SOLVERS, name), "--model", model, *(["--judge", model] if name == "simpleqa" else [])]
        with hub(HUB) as url:
            own = {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf")}
            ended = await engine("run", name, *words, "--json", cwd=tmp_path, **own)
    assert ended.code == 0, ended.err
    [run] = ended.runs
    assert run["n"] == run["passed"] == max(1, len(CATALOGUE[name].parts))


@pytest.mark.parametrize("reference", [pytest.param("mbpp", marks=pytest.mark.long), "near.ai/mbpp/1.0.0"])
async def test_the_first_command_of_the_seed_works_and_examples_come_from_the_split_prompt(tmp_path, reference):
    async with scripted(lambda request: ANSWERS["mbpp"]) as (server, seen):
        words = ("run", reference, "MBPPSolverStrategy", "--model", f"{server.base_url}::m", "--subset=train")
        with hub(HUB) as url:
            ended = await engine(*words, "--json", cwd=tmp_path, HF_ENDPOINT=url, HF_HOME=str(tmp_path / "hf"))
    assert (ended.code, ended.runs[0]["benchmark"]) == (0, "mbpp_3shots"), ended.err
    assert "Add 3." in seen.seen[0]


async def test_a_part_of_a_benchmark_is_a_subset(tmp_path):
    async with scripted(lambda request: "4") as (server, _):
        words = ("run", "mgsm", "MGSMSolverStrategy", "--model", f"{server.base_url}::m", "--subset", "sw", "--json")
        with hub(HUB) as url:
            ended = await engine(*words, cwd=tmp_path, HF_ENDPOINT=url, HF_HOME=str(tmp_path / "hf"))
    assert ended.runs[0]["n"] == ended.runs[0]["metrics"]["mgsm/language/sw"] == 1


async def test_an_entry_of_the_registry_wins_over_the_catalogue(tmp_path):
    rows(tmp_path / "test.jsonl", [{"question": "1 + 1?", "answer": "#### 2"}])
    named = ("--namespace", "near.ai", "--name", "gsm8k", "--version", "1.0.0")
    assert (await engine("registry", "upload", tmp_path / "test.jsonl", *named, cwd=tmp_path)).code == 0
    async with scripted(lambda request: "2") as (server, _):
        words = ("run", "gsm8k", "GSM8KSolverStrategy", "--model", f"{server.base_url}::m", "--json")
        ended = await engine(*words, cwd=tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert ended.runs[0]["passed"] == 1, ended.err


async def test_without_a_network_a_well_known_name_is_one_error_that_says_what_to_do(tmp_path):
    words = ("run", "near.ai/mbpp/1.0.0", "MBPPSolverStrategy", "--model", "http://127.0.0.1:9/v1::m", "--json")
    ended = await engine(*words, cwd=tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hf"))
    said = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 2
    assert [each["event"] for each in said] == ["error", "end"]
    assert "the hub cannot be reached" in said[0]["message"]
    assert "engine registry upload PATH --namespace near.ai --name mbpp --version 1.0.0" in said[0]["hint"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("MBPP", "mbpp"),
        ("near.ai/mbpp", "mbpp"),
        ("near.ai/mmlu/1.0.0", "mmlu"),
        ("near.ai/live_bench/latest", "live_bench"),
        ("livebench", "live_bench"),
        ("arc", "arc_challenge"),
        ("near.ai/mbpp/2.0.0", ""),
        ("other/mbpp", ""),
        ("mbpp/1.0.0", ""),
        ("nothing", ""),
    ],
)
def test_names_of_the_catalogue(reference: str, name: str) -> None:
    assert catalogued(reference) == name


def test_every_commit_is_a_full_one() -> None:
    commits = [held.revision for held in CATALOGUE.values() if held.revision]
    commits += [each for held in CATALOGUE.values() for each in held.revisions.values()]
    assert [each for each in commits if len(each) != 40 or set(each) - set("0123456789abcdef")] == []
    assert [name for name, held in CATALOGUE.items() if not held.revision and not held.revisions] == ["simpleqa"]
