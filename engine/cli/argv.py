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
        "yes",
    }
)
"""Flags that are true or false; the seed writes the value behind them as a word of its own."""
WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on"), "true"),
    **dict.fromkeys(("false", "0", "no", "off"), "false"),
}


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
        elif (positive := name.removeprefix("no").removeprefix("-")) in SWITCHES and positive != name:
            result.append(f"--{positive}=false")
        elif name in SWITCHES and equals:
            result.append(f"--{name}={WORDS.get(value.lower(), value)}")
        elif name in SWITCHES and waiting and waiting[0].lower() in WORDS:
            result.append(f"--{name}={WORDS[waiting.pop(0).lower()]}")
        else:
            result.append(word)
    return result
