"""HumanEval and MBPP: reference solutions pass, recorded answers give their published verdicts, forgeries give none."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from solving import MODEL, solved

from engine.endpoints.recorded import Recorded, Recording, Row, load_recording
from engine.endpoints.server import serve
from engine.errors import SolverError, TaskError
from engine.records import Outcome
from solvers.humaneval import HumanEvalSolverStrategy
from solvers.mbpp import TASK, MBPPSolverStrategy
from tests.integration.sandbox_attacks import FORGERIES
from tests.support import engine

PUBLISHED = {"humaneval-reflexion_gpt-4_humaneval_py": 150, "humaneval-simple_test_run_gpt-4": 134}
ADD: dict[str, Any] = {
    "task_id": "x/0",
    "prompt": 'def add(a, b):\n    """The sum."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(10000, 1) == 10001\n",
}
ADD_MBPP: dict[str, Any] = {
    "task_id": 700,
    "text": "Write a function to add.",
    "code": "import math\r\ndef add(a, b):\r\n    return math.fsum((a, b))",
    "test_list": ["assert add(2, 3) == 5", "assert math.isclose(add(2, 2), 4)"],
    "test_setup_code": "",
    "challenge_test_list": ["assert add(1, 1) == 3"],
}


def outcomes(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "home" / "engine.db") as db:
        found = [str(row[0]) for row in db.execute("select outcome from tasks order by datum_index")]
    db.close()
    return found


def references(rows: Sequence[dict[str, Any]], names: tuple[str, str]) -> Recording:
    """Recorded answers that are the references, as the prompts ask for them."""
    question, answer = names
    found = [
        Row(
            match=TASK.format(text=row[question], tests="\n".join(row["test_list"])).strip(),
            content=f"{row[answer]}\n[DONE]\n",
        )
        for row in rows
    ]
    return Recording(rows=found, identity=f"references of {len(rows)}")


@pytest.mark.parametrize("max_concurrent", [64, 1])
@pytest.mark.parametrize("name", PUBLISHED)
async def test_recorded_answers_give_their_published_verdicts_row_by_row(shared_data, tmp_path, name, max_concurrent):
    path = shared_data / "oracles" / f"{name}.jsonl.gz"
    async with serve(Recorded(load_recording(path))) as server:
        words = ("run", shared_data / "humaneval" / "HumanEval.jsonl.gz", "HumanEvalSolverStrategy")
        ended = await engine(
            *words, "--model", f"{server.base_url}::m", "--max_concurrent", max_concurrent, cwd=tmp_path
        )
    assert ended.code == 0, ended.err
    assert ended.final == f"Final score: {PUBLISHED[name]}/164 - {100 * PUBLISHED[name] / 164:.2f}%"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        published = [bool(json.loads(line)["expected"]) for line in lines]
    assert [outcome == "passed" for outcome in outcomes(tmp_path)] == published


