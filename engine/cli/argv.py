"""Command lines as people write them -> as the parser takes them: `--record true`, `--nocheck_compatibility`."""

from __future__ import annotations

from collections.abc import Sequence

SWITCHES = frozenset(
    {
        "all-key-columns",
        "all-metrics",
        "bump",
        "check-compatibility",
        "dry-run",
        "force",
        "hidden",
        "history",
        "json",
        "major-bump",
        "minor-bump",
        "offline",
        "overwrite",
        "quiet",
        "record",
        "record-partial",
        "regrade",
        "retry-errors",
        "show-all",
        "show-latest-version",
        "verbose",
    }
)
"""Flags that are true or false; the seed writes the value behind them as a word of its own."""
WORDS = {"true": "true", "false": "false", "1": "true", "0": "false", "yes": "true", "no": "false"}


def normalise(words: Sequence[str]) -> list[str]:
    """The words with values of switches joined to them; everything behind `--` is left alone."""
    result: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return [*result, word, *waiting]
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("_", "-")
        if not word.startswith("--"):
            result.append(word)
        elif name.startswith("no") and name[2:] in SWITCHES:
            result.append(f"--{name[2:]}=false")
        elif name in SWITCHES and equals:
            result.append(f"--{name}={WORDS.get(value.lower(), value)}")
        elif name in SWITCHES and waiting and waiting[0].lower() in ("true", "false"):
            result.append(f"--{name}={waiting.pop(0).lower()}")
        else:
            result.append(word)
    return result
