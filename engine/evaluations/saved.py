"""Views by name, and what a person changes about an evaluation: tags, hidden or not."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.data.source import near
from engine.errors import UsageError
from engine.evaluations.evaluation import REPLACED, Evaluation, EvaluationStore
from engine.evaluations.view import View

VIEW = "view"
NAME = re.compile(r"[a-zA-Z0-9_.\-]+")


async def save_view(store: EvaluationStore, name: str, view: View) -> None:
    """Keep a view under a name, in place of an earlier one.

    Raises:
        UsageError: the name cannot be one.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"a view cannot be called {name!r}", hint="use letters, digits and _ - .")
    entry = {"entry_id": f"{VIEW}/{name}", "namespace": VIEW, "name": name, "version": "1", "category": VIEW}
    rest = {"description": "", "tags": [], "details": view.as_dict(), "created_at": time.time()}
    await store.save_entry({**entry, **rest})


async def saved_views(store: EvaluationStore) -> dict[str, View]:
    """The views that are kept, by name."""
    return {row["name"]: View.from_dict(row["details"]) for row in await store.entries(VIEW)}


async def saved_view(store: EvaluationStore | None, name: str) -> View:
    """The view of this name.

    Raises:
        UsageError: there is none.
    """
    views = await saved_views(store) if store is not None else {}
    if name not in views:
        raise UsageError(f"there is no view {name!r}", hint=near(name, views) or "engine evaluation view list")
    return views[name]


async def change_tags(
    store: EvaluationStore | None, evaluation: Evaluation, *, add: Sequence[str], drop: Sequence[str], metric: str = ""
) -> tuple[str, ...]:
    """Add and take away tags of an evaluation, or of one of its metrics; what it has then.

    Raises:
        UsageError: the evaluation is not in this store, or has no such metric.
    """
    store = await _holding(store, evaluation)
    if metric and metric not in evaluation.metrics:
        raise UsageError(
            f"evaluation {evaluation.evaluation_id!r} has no metric {metric!r}", hint=_near(evaluation, metric)
        )
    before = evaluation.metrics[metric].tags if metric else evaluation.tags
    tags = tuple(dict.fromkeys(tag for tag in (*before, *add) if tag not in drop))
    if metric:
        await store.tag_metric(evaluation.evaluation_id, metric, tags)
    else:
        await _write(store, replace(evaluation, tags=tags))
    return tags


async def set_hidden(store: EvaluationStore | None, evaluation: Evaluation, *, hidden: bool, reason: str = "") -> None:
    """Hide an evaluation from tables, rankings and exports, or show it again.

    Raises:
        UsageError: the evaluation is not in this store, or was replaced.
    """
    store = await _holding(store, evaluation)
    if evaluation.hidden == REPLACED:
        raise UsageError(f"evaluation {evaluation.evaluation_id!r} was replaced", hint="hide the one in its place")
    details: dict[str, Any] = {name: value for name, value in evaluation.details.items() if name != "hidden_because"}
    if hidden and reason:
        details["hidden_because"] = reason
    await _write(store, replace(evaluation, hidden=int(hidden), details=details))


async def _write(store: EvaluationStore, made: Evaluation) -> None:
    await store.change_evaluation(made.evaluation_id, hidden=made.hidden, tags=made.tags, details=made.details)


async def _holding(store: EvaluationStore | None, evaluation: Evaluation) -> EvaluationStore:
    rows = await store.evaluations() if store is not None else []
    if store is None or not any(row["evaluation_id"] == evaluation.evaluation_id for row in rows):
        raise UsageError(
            f"evaluation {evaluation.name!r} is only in the registry, and an entry never changes",
            hint="record it here to tag or hide it; `engine registry hide` hides an entry",
        )
    return store


def _near(evaluation: Evaluation, metric: str) -> str:
    return near(metric, evaluation.metrics) or f"engine evaluation show {evaluation.evaluation_id} lists them"
