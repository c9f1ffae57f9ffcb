"""Peers, where they are installed: never a dependency, each run by the Python that has it, with its own defaults.

`--peer inspect=PYTHON` and `--peer lm-eval=PYTHON` name those Pythons; a peer that this Python has is found alone.
Both run the same rows, ask for as many requests in flight as the engine, and judge by equality.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import process
from benchmarks.contestants import Ground
from benchmarks.paired import Contestant
from benchmarks.process import Spent

Peer = Callable[[Ground, str, int, int, int], Contestant]
"""A contestant from the ground, the base URL, requests in flight, and the two counts of tasks."""
Command = Callable[[Path, Path, str, int], tuple[list[str], dict[str, str]]]
"""The words and variables for a place, a file of rows, a base URL and requests in flight; the place is filled."""

INSPECT = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample, json_dataset
from inspect_ai.scorer import exact
from inspect_ai.solver import generate


@task
def items():
    rows = json_dataset({rows!r}, lambda row: Sample(input="Say " + row["input"], target=row["output"]))
    return Task(dataset=rows, solver=generate(), scorer=exact())
"""
LM_EVAL = """
task: items
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: "Say {{{{input}}}}"
doc_to_target: "{{{{output}}}}"
generation_kwargs: {{until: ["never written"], temperature: 0, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


def found_peers(asked: Sequence[str]) -> dict[str, tuple[str, Peer]]:
    """By name, the version and the contestant of each peer that is there.

    Raises:
        ValueError: something was asked for that is no peer.
    """
    pythons = {name: sys.executable for name, (module, _) in _KNOWN.items() if find_spec(module)}
    for each in asked:
        name, mark, python = each.partition("=")
        if name not in _KNOWN or not mark:
            raise ValueError(f"--peer {each!r}: NAME=PYTHON was expected, with a name of {', '.join(_KNOWN)}")
        pythons[name] = str(Path(python).absolute())
    return {name: (_version(name, python), _peer(name, python)) for name, python in pythons.items()}


def _peer(name: str, python: str) -> Peer:
    command = _KNOWN[name][1]

    def contestant(ground: Ground, base_url: str, in_flight: int, few: int, many: int) -> Contestant:
        def start(tasks: int) -> Spent:
            place = ground.place()
            words, variables = command(place, ground.rows(tasks), base_url, in_flight)
            try:
                return process.run([python, *words], folder=place, variables={**_OFFLINE, **variables})
            finally:
                shutil.rmtree(place)

        return Contestant(name=name, start=start, few=few, many=many)

    return contestant


def _inspect(place: Path, rows: Path, base_url: str, in_flight: int) -> tuple[list[str], dict[str, str]]:
    (place / "items.py").write_text(INSPECT.format(rows=str(rows)))
    limits = ["--max-connections", str(in_flight), "--max-samples", str(in_flight), "--temperature", "0"]
    words = ["eval", "items.py", "--model", "openai-api/bench/m", *limits, "--display", "none", "--log-dir", "logs"]
    call = "import sys; from inspect_ai._cli.main import main; sys.argv[0] = 'inspect'; main()"
    return ["-c", call, *words], {"BENCH_API_KEY": "none", "BENCH_BASE_URL": base_url}


def _lm_eval(place: Path, rows: Path, base_url: str, in_flight: int) -> tuple[list[str], dict[str, str]]:
    (place / "items.yaml").write_text(LM_EVAL.format(rows=rows))
    settings = {
        "model": "m",
        "base_url": f"{base_url}/chat/completions",
        "num_concurrent": in_flight,
        "tokenized_requests": False,
        "tokenizer_backend": None,
    }
    model = ["--model", "local-chat-completions", "--model_args", ",".join(f"{k}={v}" for k, v in settings.items())]
    words = ["-m", "lm_eval", "run", *model, "--apply_chat_template", "--include_path", ".", "--tasks", "items"]
    return [*words, "--output_path", "results"], {"HF_HOME": str(place / "hf"), "OPENAI_API_KEY": "none"}


def _version(name: str, python: str) -> str:
    asked = f"from importlib.metadata import version; print(version({_KNOWN[name][0]!r}))"
    return subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()


_OFFLINE: Mapping[str, str] = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "TOKENIZERS_PARALLELISM": "false"}
_KNOWN: Mapping[str, tuple[str, Command]] = {"inspect": ("inspect_ai", _inspect), "lm-eval": ("lm_eval", _lm_eval)}
"""By name, the module and what makes the command."""
