"""Whatever a model replies, every solver's task ends with an outcome, nothing is errored, and the run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support import engine, rows, scripted

HOSTILE = {
    "nothing": "",
    "nul": "\0 4",
    "surrogates": "\ud800 4 \udfff",
    "html": "<b>4</b><script>alert(1)</script><table><tr><td>4",
    "ansi": "\x1b[31m4\x1b[0m\x1b]0;title\x07\x1b[2J",
    "turned around": "\u202e4\u202c \u200b\u2066",
    "7 MB": "4? " * 2_333_333,
    "10 MB": "4? " * 3_500_000,
    "boxes": "\\boxed{" * 200_000,
    "a tower": "\\boxed{9^{9^{9^{9^9}}}}",
    "a factorial": "The answer is $(10^9)!$",
    "brackets": "(" * 300_000 + ")" * 300_000,
    "deep json": "[" * 300_000,
    "a literal": "{'a': " * 50_000,
    "answers": "answer is (" * 200_000,
    "answer lines": "Answer: " * 200_000,
    "numbers": "1 000 " * 200_000,
    "digits": "#### " + "9" * 1_000_000,
    "fences": "```python\n" * 100_000,
    "thoughts": "<think>" * 200_000,
    "markers": "\nQ: " * 200_000,
    "spans": "Answer: " + "a and " * 200_000,
    "sections": "Section 1\n* a\n\n***\n" * 50_000,
    "blank lines": "\n" * 1_000_000 + "x",
    "a program that loops": "```python\ndef add(a, b):\n    while True: pass\n```",
    "a program of brackets": "def add(a, b): return " + "(" * 20_000,
}
CHOICES = ["3", "4", "5", "6"]
ADD = {"code": "def add(a, b):\n    return a + b", "test_list": ["assert add(1, 2) == 3"]}
HUMANEVAL = {
    "prompt": 'def add(a, b):\n    """The sum."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
FOLLOW = [
    "length_constraints:number_sentences",
    "detectable_format:multiple_sections",
    "detectable_format:json_format",
    "keywords:frequency",
    "language:response_language",
]
KWARGS = [
    {"num_sentences": 3, "relation": "at least"},
    {"section_spliter": "Section", "num_sections": 2},
    {},
    {"keyword": "a.*(", "frequency": 2, "relation": "at least"},
    {"language": "de"},
]
LIVE = {"livebench_release_date": "2024-11-25", "livebench_removal_date": ""}
SOLVERS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "mmlu": (["MMLUSolverStrategy"], {"subject": "abstract_algebra", "choices": CHOICES, "answer": 1}),
    "mmlu_pro": (["MMLUProSolverStrategy"], {"category": "math", "options": CHOICES, "answer": "B"}),
    "hellaswag": (["HellaswagSolverStrategy", "--mode", "cot"], {"choices": CHOICES, "gold": 1}),
    "arc_easy": (["ARCSolverStrategy"], {"choices": CHOICES, "gold": 1}),
    "gsm8k": (["GSM8KSolverStrategy"], {"answer": "#### 7"}),
    "mgsm": (["MGSMSolverStrategy"], {"answer": "7", "language": "de"}),
    "math": (["MATH500SolverStrategy"], {"answer": "\\frac{x}{2}"}),
    "drop": (["DROPSolverStrategy", "--split_spans", "true"], {"passage": "p", "answers": [["Ann", "Bob"], ["3 km"]]}),
    "bbh": (["BBHSolverStrategy", "--mode", "cot"], {"task": "made_up", "target": "(B)"}),
    "simpleqa": (["SimpleQASolverStrategy"], {"answer": "7"}),
    "pairwise": (["PairwiseSolver", "--reference", "answer"], {"answer": "7"}),
    "humaneval": (["HumanEvalSolverStrategy", "--cpu_limit_s", "1"], HUMANEVAL),
    "mbpp": (["MBPPSolverStrategy", "--shots", "0", "--cpu_limit_s", "1"], ADD),
    "ifeval": (["IFEvalSolverStrategy"], {"instruction_id_list": FOLLOW, "kwargs": KWARGS}),
    "live_bench_amps": (["LiveBenchSolverStrategy"], {"category": "math", "task": "AMPS_Hard", "ground_truth": "x/2"}),
    "live_bench_olympiad": (
        ["LiveBenchSolverStrategy"],
        {"category": "math", "task": "olympiad", "subtask": "usamo_1", "ground_truth": "1,2,3"},
    ),
    "live_bench_tablejoin": (
        ["LiveBenchSolverStrategy"],
        {"category": "data_analysis", "task": "tablejoin", "ground_truth": "{'a': 'b'}"},
    ),
    "live_bench_zebra": (
        ["LiveBenchSolverStrategy"],
        {"category": "reasoning", "task": "zebra_puzzle", "ground_truth": "a,b,c"},
    ),
    "majority": (
        ["MajorityVoteStrategy", "--solver", "GSM8KSolverStrategy", "--votes", "2", "--check_compatibility", "false"],
        {"answer": "#### 7"},
    ),
    "template": (
        ["TemplateSolver", "--prompt", "{question}", "--target", "{answer}", "--scorer", "math"],
        {"answer": "\\frac{x}{2}"},
    ),
}
LAST = ("--max-errors", 1, "--json")
QUICK = ("gsm8k", "mbpp")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in QUICK else pytest.mark.long) for each in SOLVERS]
)
async def test_every_task_ends_with_an_outcome_and_the_run_goes_on(tmp_path, name):
    words, fields = SOLVERS[name]
    # The question says which reply it gets; the fields that hold it are those of any of the datasets.
    data = [
        {
            **dict.fromkeys(("question", "input", "problem", "text", "query"), f"Reply {number}."),
            "turns": [f"Reply {number}."],
            "prompt": f"Reply {number}.",
            **LIVE,
            **fields,
            **({"prompt": f"# Reply {number}.\n{fields['prompt']}"} if "entry_point" in fields else {}),
            "question_id": f"q{number}",
            "task_id": number + 600,
        }
        for number in range(len(HOSTILE))
    ]
    replies = list(HOSTILE.values())

    def answer(request: Any) -> str:
        text = request.texts[-1][1]
        return "[[C]] C" if "Reply " not in text else replies[int(text.rpartition("Reply ")[2].partition(".")[0])]

    file = rows(tmp_path / f"{name}.jsonl", data)
    async with scripted(answer) as (server, _):
        model = f"{server.base_url}::m"
        judge = ["--judge", model] if name in ("simpleqa", "pairwise") else []
        ended = await engine("run", file, *words, *judge, "--model", model, *LAST, cwd=tmp_path, timeout_s=280)
    assert ended.code == 0, ended.err[-2000:]
    [run] = ended.runs
    # A reply of 10 MB is more than is read of one: an errored task, which no score counts.
    outcomes = ("passed", "failed", "scored", "refused", "truncated", "empty", "unparsed")
    assert sum(run[each] for each in outcomes) + 1 == run["n"] == len(HOSTILE)
    assert (run["errored"], run["passed"]) == (1, 0)
