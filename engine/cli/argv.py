"""Command lines as people write them -> as the parser takes them: `--record true`, `--nocheck_compatibility`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePath

OF_RUN = frozenset(
    {
        "check-compatibility",
        "dry-run",
        "force",
        "json",
        "offline",
        "overwrite",
        "quiet",
        "record",
        "record-partial",
        "regrade",
        "retry-errors",
        "verbose",
    }
)
"""Flags that are true or false, of commands whose further options are a solver's: `--history 1` is one of those."""
SWITCHES = OF_RUN | {
    "all-key-columns",
    "all-metrics",
    "bump",
    "hidden",
    "history",
    "local-files",
    "major-bump",
    "minor-bump",
    "other-source",
    "replies",
    "rows",
    "show-all",
    "show-latest-version",
    "yes",
}
"""All of them; the seed writes the value behind them as a word of its own."""
TAKE_OPTIONS = frozenset({"run", "plan", "explain"})
"""Commands that hand options to a solver."""
WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on"), "true"),
    **dict.fromkeys(("false", "0", "no", "off"), "false"),
}


def normalise(words: Sequence[str]) -> list[str]:
    """The words with values of switches joined to them; everything behind `--` is left alone."""
    result: list[str] = []
    waiting = list(words)
    switches = OF_RUN if TAKE_OPTIONS & set(waiting[:2]) else SWITCHES
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return [*result, word, *waiting]
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("_", "-")
        if not word.startswith("--"):
            result.append(word)
        elif (positive := name.removeprefix("no").removeprefix("-")) in switches and positive != name:
            result.append(f"--{positive}=false")
        elif name in switches and equals:
            result.append(f"--{name}={WORDS.get(value.lower(), value)}")
        elif name in switches and waiting and waiting[0].lower() in WORDS:
            result.append(f"--{name}={WORDS[waiting.pop(0).lower()]}")
        else:
            result.append(word)
    return result


def resume_line(argv: Sequence[str], *, began: bool = True) -> str:
    """`resume: engine run ...`, which goes on with the run that this command line began; empty where it begins none."""
    words = normalise(argv[1:])
    if words[:1] != ["run"] and words[:2] != ["benchmark", "run"]:
        return ""
    typed = ["engine"] if PurePath(argv[0]).name == "engine" else ["python", "-m", "engine"]
    # Forced again, it would begin again; a plain run goes on with what was forced.
    kept = [word for word in words if not (began and word.partition("=")[0] == "--force")]
    return f"resume: {shlex.join([*typed, *kept])}"
