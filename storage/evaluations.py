"""What a store keeps of evaluations: their rows, their metrics, and the entries that they came from.

Rows go in and out as plain mappings by column name; what they mean is the business of `engine.evaluations`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from . import statements
from .reading import Reading
from .rows import clean, real, to_json, whole

EVALUATION_COLUMNS = (
    *("evaluation_id", "name", "run_id", "benchmark", "dataset", "subset", "solver", "options"),
    *("model", "provider", "agent", "hidden", "tags", "details", "created_at"),
)
METRIC_COLUMNS = (
    *("evaluation_id", "name", "value", "ci_low", "ci_high", "stderr", "n", "unit"),
    *("higher_is_better", "tags"),
)
ENTRY_COLUMNS = (
    *("entry_id", "namespace", "name", "version", "category", "description", "tags", "details", "created_at"),
)
REPLACED = 2
"""`evaluations.hidden` of what was overwritten; 1 is hidden by a person."""

_INSERT_EVALUATION = statements.Insert("evaluations", EVALUATION_COLUMNS).text(1)
_INSERT_METRIC = statements.Insert("metrics", METRIC_COLUMNS).text(1)
_UPSERT_ENTRY = statements.Insert(
    "entries",
    ENTRY_COLUMNS,
    "ON CONFLICT (namespace, name, version) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ENTRY_COLUMNS[4:]),
).text(1)
_REPLACE = f"UPDATE evaluations SET hidden = {REPLACED} WHERE evaluation_id = $1"
_CHANGE = "UPDATE evaluations SET hidden = $2, tags = $3, details = $4 WHERE evaluation_id = $1"
_TAG_METRIC = "UPDATE metrics SET tags = $3 WHERE evaluation_id = $1 AND name = $2"
_EVALUATIONS = f"SELECT {', '.join(EVALUATION_COLUMNS)} FROM evaluations ORDER BY created_at DESC, evaluation_id"
_METRICS = f"SELECT {', '.join(METRIC_COLUMNS)} FROM metrics"
_METRICS_OF = f"{_METRICS} WHERE evaluation_id IN (SELECT key FROM {{KEYS_1}})"
_RUN = f"SELECT {', '.join(statements.RUN_COLUMNS)} FROM runs WHERE run_id = $1"
_SCORES = (
    "SELECT datum_index, score FROM tasks WHERE run_id = $1 AND repeat < $2 AND score IS NOT NULL "
    "ORDER BY datum_index, repeat"
)
_ALL_REPEATS = 2**31 - 1
_ENTRIES = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entries WHERE category = $1 ORDER BY name, version"


class Evaluations(Reading, ABC):
    """The part of a store that keeps evaluations; a backend gives the way to run statements in one transaction."""

    @abstractmethod
    async def _run(self, *asked: tuple[str, tuple[Any, ...]]) -> list[list[Any]]:
        """The rows of each statement, when all of them are durable together."""

    async def save_evaluation(
        self,
        evaluation: Mapping[str, Any],
        metrics: Sequence[Mapping[str, Any]],
        entry: Mapping[str, Any],
        *,
        replaces: Sequence[str] = (),
    ) -> None:
        """Keep an evaluation with its metrics and its entry, all or nothing; those it replaces are marked."""
        row = {**evaluation, "hidden": int(evaluation.get("hidden", 0))}
        await self._run(
            *((_REPLACE, (clean(each),)) for each in replaces),
            (_INSERT_EVALUATION, tuple(_plain(row[name]) for name in EVALUATION_COLUMNS)),
            *((_INSERT_METRIC, _metric_row(row["evaluation_id"], each)) for each in metrics),
            (_UPSERT_ENTRY, tuple(_plain(entry[name]) for name in ENTRY_COLUMNS)),
        )

    async def evaluations(self) -> list[dict[str, Any]]:
        """Rows of `evaluations`, newest first, hidden and replaced ones too; tags and details are read."""
        rows = await self._ask(_EVALUATIONS)
        found = [dict(zip(EVALUATION_COLUMNS, row, strict=True)) for row in rows]
        for each in found:
            each.update(tags=json.loads(each["tags"]), details=json.loads(each["details"]))
        return found

    async def metrics(self, evaluation_ids: Sequence[str] | None = None) -> list[tuple[Any, ...]]:
        """Rows of `metrics` in the order of its columns; of these evaluations, or of all."""
        if evaluation_ids is None:
            return await self._ask(_METRICS)
        return await self._ask(_METRICS_OF, json.dumps(list(evaluation_ids)))

    async def change_evaluation(
        self, evaluation_id: str, *, hidden: int, tags: Sequence[str], details: Mapping[str, Any]
    ) -> None:
        """Set what a person may change about an evaluation."""
        await self._run((_CHANGE, (clean(evaluation_id), hidden, to_json(list(tags)), to_json(dict(details)))))

    async def tag_metric(self, evaluation_id: str, name: str, tags: Sequence[str]) -> None:
        """Set the tags of one metric of an evaluation."""
        await self._run((_TAG_METRIC, (clean(evaluation_id), clean(name), to_json(list(tags)))))

    async def save_entry(self, entry: Mapping[str, Any]) -> None:
        """Keep a row of `entries`, in place of that with this namespace, name and version."""
        await self._run((_UPSERT_ENTRY, tuple(_plain(entry[name]) for name in ENTRY_COLUMNS)))

    async def entries(self, category: str) -> list[dict[str, Any]]:
        """Rows of `entries` of this category, by name; tags and details are read."""
        found = [dict(zip(ENTRY_COLUMNS, row, strict=True)) for row in await self._ask(_ENTRIES, clean(category))]
        for each in found:
            each.update(tags=json.loads(each["tags"]), details=json.loads(each["details"]))
        return found

    async def scores(self, run_id: str, *, repeats: int = _ALL_REPEATS) -> list[tuple[int, float]]:
        """`(datum_index, score)` of each task of a run that has a score, in task order; of its first repeats."""
        return await self._ask(_SCORES, clean(run_id), repeats)

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """The row of `runs` with this id; None where there is none."""
        rows = await self._ask(_RUN, clean(run_id))
        return dict(zip(statements.RUN_COLUMNS, rows[0], strict=True)) if rows else None


def _metric_row(evaluation_id: str, metric: Mapping[str, Any]) -> tuple[Any, ...]:
    better = metric["higher_is_better"]
    return (
        clean(evaluation_id),
        clean(metric["name"]),
        *(real(metric[name]) for name in ("value", "ci_low", "ci_high", "stderr")),
        whole(metric["n"]),
        clean(metric["unit"]),
        None if better is None else int(better),
        to_json(list(metric["tags"])),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return to_json(value) if isinstance(value, Mapping | list | tuple) else value
