"""Evaluations for other tools: `as_NAME.py` is the format NAME, found by its file; each has an `export`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.evaluations.evaluation import Evaluation
from engine.evaluations.inspect_messages import Call
from engine.evaluations.table import Table

PREFIX = "as_"
Calls = Mapping[tuple[int, int], Sequence[Call]]
"""The calls of each task, by datum index and repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is exported: evaluations, the table that shows them, and what more is known of one of them."""

    evaluations: Sequence[Evaluation]
    table: Table
    registry: Path
    """The folder of entries, with the solutions of each."""
    calls: Callable[[Evaluation], Awaitable[Calls]]
    """The replies behind an evaluation; none where they cannot be found."""


def format_names() -> list[str]:
    """Every format, sorted."""
    return sorted(file.stem.removeprefix(PREFIX) for file in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def export_named(name: str) -> Callable[[Chosen], Awaitable[str | bytes]]:
    """The `export` of the format with this name: what it gives is the content of a file.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in format_names():
        raise UsageError(f"there is no format {name!r}", hint=f"use one of {', '.join(format_names())}")
    module: Any = import_module(f"{__name__}.{PREFIX}{name}")
    found: Callable[[Chosen], Awaitable[str | bytes]] = module.export
    return found
