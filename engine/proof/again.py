"""A recorded run of this store, its tasks solved again from what is stored: their replies, and the rows they read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from engine.data.kept import Note, noted_view
from engine.data.reference import open_dataset
from engine.data.rows import Row
from engine.data.view import DatasetView
from engine.errors import NotStoredError, ProofError, UsageError, one_error
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.load import find_solver
from engine.prepare import Order, Prepared, prepare_on
from engine.proof import wire
from engine.proof.replay import AT_ONCE, Here, Replayer, Scene, Used, may_lack_a_reply
from engine.records import Completion, Request, Selection, TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Retold:
    """A task as it is stored, as it came out again (None where a call had no reply), its replies, its row."""

    result: TaskResult
    now: TaskResult | None
    used: Sequence[Used]
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run whose solver and dataset are what they were; `run` is its row of the store."""

    run: Mapping[str, Any]
    scene: Scene
    selection: Selection
    prepared: Prepared
    view: DatasetView

    @property
    def custom(self) -> bool:
        """Whether its tasks are made by the solver, and are not the rows of its dataset."""
        return self.prepared.rows is not self.prepared.dataset


async def open_again(
    store: EvaluationStore, evaluation: Evaluation, here: Here, *, note: Note = lambda *_: None
) -> StoredRun:
    """The run of an evaluation, with the solver and the dataset that it had.

    Args:
        store: where the run is.
        evaluation: whose.
        here: where its solver and its dataset are.
        note: told of each row that is read, now and later.

    Raises:
        UsageError: the evaluation came without its run.
        DatasetError, SolverError: the dataset or the solver is not there.
        ProofError: the dataset or the solver is not what it was.
    """
    run = await store.run(evaluation.run_id) if evaluation.run_id else None
    if run is None:
        raise UsageError(f"{evaluation.name!r} came without its run, so there are no replies", hint="run it here")
    asked, parts = json.loads(run["environment"]).get("asked", {}), json.loads(run["parts"])
    found = replace(here, solver=here.solver or asked.get("solver") or run["solver"])
    view, prepared = await anyio.to_thread.run_sync(lambda: _prepared(run, found, note))
    _check_same(prepared, run, parts)
    return StoredRun(
        run=run,
        scene=wire.scene_of(run, parts, asked.get("sampling", _set_sampling(prepared, run))),
        selection=_selection(evaluation, len(prepared.rows)),
        prepared=prepared,
        view=view,
    )


async def retold(store: EvaluationStore, stored: StoredRun, *, folders: Path) -> AsyncIterator[Retold]:
    """The tasks of a run in their order, solved again; nothing is sent.

    Those whose call had failed come as far as their replies go.

    Args:
        store: where its replies are.
        stored: the run.
        folders: where tasks may have working folders.

    Raises:
        ProofError: a reply is not stored any more.
    """
    replayer = Replayer(stored.scene, stored.prepared.solver, folders=folders)
    try:
        async for chunk in store.results(stored.scene.run_id):
            wanted = [each for each in chunk if (each.key.datum_index, each.key.repeat) in stored.selection]
            for start in range(0, len(wanted), AT_ONCE * 8):
                for each in await _some(store, stored, replayer, wanted[start : start + AT_ONCE * 8]):
                    yield each
    finally:
        await replayer.aclose()


async def _some(
    store: EvaluationStore, stored: StoredRun, replayer: Replayer, results: Sequence[TaskResult]
) -> list[Retold]:
    indices = sorted({each.key.datum_index for each in results})
    data = await anyio.to_thread.run_sync(lambda: dict(stored.prepared.rows.read(indices)))
    limiter = anyio.CapacityLimiter(AT_ONCE)
    found: dict[int, Retold] = {}

    async def look_up(who: str, request: Request) -> Completion:
        del who
        completion = await store.lookup(request.key)
        if completion is None:
            raise NotStoredError(f"no stored completion for request {request.key}")
        return completion

    async def one(place: int, result: TaskResult) -> None:
        key, row = result.key, data[result.key.datum_index]
        async with limiter:
            now, used = await replayer.task(
                key.datum_index, key.repeat, datum_id=result.datum_id, datum=dict(row), find=look_up
            )
        if now is None and not may_lack_a_reply(result):
            raise ProofError(
                f"task {key.datum_index}: a reply that it asks for is not stored",
                hint="its solver asks otherwise than in the run, or the database is another one",
            )
        found[place] = Retold(result=result, now=now, used=used, row=row)

    with one_error():
        async with anyio.create_task_group() as group:
            for place, result in enumerate(results):
                group.start_soon(one, place, result)
    return [found[place] for place in range(len(results))]


def _prepared(run: Mapping[str, Any], here: Here, note: Note) -> tuple[DatasetView, Prepared]:
    found = find_solver(here.solver, folder=here.folder)
    view = open_dataset(here.dataset or run["dataset"], subset=run["subset"], folder=here.folder, home=here.home)
    order = Order(
        dataset=run["dataset"],
        solver=found,
        model=run["model"],
        subset=run["subset"],
        options=json.loads(run["options"]),
        check_compatibility=False,
    )
    seen = noted_view(view, note)
    seen.name = run["dataset"]
    return view, prepare_on(order, found, seen)


def _check_same(prepared: Prepared, run: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    if prepared.rows.fingerprint != run["dataset_fingerprint"]:
        raise ProofError(
            f"dataset {run['dataset']!r} is not what it was: its fingerprint is {prepared.rows.fingerprint}, "
            f"the run read {run['dataset_fingerprint']}",
            hint="say where the old one is with --dataset",
        )
    if prepared.code.source != parts.get("solver_source"):
        raise ProofError(
            f"solver {run['solver']!r} was changed since the run: its source has the hash {prepared.code.source}, "
            f"the run had {parts.get('solver_source')}",
            hint="run it again with --regrade --record, which sends nothing",
        )


def _set_sampling(prepared: Prepared, run: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration of a run set, as far as it shows: what differs from the solver's own."""
    return {name: value for name, value in json.loads(run["sampling"]).items() if prepared.defaults.get(name) != value}


def _selection(evaluation: Evaluation, rows: int) -> Selection:
    details = evaluation.details
    repeats, picked = int(details["repeats"]), details.get("picked")
    if picked is not None:
        return Selection(stop=rows, repeats=repeats, picked=frozenset(picked))
    return Selection(stop=int(details["n"]) // repeats, repeats=repeats)
