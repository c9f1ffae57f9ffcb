"""The command line: its commands, loaded when used, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter

from engine import __version__
from engine.cli.argv import normalise
from engine.cli.place import HELP, without_store
from engine.cli.usage import explained
from engine.errors import EngineError, StorageError

USAGE_EXIT = 2
CANNOT_WRITE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

RUNNING = Group("Run", sort_key=1)
RESULTS = Group("Results", sort_key=2)
SERVING = Group("Datasets and endpoints", sort_key=3)
SETTING_UP = Group("Set up", sort_key=4)

EXAMPLES = """Examples:

- `engine run`: what bench.toml says; without one, the batch that comes with the engine
- `engine run gsm8k/test.jsonl GSM8KSolverStrategy --model openai::gpt-4.1-mini --limit 100`
- `engine run qa.jsonl TemplateSolver --prompt '{question}' --target '{answer}' --model ollama::llama3.2`
- `engine evaluation table`, `engine evaluation compare A B`: what was kept with --record

`engine COMMAND --help` says more.
"""
RUN_EXAMPLES = """Every further `--OPTION VALUE` goes to the solver's constructor, as `--shots 3`.
A flag may be written with `-` or with `_`, and a switch may have a value: `--record true`.

Examples:

- `engine run bench.toml --limit 20 --dry-run`
- `engine run near.ai/mbpp/1.0.0 MBPPSolverStrategy --model fireworks::llama-v3p2-1b-instruct --subset test`
- `engine run rows.jsonl my_solver.py:MySolver --model https://host.example/v1::name --api-key-env MY_KEY`
"""


def build_app() -> App:
    """The commands of `engine`; each is imported only when it is called."""
    app = App(
        name="engine",
        help="Which model is best for my task, how sure are we, and what does it cost?",
        help_epilogue=EXAMPLES,
        version=__version__,
        result_action="return_value",
        help_on_error=False,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_default=_shown_default),
    )
    for flag in ("--help", "--version"):
        app[flag].group = (SETTING_UP,)
    run: dict[str, Any] = {"name": "run", "help_epilogue": RUN_EXAMPLES}
    app.command(
        "engine.cli.run:run", help="Run benchmarks: a bench.toml, or a dataset and a solver.", group=RUNNING, **run
    )
    for module, name, help_, group in (
        ("bench", "plan", "Say what a run would do and cost; nothing is sent.", RUNNING),
        ("bench", "check", "Check a bench.toml and everything it names.", RUNNING),
        ("benchmarks", "benchmarks", "List the benchmarks that ship, and how each was verified.", SERVING),
        ("endpoints", "simulate", "Serve made-up answers on loopback.", SERVING),
        ("endpoints", "replay", "Serve recorded answers on loopback.", SERVING),
        ("proof", "verify", "Replay the scoring of a bundle; nothing is sent.", RESULTS),
        ("bench", "schema", "Print the JSON schema of bench.toml.", SETTING_UP),
        ("doctor", "doctor", "Say what this machine has, and what a provider takes.", SETTING_UP),
        ("completion", "completion", "Print what makes a shell complete commands and flags.", SETTING_UP),
    ):
        app.command(f"engine.cli.{module}:{name}", name=name, help=help_, help_epilogue="", group=group)
    benchmark = App(
        name="benchmark", help="List stored runs; `benchmark run` is `run`.", group=RUNNING, help_epilogue=""
    )
    benchmark.command("engine.cli.run:run", help="Run benchmarks; the same as `engine run`.", **run)
    benchmark.command(
        "engine.cli.benchmark:list_", name="list", help="List stored runs, newest first.", help_epilogue=HELP
    )
    app.command(benchmark)
    new = App(name="new", help="Write a first file of one's own.", group=SETTING_UP, help_epilogue="")
    new.command("engine.cli.new:solver", name="solver", help="Write a solver that runs at once.")
    app.command(new)
    app.command(_evaluation())
    app.command(_cache())
    app.command(_registry())
    return app


def _shown_default(value: Any) -> str | None:
    """A default that says something; an empty one does not."""
    return str(value) if value else None


def _registry() -> App:
    """`engine registry`: entries by name and version."""
    group = App(
        name="registry", help="Datasets and other entries by name and version.", group=SERVING, help_epilogue=""
    )
    for attribute, name, help_ in (
        ("upload", "upload", "Put a folder into the registry."),
        ("list_", "list", "List entries."),
        ("info", "info", "Show an entry."),
        ("download", "download", "Fetch an entry from another registry."),
        ("update", "update", "Push metadata.json alone."),
        ("metadata_template", ("metadata_template", "metadata-template"), "Write a first metadata.json."),
        ("hide", "hide", "Take an entry out of lists."),
        ("unhide", "unhide", "Show an entry again."),
        ("verify", "verify", "Check content against manifests."),
    ):
        group.command(f"engine.cli.registry:{attribute}", name=name, help=help_)
    return group


def _cache() -> App:
    """`engine cache`: what is stored."""
    group = App(
        name="cache", help="What is stored, and why a run is or is not found in it.", group=RESULTS, help_epilogue=HELP
    )
    for name, help_ in (
        ("explain", "Say what sets a run apart from stored ones."),
        ("stats", "Count what is stored."),
        ("verify", "Check stored bodies against their hashes."),
        ("prune", "Take old completions away."),
    ):
        group.command(f"engine.cli.cache:{name}", name=name, help=help_)
    return group


def _evaluation() -> App:
    """`engine evaluation`: what was recorded."""
    group = App(
        name="evaluation",
        help="What was recorded: tables, rankings, comparisons, exports.",
        group=RESULTS,
        help_epilogue=HELP,
    )
    for module, name, attribute, help_ in (
        ("evaluation", "table", "table", "Show the evaluation table."),
        ("evaluation", "list", "list_", "List evaluations with their ids."),
        ("evaluation", "metric", "metric", "Rank everything by one metric."),
        ("evaluation", "show", "show", "Show one evaluation with all its metrics."),
        ("evaluation_solutions", "read_solutions", "read_solutions", "Show the solutions of an evaluation."),
        ("evaluation_compare", "compare", "compare", "Compare evaluations on the data that they share."),
        ("evaluation_compare", "power", "power", "Say how many data show a difference."),
        ("evaluation_change", "tag", "tag", "Add labels, or take them away."),
        ("evaluation_change", "hide", "hide", "Hide evaluations; nothing is deleted."),
        ("evaluation_change", "unhide", "unhide", "Show them again."),
        ("evaluation_export", "export", "export", "Write jsonl, csv, parquet, inspect or html."),
        ("proof", "bundle", "bundle", "Write one file from which the scoring can be replayed."),
    ):
        group.command(f"engine.cli.{module}:{attribute}", name=name, help=help_)
    view = App(name="view", help="Views of the table by name.")
    view.command("engine.cli.evaluation_change:view_save", name="save", help="Keep a view.")
    view.command("engine.cli.evaluation_change:view_list", name="list", help="List views.")
    group.command(view)
    return group


def run_command_line(words: Sequence[str]) -> int:
    """Run one command; the exit code is that of docs/errors.md, and no error shows a traceback without -v."""
    words = normalise(words)
    verbose = "-v" in words or "--verbose" in words
    as_json = "--json" in words or "--json=true" in words
    try:
        result = build_app()(without_store(words), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(*explained(error), "usage", USAGE_EXIT, as_json=as_json)
    except EngineError as error:
        if verbose:
            traceback.print_exc()
        return _fail(error.message, error.hint, error.code, error.exit_code, as_json=as_json)
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - a full disk, or a defect of ours: one line, the rest with -v
        return _unforeseen(error, verbose=verbose, as_json=as_json)
    return result if isinstance(result, int) else 0


def _unforeseen(error: Exception, *, verbose: bool, as_json: bool) -> int:
    if isinstance(error, OSError) and error.errno in CANNOT_WRITE and error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what waits there is not tried again
        what = f"results cannot be written to stdout: {error.strerror}"
        return _fail(what, "what was stored is kept; write elsewhere", StorageError.code, StorageError.exit_code)
    if verbose:
        traceback.print_exc()
    what = f"unexpected {type(error).__name__}: {error}"
    return _fail(what, "run again with -v and report what it prints", "defect", 1, as_json=as_json)


def _fail(message: str, hint: str, code: str, exit_code: int, *, as_json: bool = False) -> int:
    text = f"error: {message}" + (f"\n  hint: {hint}" if hint else "")
    print(text, file=sys.stderr)
    if as_json:
        print(json.dumps({"event": "error", "code": code, "message": message, "hint": hint}))
        print(json.dumps({"event": "end", "exit_code": exit_code, "runs": []}), flush=True)
    return exit_code
