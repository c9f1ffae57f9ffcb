"""The command line: its commands, loaded when used, and the one place where errors become exit codes."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from engine import __version__
from engine.cli.argv import normalise
from engine.errors import EngineError

USAGE_EXIT = 2
INTERRUPTED_EXIT = 130


def build_app() -> App:
    """The commands of `engine`; each is imported only when it is called."""
    app = App(
        name="engine",
        help="Which model is best for my task, how sure are we, and what does it cost?",
        version=__version__,
        result_action="return_value",
        help_on_error=False,
    )
    app.command("engine.cli.run:run", name="run", help="Run benchmarks: a bench.toml, or a dataset and a solver.")
    app.command("engine.cli.bench:plan", name="plan", help="Say what a run would do and cost; nothing is sent.")
    app.command("engine.cli.bench:check", name="check", help="Check a bench.toml and everything it names.")
    app.command("engine.cli.bench:schema", name="schema", help="Print the JSON schema of bench.toml.")
    benchmark = App(name="benchmark", help="The seed's spelling: `benchmark run` is `run`.")
    benchmark.command("engine.cli.run:run", name="run", help="Run benchmarks; the same as `engine run`.")
    benchmark.command("engine.cli.benchmark:list_", name="list", help="List stored runs, newest first.")
    app.command(benchmark)
    registry = App(name="registry", help="Datasets and other entries by name and version.")
    registry.command("engine.cli.registry:upload", name="upload", help="Put a folder into the registry.")
    registry.command("engine.cli.registry:list_", name="list", help="List entries.")
    registry.command("engine.cli.registry:info", name="info", help="Show an entry.")
    registry.command("engine.cli.registry:download", name="download", help="Fetch an entry from another registry.")
    registry.command("engine.cli.registry:update", name="update", help="Push metadata.json alone.")
    template = ("metadata_template", "metadata-template")
    registry.command("engine.cli.registry:metadata_template", name=template, help="Write a first metadata.json.")
    registry.command("engine.cli.registry:hide", name="hide", help="Take an entry out of lists.")
    registry.command("engine.cli.registry:unhide", name="unhide", help="Show an entry again.")
    registry.command("engine.cli.registry:verify", name="verify", help="Check content against manifests.")
    app.command(registry)
    app.command(_evaluation())
    cache = App(name="cache", help="What is stored, and why a run is or is not found in it.")
    cache.command("engine.cli.cache:explain", name="explain", help="Say what sets a run apart from stored ones.")
    cache.command("engine.cli.cache:stats", name="stats", help="Count what is stored.")
    cache.command("engine.cli.cache:verify", name="verify", help="Check stored bodies against their hashes.")
    app.command(cache)
    app.command("engine.cli.endpoints:simulate", name="simulate", help="Serve made-up answers on loopback.")
    app.command("engine.cli.endpoints:replay", name="replay", help="Serve recorded answers on loopback.")
    app.command("engine.cli.doctor:doctor", name="doctor", help="Say what this machine has, and what a provider takes.")
    return app


def _evaluation() -> App:
    """`engine evaluation`: what was recorded."""
    group = App(name="evaluation", help="What was recorded: tables, rankings, comparisons, exports.")
    for module, name, attribute, help_ in (
        ("evaluation", "table", "table", "Show the evaluation table."),
        ("evaluation", "list", "list_", "List evaluations with their ids."),
        ("evaluation", "metric", "metric", "Rank everything by one metric."),
        ("evaluation", "show", "show", "Show one evaluation with all its metrics."),
        ("evaluation", "read_solutions", "read_solutions", "Show the solutions of an evaluation."),
        ("evaluation_compare", "compare", "compare", "Compare evaluations on the data that they share."),
        ("evaluation_compare", "power", "power", "Say how many data show a difference."),
        ("evaluation_change", "tag", "tag", "Add labels, or take them away."),
        ("evaluation_change", "hide", "hide", "Hide evaluations; nothing is deleted."),
        ("evaluation_change", "unhide", "unhide", "Show them again."),
        ("evaluation_export", "export", "export", "Write jsonl, csv, parquet, inspect or html."),
    ):
        group.command(f"engine.cli.{module}:{attribute}", name=name, help=help_)
    view = App(name="view", help="Views of the table by name.")
    view.command("engine.cli.evaluation_change:view_save", name="save", help="Keep a view.")
    view.command("engine.cli.evaluation_change:view_list", name="list", help="List views.")
    group.command(view)
    return group


def run_command_line(words: Sequence[str]) -> int:
    """Run one command; the exit code is that of the design, and no error shows a traceback without -v."""
    words = normalise(words)
    verbose = "-v" in words or "--verbose" in words
    as_json = "--json" in words or "--json=true" in words
    try:
        result = build_app()(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(str(error), "`engine --help` lists commands and flags", "usage", USAGE_EXIT, as_json=as_json)
    except EngineError as error:
        if verbose:
            traceback.print_exc()
        return _fail(error.message, error.hint, error.code, error.exit_code, as_json=as_json)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - a defect of ours: one line for the user, the rest with -v
        if verbose:
            traceback.print_exc()
        what = f"unexpected {type(error).__name__}: {error}"
        return _fail(what, "run again with -v and report what it prints", "defect", 1, as_json=as_json)
    return result if isinstance(result, int) else 0


def _fail(message: str, hint: str, code: str, exit_code: int, *, as_json: bool) -> int:
    text = f"error: {message}" + (f"\n  hint: {hint}" if hint else "")
    print(text, file=sys.stderr)
    if as_json:
        print(json.dumps({"event": "error", "code": code, "message": message, "hint": hint}))
        print(json.dumps({"event": "end", "exit_code": exit_code, "runs": []}), flush=True)
    return exit_code
