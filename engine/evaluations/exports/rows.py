"""A row for each metric of each evaluation, as tables for other tools have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.evaluations.evaluation import KEY_COLUMNS, Evaluation

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
