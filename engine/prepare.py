"""What is asked for -> what can be run: the dataset opened, the solver built, the identity known, nothing sent."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine import declared, plan
from engine.errors import DatasetError, SolverError
from engine.load import build_solver, find_solver
from engine.models import ModelName
from engine.ports import Dataset
from engine.records import RunRecord, Selection
from engine.source import SolverCode, solver_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run as it is asked for: a dataset, a solver, a model, and which rows."""

    dataset: str
    solver: str | type[Any]
    model: str
    subset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    choice: plan.Choice = field(default_factory=plan.Choice)
    tags: tuple[str, ...] = ()
    name: str = ""
    api_key_env: str = ""
    check_compatibility: bool = True
    record: bool = False
    """Whether the run is kept as an evaluation when it is complete."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each of these was written, as `bench.toml:7`, by the name of its key; messages begin with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that lacks only its provider and its place in the store."""

    order: Order
    solver: Any
    dataset: Dataset
    rows: Dataset
    selection: Selection
    options: Mapping[str, Any]
    code: SolverCode

    @property
    def defaults(self) -> dict[str, Any]:
        """Sampling where neither a call nor the configuration says more."""
        return {"temperature": 0, **self.solver.sampling}

    def parts(self, model: ModelName, provider_identity: str, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """What the run's identity is made from, part by part.

        A set value wins over what a call asks for and a default does not: `set_sampling` names those that are set to
        the default, where the values alone would tell no difference.
        """
        alike = sorted(name for name, value in fixed.items() if self.defaults.get(name) == value)
        return {
            "dataset": self.rows.fingerprint,
            "subset": self.order.subset,
            "solver": type(self.solver).__name__,
            "options": dict(self.options),
            "model": model.model,
            "provider": provider_identity,
            "agent": "",
            "sampling": {**self.defaults, **fixed},
            **({"set_sampling": alike} if alike else {}),
            "solver_source": self.code.source,
            "scorers": dict(self.code.scorers),
        }

    def record(
        self, parts: Mapping[str, Any], model: ModelName, *, generation: int, now: float, fixed: Mapping[str, Any]
    ) -> RunRecord:
        """The run as it is stored; its environment also says what was asked for, so that it can be replayed."""
        solver = self.order.solver
        asked = {"solver": solver if isinstance(solver, str) else "", "sampling": dict(fixed)}
        name = self.solver.evaluation_name()
        return plan.record(
            parts,
            generation=generation,
            planned=self.selection.size,
            repeats=self.selection.repeats,
            benchmark=self.order.name or name,
            evaluation_name=name,
            dataset=self.dataset.name,
            dataset_fingerprint=self.rows.fingerprint,
            subset=self.order.subset,
            solver=type(self.solver).__name__,
            model=model.model,
            provider=model.provider or model.base_url,
            agent="",
            environment=json.dumps({**environment(), "dataset_rows": len(self.rows), "asked": asked}),
            tags=self.order.tags,
            created_at=now,
        )


def prepare(order: Order, *, folder: Path, home: Path) -> Prepared:
    """Find, read and check everything that a run needs on this machine; blocks while files are read.

    Raises:
        DatasetError: the dataset cannot be read, is empty, or does not fit the solver.
        SolverError: the solver cannot be found or built.
    """
    from engine.data.reference import open_dataset

    with placed(order):
        found = solver_of(order, folder=folder)
        return prepare_on(order, found, open_dataset(order.dataset, subset=order.subset, folder=folder, home=home))


def solver_of(order: Order, *, folder: Path) -> type[Any]:
    """The solver's class.

    Raises:
        SolverError: it cannot be found.
    """
    return order.solver if isinstance(order.solver, type) else find_solver(order.solver, folder=folder)


@contextmanager
def placed(order: Order) -> Iterator[None]:
    """Begin the message of what is wrong with a dataset or solver by where it was written."""
    try:
        yield
    except (DatasetError, SolverError) as error:
        key = "dataset" if isinstance(error, DatasetError) else "solver"
        if key in order.places:
            error.message = f"{order.places[key]}: {error.message}"
        raise


def prepare_on(order: Order, found: type[Any], dataset: Dataset) -> Prepared:
    """The same for a solver that was found and a dataset that was opened.

    Raises:
        DatasetError: the dataset is empty, or does not fit the solver.
        SolverError: the solver cannot be built.
    """
    custom = getattr(found, "scoring_method", "") == "Custom"
    given = str(dataset.path) if custom and dataset.path is not None and dataset.path.is_dir() else dataset
    solver, options = build_solver(found, dataset=given, model=order.model, agent="", options=order.options)
    if order.check_compatibility:
        check_compatible(solver, dataset)
    declared.evaluation_name(solver)
    rows: Dataset = Listed(dataset, declared.custom_tasks(solver)) if custom else dataset
    return Prepared(
        order=order,
        solver=solver,
        dataset=dataset,
        rows=rows,
        selection=plan.select(len(rows), order.choice),
        options=options,
        code=solver_code(found, declared.scorer_versions(solver)),
    )


def check_compatible(solver: Any, dataset: Dataset) -> None:
    """Whether one of the solver's datasets is part of this dataset's name or path, whatever the case.

    Raises:
        DatasetError: none is.
    """
    names = declared.compatible_datasets(solver)
    places = f"{dataset.name}\n{dataset.path or ''}".lower()
    if "*" in names or any(name.lower() in places for name in names):
        return
    raise DatasetError(
        f"solver {solver.name!r} is not made for dataset {dataset.name!r}: it takes {', '.join(names) or 'none'}",
        hint="choose another solver, or pass --check_compatibility false",
    )


def environment() -> dict[str, str]:
    """Versions that a result may depend on."""
    from engine import __version__

    return {"engine": __version__, "python": platform.python_version(), "platform": platform.platform()}


class Listed:
    """The custom tasks of a solver as a dataset: asked for once, hashed in order into the fingerprint."""

    def __init__(self, source: Dataset, tasks: list[dict[str, Any]]) -> None:
        self.name = source.name
        self.path = source.path
        self._tasks = tasks
        encoded = json.dumps(tasks, sort_keys=True, default=str).encode()
        self.fingerprint = blake2b(source.fingerprint.encode() + encoded, digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self._tasks)

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """`(index, task)` for these indices, or for all."""
        for index in range(len(self._tasks)) if indices is None else indices:
            yield index, self._tasks[index]

    def datum_id(self, row: Mapping[str, Any]) -> str:
        """The `id` of the task, where the solver gave it one."""
        return str(row.get("id", ""))