async def test_every_reference_of_humaneval_passes(shared_data, tmp_path):
    with gzip.open(shared_data / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    recording = Recording(
        rows=[Row(match=row["prompt"].strip(), content=row["canonical_solution"]) for row in rows], identity="canonical"
    )
    async with serve(Recorded(recording)) as server:
        words = ("run", shared_data / "humaneval" / "HumanEval.jsonl.gz", "HumanEvalSolverStrategy")
        ended = await engine(*words, "--model", f"{server.base_url}::m", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert ended.runs[0]["passed"] == 164


@pytest.mark.parametrize(
    ("file", "names", "options", "count"),
    [
        ("mbpp.jsonl", ("text", "code"), ("--cpu_limit_s", 60), 974),
        pytest.param(
            *("mbpp.jsonl", ("text", "code"), ("--cpu_limit_s", 60, "--shots", 0, "--challenge_tests", "true"), 974),
            marks=pytest.mark.long,
        ),
        ("sanitized-mbpp.json", ("prompt", "code"), ("--cpu_limit_s", 60), 427),
    ],
    ids=["full", "challenge", "sanitized"],
)
async def test_every_reference_of_mbpp_passes(shared_data, tmp_path, file, names, options, count):
    path = shared_data / "mbpp" / file
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if file.endswith(".json") else [json.loads(line) for line in text.splitlines()]
    async with serve(Recorded(references(rows, names))) as server:
        words = ("run", path, "MBPPSolverStrategy", "--model", f"{server.base_url}::m", "--json", *options)
        ended = await engine(*words, cwd=tmp_path, timeout_s=110)
    assert ended.code == 0, ended.err
    assert ended.runs[0]["passed"] == ended.runs[0]["n"] == count


async def test_forged_answers_give_no_pass_and_no_error(tmp_path):
    solver = HumanEvalSolverStrategy([], MODEL, cpu_limit_s=1.0)
    found = {
        name: (await solved(solver, ADD, f"```python\n{source}\n```")).outcome or Outcome.FAILED
        for name, source in FORGERIES.items()
    }
    honest = await solved(solver, ADD, "```python\ndef add(a, b):\n    return a + b\n```")
    await solver.aclose()
    assert set(found.values()) == {Outcome.FAILED}
    assert honest.value == 1


@pytest.mark.parametrize(
    ("reply", "value", "outcome"),
    [
        ("    return a + b", 1, None),
        ("return a + b", 1, None),
        ("def add(a, b):\n    return a + b\n", 1, None),
        ("Sure:\n```py\ndef add(a, b):\n    return a + b\n```\nDone.", 1, None),
        ("from __future__ import annotations\ndef add(a, b):\n    return a + b\n", 1, None),
        ("```python\ndef add(a, b):\n    return a - b\n```", 0, None),
        ("```python\ndef add(a, b) return\n```", 0, None),
        ("I do not know.", 0, Outcome.UNPARSED),
        ("", 0, Outcome.UNPARSED),
        ("x" * 10_000_000, 0, Outcome.UNPARSED),
        ("```python\n" + "add = 1 #" + "x" * 10_000_000 + "\n```", 0, None),
        ("```python\n" + "(" * 100_000 + "\n```", 0, None),
        ("```python\ndef add(a, b):\n    return '\0\ud800<b>\x1b[31m'\n```", 0, None),
    ],
    ids=range(13),
)
async def test_replies_to_a_function_are_read_and_judged(reply, value, outcome):
    solver = HumanEvalSolverStrategy([], MODEL)
    score = await solved(solver, ADD, reply)
    await solver.aclose()
    assert (score.value, score.outcome) == (value, outcome)
    if outcome is None:
        assert score.info["sandbox"] in ("strong", "fast")
        json.dumps(score.info, ensure_ascii=False).encode()


async def test_a_program_that_was_cut_off_is_no_answer():
    solver = HumanEvalSolverStrategy([], MODEL)
    cut = await solved(solver, ADD, "```python\ndef add(a, b):\n    return (a +", finish_reason="length")
    whole = await solved(solver, ADD, "```python\ndef add(a, b):\n    return a + b\n", finish_reason="length")
    await solver.aclose()
    assert cut.outcome is Outcome.UNPARSED
    assert whole.value == 1


async def test_helpers_of_the_prompt_stay_the_datasets_own():
    datum = {
        "prompt": 'def code(x):\n    return x + 1\n\n\ndef decode(x):\n    """Undo code."""\n',
        "entry_point": "decode",
        "test": "def check(candidate):\n    for x in range(5):\n        assert candidate(code(x)) == x\n",
    }
    solver = HumanEvalSolverStrategy([], MODEL)
    right = await solved(solver, datum, "    return x - 1")
    cheat = await solved(solver, datum, "```python\ndef code(x):\n    return x\ndef decode(x):\n    return x\n```")
    await solver.aclose()
    assert (right.value, cheat.value) == (1, 0)


@pytest.mark.parametrize(
    ("reply", "options", "value"),
    [
        ("def add(a, b):\n    return a + b\n[DONE]\n\nYou are an expert", {}, 1),
        ("[BEGIN]\ndef add(a, b):\n    return a + b\n[DONE]", {}, 1),
        ("```python\ndef add(a, b):\n    return a + b\n```", {}, 1),
        ("[BEGIN]\n```python\ndef add(a, b):\n    return a + b\n```\n[DONE]", {}, 1),
        ("def add(a, b):\n    return a + b\n", {"challenge_tests": True}, 0),
        ("def plus(a, b):\n    return a + b\n", {}, 0),
    ],
    ids=range(6),
)
async def test_replies_to_a_small_task_are_read_and_judged(reply, options, value):
    solver = MBPPSolverStrategy([], MODEL, **options)
    score = await solved(solver, ADD_MBPP, reply)
    await solver.aclose()
    assert (score.value, score.outcome) == (value, None)


def test_examples_are_the_papers_and_never_the_row_itself():
    rows = [{**ADD_MBPP, "task_id": number, "text": f"Task {number}."} for number in range(1, 30)]
    solver = MBPPSolverStrategy(rows, MODEL)

    def shown(number: int) -> list[str]:
        text = solver.prompt(solver.read(rows[number - 1]))
        return [word for word in text.split() if word.rstrip(".").isdigit() and word.endswith(".")]

    assert shown(20) == ["2.", "3.", "4.", "20."]
    assert shown(3) == ["2.", "4.", "1.", "3."]
    assert solver.evaluation_name() == "mbpp_3shots"
    assert MBPPSolverStrategy({"prompt": rows[1:3], "test": rows[20:]}, MODEL).evaluation_name() == "mbpp_2shots"
    assert MBPPSolverStrategy(rows[15:], MODEL).evaluation_name() == "mbpp_0shots"
    with pytest.raises(SolverError, match="shots is 11"):
        MBPPSolverStrategy(rows, MODEL, shots=11)


async def test_tests_that_are_at_fault_leave_the_task_without_a_score():
    solver = HumanEvalSolverStrategy([], MODEL)
    with pytest.raises(TaskError, match="judge_error"):
        await solved(solver, {**ADD, "test": "def check(candidate): undefined"}, "    return a + b")
    await solver.aclose()


@pytest.mark.parametrize("missing", ["prompt", "entry_point", "test"])
async def test_a_row_without_a_field_is_told_before_anything_is_asked(missing):
    solver = HumanEvalSolverStrategy([], MODEL)
    with pytest.raises(SolverError, match=f"no field '{missing}'"):
        await solved(solver, {name: value for name, value in ADD.items() if name != missing}, "x")
