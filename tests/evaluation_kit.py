"""Runs for tests of evaluations: put into a store as the engine would, with no model in sight."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.evaluations.evaluation import Evaluation
from engine.evaluations.record import FinishedRun, record_run
from engine.metrics import run_metrics
from engine.progress import Progress
from engine.records import Outcome, RunRecord, Selection, TaskKey, TaskResult
from engine.report import report
from storage.sqlite import open_store

__all__ = ["finish", "open_store", "put_run", "record"]

PARTS: Mapping[str, Any] = {
    "dataset": "f1",
    "subset": "test",
    "solver": "Adder",
    "options": {},
    "solver_source": "s1",
    "scorers": {},
    "sampling": {"temperature": 0},
}


def run_record(run_id: str, *, model: str, planned: int, repeats: int = 1, **changes: Any) -> RunRecord:
    """A run of `adding` for this model; `parts` and fields of the record can be changed."""
    parts = {**PARTS, "model": model, **changes.pop("parts", {})}
    fields: dict[str, Any] = {
        "benchmark": "adding",
        "evaluation_name": "adding",
        "dataset": "near.ai/adding/1.0.0",
        "dataset_fingerprint": parts["dataset"],
        "provider": "fireworks",
        "agent": "",
        "tags": (),
    }
    return RunRecord(
        run_id=run_id,
        identity=run_id,
        scope=run_id,
        generation=0,
        subset=parts["subset"],
        solver=parts["solver"],
        options=json.dumps(parts["options"]),
        model=model,
        sampling=json.dumps(parts["sampling"]),
        repeats=repeats,
        planned=planned,
        parts=json.dumps(parts),
        **{**fields, **changes},
    )


async def put_run(
    store: Any, run_id: str, scores: Sequence[Any], *, model: str = "m", ids: Sequence[str] = (), **changes: Any
) -> RunRecord:
    """Store a run: a score for each datum, a list of them for repeats; None errored, `...` not done.

    An outcome in place of a score is that of a reply without an answer.
    """
    cells = [each if isinstance(each, list) else [each] for each in scores]
    repeats = max(len(each) for each in cells)
    made = run_record(run_id, model=model, planned=len(cells) * repeats, repeats=repeats, **changes)
    await store.open_run(made)
    results = [
        task(run_id, index, repeat, score, datum_id=ids[index] if ids else "")
        for index, datum in enumerate(cells)
        for repeat, score in enumerate(datum)
        if score is not ...
    ]
    for ended in [store.finish_task(each) for each in results]:  # together, so that they are few commits
        await ended
    return made


def task(run_id: str, index: int, repeat: int, score: float | Outcome | None, **changes: Any) -> TaskResult:
    outcomes = {None: Outcome.ERRORED, 1: Outcome.PASSED, 0: Outcome.FAILED}
    fields: dict[str, Any] = {"uncached_cost_usd": 0.01, "cost_usd": 0.01, "requests": 1, "duration_s": 2.0}
    if isinstance(score, Outcome):
        outcome, score = score, 0.0
    else:
        outcome = outcomes.get(score, Outcome.SCORED)
    return TaskResult(key=TaskKey(run_id, index, repeat), outcome=outcome, score=score, **{**fields, **changes})


class Rows:
    """A dataset of numbers."""

    name = "near.ai/adding/1.0.0"
    path = None
    fingerprint = "f1"

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def read(self, indices: Any = None) -> Any:
        for index in range(self._rows) if indices is None else indices:
            yield index, {"question": f"{index} + {index}", "answer": str(2 * index), "passage": index // 4}


async def finish(store: Any, made: RunRecord) -> FinishedRun:
    """The run as it is when nothing of it is open any more."""
    rows = made.planned // made.repeats
    selection = Selection(stop=rows, repeats=made.repeats)
    tally = await store.tally(made.run_id, selection)
    progress = Progress(run_id=made.run_id, benchmark=made.benchmark, model=made.model, tasks=selection.size)
    metrics = await run_metrics(object(), store, made, selection, tally)
    found = report(made, selection, tally, progress, metrics=metrics)
    return FinishedRun(report=found, record=made, selection=selection, tally=tally, dataset=Rows(rows))


async def record(store: Any, run_id: str, scores: Sequence[Any], *, home: Path, **changes: Any) -> Evaluation:
    """Store a run and record it."""
    options = {name: changes.pop(name) for name in ("overwrite", "partial", "namespace") if name in changes}
    return await record_run(
        store, await finish(store, await put_run(store, run_id, scores, **changes)), home=home, **options
    )
