"""The evaluation table: a row for each thing that was evaluated, a column for each metric."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from engine.data.source import near
from engine.errors import UsageError
from engine.evaluations.evaluation import FRACTION, KEY_COLUMNS, NO_SCORES, Evaluation, Metric
from engine.evaluations.filter import beyond_one, names_in, parse_filter
from engine.evaluations.load import Loaded
from engine.evaluations.names import told_apart
from engine.evaluations.view import View

BASE_COLUMNS = ("model", "agent")
ORIGIN_COLUMNS = ("id", "benchmark", "dataset", "subset", "solver", "uploader", "date", "n", "lost", "tasks", "tags")
"""Columns that can be asked for beside the key and the metrics; they tell of the newest evaluation of a row."""
COUNTS = frozenset({"n", "lost", "tasks"})
"""Those that are whole numbers: tasks with a score, without one, and all."""
MOST_ALIKE = 3
IMPORTANT = re.compile(r"coding|average|avg")


@dataclass(frozen=True, slots=True)
class Cell:
    """A metric, and the evaluation that it is from."""

    metric: Metric
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Row:
    """All evaluations that agree in model, agent, namespace, version and provider: newest first, partial ones last.

    Trials, and those without a score, stand behind too: see `Evaluation.standing`. Where several have a metric,
    `cells` holds that of the first.
    """

    key: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    cells: Mapping[str, Cell]
    names: tuple[str, str] = ("", "")
    """Model and agent as people are shown them: with provider, or namespace and version, where others have the name."""

    @property
    def tags(self) -> frozenset[str]:
        """The tags of its evaluations."""
        return frozenset(tag for each in self.evaluations for tag in each.tags)

    def number(self, name: str) -> float | None:
        """The metric or the whole-number column of this name."""
        cell = self.cells.get(name)
        if cell is not None:
            return cell.metric.value
        newest = self.evaluations[0]
        return {"n": newest.n, "lost": newest.lost, "tasks": newest.tasks}.get(name)

    def text(self, name: str) -> str | None:
        """The column of this name as text; None where there is none."""
        if name in KEY_COLUMNS:
            return self.key[KEY_COLUMNS.index(name)]
        newest = self.evaluations[0]
        if name == "id":
            return newest.evaluation_id
        if name == "date":
            return datetime.fromtimestamp(newest.created_at, UTC).strftime("%Y-%m-%d")
        if name == "tags":
            return ", ".join(sorted(self.tags))
        if name in COUNTS:
            value = self.number(name)
            return "" if value is None else str(value)
        return str(getattr(newest, name)) if name in ORIGIN_COLUMNS else None

    def shown(self, name: str) -> str:
        """The column of this name as people see it, and tell two rows apart by."""
        called = dict(zip(BASE_COLUMNS, self.names, strict=True)).get(name)
        return called or self.text(name) or ""

    def texts(self) -> str:
        """All columns that are text, a line each."""
        return "\n".join(self.text(name) or "" for name in (*KEY_COLUMNS, *ORIGIN_COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a view shows: `columns` in order, of which the first `fixed` are shown with all others.

    `metrics` are the names of all metrics of the rows, of which `columns` may hold a few; `hidden` counts
    evaluations that are left out because somebody hid them, `filtered` rows that the view's filters leave out.
    """

    columns: tuple[str, ...]
    fixed: int
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    hidden: int
    filtered: int
    warnings: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    """What the filter asks about and no evaluation has or can have, each as a sentence with a guess."""
    is_empty: bool = False
    """Whether there is no evaluation at all that could be shown, in any view."""

    def is_percent(self, name: str) -> bool:
        """Whether figures of this column are fractions, which people read as percent."""
        return any(row.cells[name].metric.unit == FRACTION for row in self.rows if name in row.cells)

    @property
    def left_out(self) -> int:
        """How many metrics have no column."""
        return len(self.metrics) - sum(name in set(self.metrics) for name in self.columns)


def build_table(loaded: Loaded, view: View) -> Table:
    """The table of these evaluations in this view.

    Raises:
        UsageError: the view names a column that there is not, or its filter cannot be read.
    """
    test = parse_filter(view.where)
    everything = list(_rows(loaded.evaluations, view))
    rows = [row for row in everything if test(row)]
    metrics = sorted({name for row in rows for name in row.cells})
    known = sorted({name for each in loaded.evaluations for name in each.metrics})
    fixed = list(KEY_COLUMNS if view.all_key_columns else BASE_COLUMNS)
    if view.columns and known:
        shown = [name for name in _asked(view.columns, known) if name not in fixed]
    else:
        shown = metrics if view.all_metrics else _important(rows)
    return Table(
        columns=(*fixed, *shown),
        fixed=len(fixed),
        rows=tuple(_named(_sorted(rows, view.sort, known), (*fixed, *shown))),
        metrics=tuple(metrics),
        hidden=loaded.hidden,
        filtered=len(everything) - len(rows),
        warnings=loaded.warnings,
        unknown=(*_unknown(view.where, known), *_in_points(view.where, loaded.evaluations)) if known else (),
        is_empty=not loaded.evaluations,
    )


