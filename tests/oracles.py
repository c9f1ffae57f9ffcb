"""Every recorded answer with a published verdict, replayed from the command line and compared row by row.

    python -m tests.oracles [--max_concurrent 1] [NAME ...]

A recording is served by `engine replay`, asked by `engine run --json`, and each row's verdict is set beside the
published one. One table is printed: recording, rows, what is published, what we give, rows that differ and why.
Rows that ask the same thing are served in the order they are asked, so they are compared together.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import ROOT, command, environment

SHARED = ROOT.parent / "shared" / "data"
TABLE = "{:40} {:>6} {:>10} {:>10} {:>6} {:>9}"


class Oracle(NamedTuple):
    """How a recording is asked: the dataset, and the solver with its options."""

    dataset: str
    words: tuple[str, ...]


ORACLES = {
    "gsm8k-openai-6b_finetuning": Oracle("gsm8k/test.jsonl", ("GSM8KSolverStrategy",)),
    "gsm8k-openai-175b_verification": Oracle("gsm8k/test.jsonl", ("GSM8KSolverStrategy",)),
    "humaneval-reflexion_gpt-4_humaneval_py": Oracle("humaneval/HumanEval.jsonl.gz", ("HumanEvalSolverStrategy",)),
    "humaneval-simple_test_run_gpt-4": Oracle("humaneval/HumanEval.jsonl.gz", ("HumanEvalSolverStrategy",)),
    "bbh-code-davinci-002-direct": Oracle("bbh", ("BBHSolverStrategy",)),
    "ifeval-gpt-4-20231107": Oracle("ifeval/input_data.jsonl", ("IFEvalSolverStrategy",)),
    "ifeval-gpt-4o-mini-2024-07-18": Oracle("ifeval/input_data.jsonl", ("IFEvalSolverStrategy",)),
    "ifeval-mistralai__Mistral-7B-Instruct-v0.3": Oracle("ifeval/input_data.jsonl", ("IFEvalSolverStrategy",)),
    "mmlu_pro-Meta-Llama-3_1-8B-Instruct": Oracle("mmlu_pro/test_recorded.jsonl.gz", ("MMLUProSolverStrategy",)),
    "livebench-zft-community-8b-bs4": Oracle(
        "livebench", ("LiveBenchSolverStrategy", "--release", "all", "--max-errors", "50%")
    ),
    "math-qwen-cot-0-4": Oracle("math500/recorded.jsonl", ("MATH500SolverStrategy", "--repeats", "4")),
}


class Found(NamedTuple):
    """A recording beside what the engine made of it."""

    name: str
    rows: int
    published: float
    ours: float
    differ: list[str]
    instructions: int
    strict_differ: int
    loose_differ: int
    """Of IFEval, verdicts on instructions, and how many of them differ."""


def main(words: Sequence[str]) -> int:
    """Replay the named recordings, all of them by default; 1 where a row differs."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", default=[], metavar="NAME")
    options.add_argument("--max_concurrent", type=int, default=64)
    given = options.parse_args(words)
    differ = 0
    print(TABLE.format("recording", "rows", "published", "ours", "differ", "seconds"))
    for name in given.names or ORACLES:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = replayed(name, Path(folder), max_concurrent=given.max_concurrent)
        took = f"{time.monotonic() - began:.1f}"
        sums = (f"{found.published:.6g}", f"{found.ours:.6g}")
        print(TABLE.format(name, found.rows, *sums, len(found.differ), took), flush=True)
        if found.instructions:
            print(f"    instructions: {found.strict_differ} strict, {found.loose_differ} loose of {found.instructions}")
        for line in found.differ[:20]:
            print(f"    {line}", flush=True)
        differ += len(found.differ)
    return int(differ > 0)


def replayed(name: str, folder: Path, *, max_concurrent: int = 64) -> Found:
    """One recording through `engine replay` and `engine run`, row by row."""
    oracle = ORACLES[name]
    path = SHARED / "oracles" / f"{name}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with _serving(path, folder) as model:
        words = ("run", SHARED / oracle.dataset, *oracle.words, "--model", model)
        ended = subprocess.run(
            command(*words, "--max_concurrent", max_concurrent, "--json"),
            cwd=folder, env=environment(folder / "home"), check=False, capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
    if ended.returncode != 0:
        raise SystemExit(f"{name}: exit code {ended.returncode}\n{ended.stderr[-2000:]}")
    with closing(sqlite3.connect(folder / "home" / "engine.db")) as db:
        columns = "datum_id, datum_index, repeat, outcome, score, answer, info"
        found = list(db.execute(f"select {columns} from tasks"))
    by_id = all(row[0] for row in found) and not name.startswith("math")
    tasks = {(str(row[0] if by_id else row[1]), row[2]): row[3:] for row in found}
    return _compared(name, rows, tasks)


def _compared(name: str, rows: Sequence[dict[str, Any]], tasks: dict[tuple[str, int], Any]) -> Found:
    groups: dict[str, list[tuple[str, Any, Any]]] = defaultdict(list)
    for row in rows:
        groups[_group(row)].append((str(row["id"]), row, tasks.get(_task(name, row))))
    differ, total, wrong, all_instructions = [], 0.0, [0, 0], 0
    for members in groups.values():
        total += sum(task[1] or 0.0 for _, _, task in members if task)
        wanted = sorted(float(row["expected"]) for _, row, _ in members)
        given = sorted(-1.0 if task is None or task[1] is None else task[1] for _, _, task in members)
        if any(abs(a - b) > 1e-9 for a, b in zip(wanted, given, strict=True)):
            differ += [_shown(*member) for member in members]
        for _, row, task in members:
            if "strict" in row and task:
                info = json.loads(task[3])
                for at, kind in enumerate(("strict", "loose")):
                    wrong[at] += sum(a != b for a, b in zip(row[kind], info[kind], strict=True))
                all_instructions += len(row["strict"])
    published = sum(float(row["expected"]) for row in rows)
    return Found(name, len(rows), published, total, differ, all_instructions, *wrong)


def _group(row: dict[str, Any]) -> str:
    """What rows have in common that an endpoint cannot tell apart."""
    return f"{row['match'].strip()}\n{row.get('options')}"


def _task(name: str, row: dict[str, Any]) -> tuple[str, int]:
    """The datum and the repeat that a recorded row is about."""
    if name.startswith("math"):
        datum, _, repeat = str(row["id"]).partition("/")
        return datum, int(repeat)
    return str(row["id"]), 0


def _shown(datum: str, row: dict[str, Any], task: Any) -> str:
    if task is None:
        return f"{datum}: published {row['expected']}, and no task has that id"
    outcome, score, answer, _ = task
    return f"{datum}: published {row['expected']}, ours {score} {outcome}, answer {str(answer)[:60]!r}"


@contextmanager
def _serving(path: Path, folder: Path) -> Any:
    serving = subprocess.Popen(
        command("replay", path, "--port", 0, "--json"),
        cwd=folder, env=environment(folder / "home"), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        yield json.loads(serving.stdout.readline())["model"]
    finally:
        serving.terminate()
        serving.wait(timeout=20)
        if serving.stdout is not None:
            serving.stdout.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
