"""An evaluation and its metrics as records, and what a store must be able to do to keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from engine.ports import Store
from engine.records import Selection

COST, ATTRITION, TIME = ("cost",), ("attrition",), ("time",)
"""Tags of metrics that are no scores."""
NO_SCORES = frozenset({*COST, *ATTRITION, *TIME})
FRACTION, USD, SECONDS, TOKENS, COUNT = "fraction", "usd", "s", "tokens", "tasks"
REPLACED = 2
"""`hidden` of an evaluation that was overwritten."""
KEY_COLUMNS = ("model", "agent", "namespace", "version", "provider")
"""What an evaluation is about; evaluations that agree in all of them share a row of the table."""


class EvaluationStore(Store, Protocol):
    """A store that keeps evaluations too; rows are mappings by the column names of docs/database.md."""

    async def save_evaluation(
        self,
        evaluation: Mapping[str, Any],
        metrics: Sequence[Mapping[str, Any]],
        entry: Mapping[str, Any],
        *,
        replaces: Sequence[str] = (),
    ) -> None:
        """Keep an evaluation with its metrics and its entry, all or nothing; those it replaces are marked."""
        ...

    async def evaluations(self) -> list[dict[str, Any]]:
        """Every row, newest first, hidden and replaced ones too; tags and details are read."""
        ...

    async def metrics(self, evaluation_ids: Sequence[str] | None = None) -> list[tuple[Any, ...]]:
        """Rows of `metrics` in the order of its columns; of these evaluations, or of all."""
        ...

    async def change_evaluation(
        self, evaluation_id: str, *, hidden: int, tags: Sequence[str], details: Mapping[str, Any]
    ) -> None:
        """Set what a person may change about an evaluation."""
        ...

    async def tag_metric(self, evaluation_id: str, name: str, tags: Sequence[str]) -> None:
        """Set the tags of one metric of an evaluation."""
        ...

    async def save_entry(self, entry: Mapping[str, Any]) -> None:
        """Keep a row of `entries`, in place of that with this namespace, name and version."""
        ...

    async def entries(self, category: str) -> list[dict[str, Any]]:
        """Rows of `entries` of this category, by name; tags and details are read."""
        ...

    async def scores(self, run_id: str, *, repeats: int = 2**31 - 1) -> list[tuple[int, float]]:
        """`(datum_index, score)` of each task of a run that has a score, in task order; of its first repeats."""
        ...

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """The row of `runs` with this id; None where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of an evaluation; `value` and the bounds are in `unit`, fractions in 0-1.

    `n` is how many tasks it is made from. `higher_is_better` is None where neither is. None elsewhere is unknown.
    """

    name: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    stderr: float | None = None
    n: int | None = None
    unit: str = ""
    higher_is_better: bool | None = None
    tags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The metric by its column names."""
        return {**asdict(self), "tags": list(self.tags)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A recorded run, or an evaluation entry that came from elsewhere (then `run_id` is empty).

    `name` is its registry entry, `namespace/key/version`. `about` says what was evaluated: model, agent,
    namespace, version and provider, where they are known. `details` holds the origin: fingerprint, sampling,
    versions, outcomes, costs.
    """

    evaluation_id: str
    name: str
    about: Mapping[str, str]
    run_id: str = ""
    benchmark: str = ""
    dataset: str = ""
    subset: str = ""
    solver: str = ""
    options: str = "{}"
    hidden: int = 0
    tags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    place: str = field(default="", compare=False)
    """The URL of the database that it was recorded in, where this machine knows it; in nothing that is passed on."""

    @property
    def uploader(self) -> str:
        """Whose registry namespace it is in."""
        return self.name.split("/")[0]

    @property
    def key(self) -> str:
        """The registry entry less its version: revisions of one thing share it."""
        return self.name.rpartition("/")[0]

    @property
    def model(self) -> str:
        """The model that was evaluated, or that the agent used."""
        return self.about.get("model", "")

    @property
    def main(self) -> Metric | None:
        """The score that it is named by, else the first of its scores; None where it has none."""
        named = self.metrics.get(str(self.details.get("evaluation_name")))
        scores = (metric for metric in self.metrics.values() if not NO_SCORES.intersection(metric.tags))
        return named or next(scores, None)

    @property
    def tasks(self) -> int | None:
        """All tasks of the run: `n` and `lost` together; None where the entry does not say."""
        tasks = self.details.get("n")
        return tasks if isinstance(tasks, int) else None

    @property
    def n(self) -> int | None:
        """Tasks with a score, over which it is the mean; None where the entry does not say."""
        return None if self.tasks is None else self.tasks - self.lost

    @property
    def lost(self) -> int:
        """Tasks without a score: errored and skipped; they are in no figure."""
        outcomes = self.details.get("outcomes")
        return sum(int(outcomes.get(name, 0)) for name in ("errored", "skipped")) if isinstance(outcomes, dict) else 0

    @property
    def selection(self) -> Selection | None:
        """The tasks of its run that it is of; None where that was not recorded, and where it came without a run."""
        stop, repeats, picked = (self.details.get(name) for name in ("stop", "repeats", "picked"))
        if not isinstance(stop, int) or not isinstance(repeats, int):
            return None
        return Selection(stop=stop, repeats=repeats, picked=frozenset(picked) if isinstance(picked, list) else None)

    @property
    def standing(self) -> tuple[bool, bool, int]:
        """Which of several shows the figure: the lowest, and of equal ones the newest.

        Last come those without any score, before them partial ones; those of the whole dataset come first, and then
        trials of a part of it, as with --limit, the larger first. What does not tell how much it is of counts as whole.
        """
        n, rows, repeats, picked = (self.details.get(name) for name in ("n", "dataset_rows", "repeats", "picked"))
        missing = 0
        if isinstance(n, int) and isinstance(rows, int):
            data = len(picked) if isinstance(picked, list) else n // (repeats if isinstance(repeats, int) else 1)
            missing = max(0, rows - data)
        return self.details.get("counted") == 0, bool(self.details.get("partial")), missing

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON and the library's users see it."""
        about = {name: self.about.get(name, "") for name in KEY_COLUMNS}
        rest = ("run_id", "benchmark", "dataset", "subset", "solver", "hidden", "created_at")
        return {
            "evaluation_id": self.evaluation_id,
            "name": self.name,
            **about,
            **{name: getattr(self, name) for name in rest},
            "options": json.loads(self.options),
            "tags": list(self.tags),
            "n": self.n,
            "lost": self.lost,
            "tasks": self.tasks,
            "details": dict(self.details),
            "metrics": [each.as_dict() for each in self.metrics.values()],
        }


def evaluation_of(row: Mapping[str, Any], metrics: Mapping[str, Metric]) -> Evaluation:
    """The evaluation of a row of `evaluations`.

    Raises:
        KeyError, TypeError, ValueError: the row is not what a recorder wrote.
    """
    details = {name: each for name, each in row["details"].items() if name != "store"}  # as it was written once
    about = details.get("about") or {"model": row["model"], "agent": row["agent"], "provider": row["provider"]}
    return Evaluation(
        evaluation_id=row["evaluation_id"],
        name=row["name"],
        about={str(name): str(value) for name, value in about.items() if value},
        run_id=row["run_id"] or "",
        benchmark=row["benchmark"],
        dataset=row["dataset"],
        subset=row["subset"],
        solver=row["solver"],
        options=row["options"],
        hidden=row["hidden"],
        tags=tuple(str(tag) for tag in row["tags"]),
        details=details,
        created_at=float(row["created_at"]),
        metrics=metrics,
    )


def metric_of(row: Sequence[Any]) -> Metric:
    """The metric of a row of `metrics`."""
    return Metric(
        name=row[1],
        value=row[2],
        ci_low=row[3],
        ci_high=row[4],
        stderr=row[5],
        n=row[6],
        unit=row[7],
        higher_is_better=None if row[8] is None else bool(row[8]),
        tags=() if row[9] == "[]" else tuple(json.loads(row[9])),
    )