def require_metric(name: str, evaluations: Sequence[Evaluation]) -> None:
    """Check that some evaluation has this metric; with nothing recorded yet any name will do.

    Raises:
        UsageError: none has it; the nearest names are told.
    """
    known = sorted({name for each in evaluations for name in each.metrics}, key=lambda each: ("/" in each, each))
    if not known or name in known:
        return
    alike = [*(each for each in known if name in each), *get_close_matches(name, known, n=MOST_ALIKE)]
    guesses = ", ".join(repr(each) for each in list(dict.fromkeys(alike))[:MOST_ALIKE])
    hint = f"did you mean {guesses}?" if guesses else "engine evaluation table --all_metrics shows all metrics"
    raise UsageError(f"there is no metric {name!r}", hint=hint)


def _unknown(where: str, known: Sequence[str]) -> Iterator[str]:
    columns = (*known, *KEY_COLUMNS, *ORIGIN_COLUMNS, "tag")
    for name in names_in(where):
        if name not in columns:
            longer = [each for each in columns if each.startswith(name)]
            guess = near(name, columns) or (f"did you mean {longer[0]!r}?" if longer else "")
            yield f"no evaluation has {name!r}" + (f", {guess}" if guess else "")


def _in_points(where: str, evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Of each fraction that is compared with a number above 1: tables show percent, so that it is meant as one."""
    for name, number in beyond_one(where):
        units = {each.metrics[name].unit for each in evaluations if name in each.metrics}
        if units == {FRACTION}:
            yield f"{name!r} is a fraction in 0-1 and never near {number}: write {number}% for percent"


def _rows(evaluations: Sequence[Evaluation], view: View) -> Iterator[Row]:
    groups: dict[tuple[str, ...], list[Evaluation]] = {}
    for each in evaluations:
        groups.setdefault(tuple(each.about.get(name, "") for name in KEY_COLUMNS), []).append(each)
    for key, group in groups.items():
        cells: dict[str, Cell] = {}
        used = []
        for each in sorted(group, key=lambda each: each.standing):
            metrics = [metric for metric in each.metrics.values() if _wanted(metric, each, view)]
            if metrics:
                used.append(each)
            for metric in metrics:
                cells.setdefault(metric.name, Cell(metric, each))
        if used:
            yield Row(key, tuple(used), cells)


def _named(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[Row]:
    """The rows, those that would look like another one with names of their own; columns may tell them apart too."""
    if set(KEY_COLUMNS) <= set(columns):
        return iter(rows)
    names = told_apart([dict(zip(KEY_COLUMNS, row.key, strict=True)) for row in rows])
    return (replace(row, names=each) for row, each in zip(rows, names, strict=True))


def _wanted(metric: Metric, evaluation: Evaluation, view: View) -> bool:
    if view.min_n and (metric.n or 0) < view.min_n:
        return False
    return not view.tags or all(tag in evaluation.tags or tag in metric.tags for tag in view.tags)


def _important(rows: Sequence[Row]) -> list[str]:
    """The score that an evaluation is named by, averages, and what is the only score of its entry."""
    names: set[str] = set()
    for each in {id(each): each for row in rows for each in row.evaluations}.values():
        scores = [name for name, metric in each.metrics.items() if not NO_SCORES.intersection(metric.tags)]
        main = each.details.get("evaluation_name")
        names.update(name for name in scores if name == main or IMPORTANT.search(name))
        if len(scores) == 1 and "lean" not in scores[0]:
            names.add(scores[0])
    return sorted(name for name in names if any(name in row.cells for row in rows))


def _asked(patterns: Sequence[str], known: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    others = (*KEY_COLUMNS, *ORIGIN_COLUMNS)
    for pattern in patterns:
        found = [name for name in (*others, *known) if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            hint = near(pattern, [*known, *others]) or "engine evaluation table --all_metrics shows all metrics"
            raise UsageError(f"there is no column {pattern!r}", hint=hint)
        names.update(dict.fromkeys(found))
    return list(names)


def _sorted(rows: Sequence[Row], sort: str, known: Sequence[str]) -> list[Row]:
    """The rows by a column; those without it come last, in both directions; equal ones newest first."""
    rows = sorted(rows, key=lambda row: -max(each.created_at for each in row.evaluations))
    if not sort or not rows:
        _require_sortable(sort.removeprefix("-"), known)
        return rows
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    _require_sortable(name, known)

    def value(row: Row) -> Any:
        number = row.number(name)
        return number if number is not None or name in known else row.text(name) or None

    there = sorted((row for row in rows if value(row) is not None), key=value, reverse=descending)
    return [*there, *(row for row in rows if value(row) is None)]


def _require_sortable(name: str, known: Sequence[str]) -> None:
    if known and name and name not in (*known, *KEY_COLUMNS, *ORIGIN_COLUMNS):
        hint = near(name, [*known, *KEY_COLUMNS]) or "a metric, or one of " + ", ".join((*KEY_COLUMNS, *ORIGIN_COLUMNS))
        raise UsageError(f"there is no column {name!r} to sort by", hint=hint)
