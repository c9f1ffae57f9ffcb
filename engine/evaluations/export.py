"""Evaluations for other tools: JSON lines, CSV, Parquet, a log of Inspect, and a page that is one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.evaluations.evaluation import KEY_COLUMNS, Evaluation
from engine.evaluations.text import to_csv

ABOUT = ("evaluation_id", "name", *KEY_COLUMNS, "benchmark", "dataset", "subset", "solver", "created_at")
FIGURE = ("metric", "value", "ci_low", "ci_high", "stderr", "n", "lost", "unit", "higher_is_better", "metric_tags")


def figures(evaluations: Iterable[Evaluation]) -> Iterator[dict[str, Any]]:
    """A row for each metric of each evaluation, with the columns `ABOUT` and `FIGURE`; fractions stay fractions."""
    for each in evaluations:
        about = {name: each.about.get(name, "") if name in KEY_COLUMNS else getattr(each, name) for name in ABOUT}
        for metric in each.metrics.values():
            found = metric.as_dict()
            row = {name: found.get(name) for name in FIGURE}
            named = {"metric": metric.name, "lost": each.lost, "metric_tags": " ".join(metric.tags)}
            yield {**about, **row, **named}


def to_jsonl(evaluations: Sequence[Evaluation]) -> str:
    """A line for each evaluation, with everything that is known of it."""
    return "\n".join(json.dumps(each.as_dict(), ensure_ascii=False) for each in evaluations)


def to_long_csv(evaluations: Sequence[Evaluation]) -> str:
    """A row for each metric of each evaluation; text is safe in spreadsheets."""
    names = (*ABOUT, *FIGURE)
    return to_csv(names, ([row[name] for name in names] for row in figures(evaluations)))


def write_parquet(evaluations: Sequence[Evaluation], path: Path) -> None:
    """The rows of `figures` as a Parquet file, numbers as numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    floats = ("created_at", "value", "ci_low", "ci_high", "stderr")
    kinds = {
        **dict.fromkeys((*ABOUT, *FIGURE), pa.string()),
        **dict.fromkeys(floats, pa.float64()),
        **dict.fromkeys(("n", "lost"), pa.int64()),
        "higher_is_better": pa.bool_(),
    }
    rows = pa.Table.from_pylist(list(figures(evaluations)), schema=pa.schema(list(kinds.items())))
    pq.write_table(rows, path)


TEXTS: Mapping[str, Callable[[Sequence[Evaluation]], str]] = {"jsonl": to_jsonl, "csv": to_long_csv}
"""Formats that are text and hold any number of evaluations."""
FORMATS = (*TEXTS, "parquet", "inspect", "html")


def require_format(name: str) -> None:
    """Check the name of a format.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=f"use one of {', '.join(FORMATS)}")
