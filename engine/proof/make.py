"""An evaluation -> a bundle: its run is scored once more from what is stored, and all that this reads goes along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread

from engine.data.kept import noted_view
from engine.data.reference import open_dataset
from engine.data.rows import Row
from engine.data.view import DatasetView
from engine.errors import NotStoredError, ProofError, UsageError, one_error
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.load import find_solver
from engine.prepare import Order, Prepared, prepare_on
from engine.proof import wire
from engine.proof.compared import task_differences
from engine.proof.lines import BundleWriter
from engine.proof.replay import AT_ONCE, Here, Replayer, Scene, Used
from engine.records import Completion, Request, Selection, TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A bundle that was written: its hash, how many tasks are in it, and how many are scored otherwise now."""

    path: Path
    digest: str
    tasks: int
    unlike: int


@dataclass(slots=True)
class _Noted:
    """Rows that were read and are not written yet, and what is written already."""

    rows: list[tuple[str, int, Row]] = field(default_factory=list)
    written: set[tuple[str, int]] = field(default_factory=set)
    splits: set[str] = field(default_factory=set)
    replies: set[str] = field(default_factory=set)

    def note(self, split: str, index: int, row: Row) -> None:
        if (split, index) not in self.written:
            self.written.add((split, index))
            self.rows.append((split, index, row))


async def make_bundle(
    store: EvaluationStore,
    evaluation: Evaluation,
    path: Path,
    *,
    here: Here,
    with_rows: bool = True,
) -> Made:
    """Write an evaluation as one file from which its scoring can be replayed; nothing is sent.

    Args:
        store: where its run is.
        evaluation: which.
        path: the file; it appears when it is whole.
        here: where its solver and its dataset are.
        with_rows: whether rows go along; without, whoever verifies needs the dataset, which is pinned by its
            fingerprint.

    Raises:
        UsageError: the evaluation came without its run.
        ProofError: the solver or the dataset is not what it was, or a reply is not stored any more.
        StorageError: the file cannot be written.
    """
    run = await store.run(evaluation.run_id) if evaluation.run_id else None
    if run is None:
        raise UsageError(f"{evaluation.name!r} came without its run, so there is no proof of it", hint="run it here")
    asked = json.loads(run["environment"]).get("asked", {})
    noted = _Noted()
    solver = here.solver or asked.get("solver") or run["solver"]
    view, prepared = await anyio.to_thread.run_sync(lambda: _prepared(run, replace(here, solver=solver), noted))
    parts = json.loads(run["parts"])
    _check_same(prepared, run, parts)
    scene = wire.scene_of(run, parts, asked.get("sampling", _set_sampling(prepared, run)))
    selection = _selection(evaluation, len(prepared.rows))
    custom = prepared.rows is not prepared.dataset
    with BundleWriter(path) as writer, TemporaryDirectory(prefix="engine-bundle-") as work:
        writer.write(wire.EVALUATION, **evaluation.as_dict())
        writer.write(wire.RUN, **wire.run_line(run, scene, selection, custom=custom))
        replayer = Replayer(scene, prepared.solver, folders=Path(work))
        maker = _Maker(store, writer, noted, view, prepared, replayer)
        maker.with_rows, maker.custom = with_rows, custom
        try:
            await maker.tasks(scene, selection)
        finally:
            await replayer.aclose()
    return Made(path=path, digest=writer.digest, tasks=maker.count, unlike=maker.unlike)


def _prepared(run: Mapping[str, Any], here: Here, noted: _Noted) -> tuple[DatasetView, Prepared]:
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
    seen = noted_view(view, noted.note)
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


class _Maker:
    """Goes through the tasks of a run in their order, and writes each with what it needs before it."""

    with_rows = True
    custom = False

    def __init__(
        self,
        store: EvaluationStore,
        writer: BundleWriter,
        noted: _Noted,
        view: DatasetView,
        prepared: Prepared,
        replayer: Replayer,
    ) -> None:
        self._store = store
        self._writer = writer
        self._noted = noted
        self._view = view
        self._prepared = prepared
        self._replayer = replayer
        self.count = 0
        self.unlike = 0

    async def tasks(self, scene: Scene, selection: Selection) -> None:
        async for chunk in self._store.results(scene.run_id):
            wanted = [each for each in chunk if (each.key.datum_index, each.key.repeat) in selection]
            for start in range(0, len(wanted), AT_ONCE * 8):
                await self._some(wanted[start : start + AT_ONCE * 8])

    async def _some(self, results: Sequence[TaskResult]) -> None:
        indices = sorted({each.key.datum_index for each in results})
        data = await anyio.to_thread.run_sync(lambda: dict(self._prepared.rows.read(indices)))
        replayed: list[tuple[TaskResult | None, list[Used]]] = [(None, [])] * len(results)
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(place: int, result: TaskResult) -> None:
            key = result.key
            async with limiter:
                replayed[place] = await self._replayer.task(
                    key.datum_index,
                    key.repeat,
                    datum_id=result.datum_id,
                    datum=data[key.datum_index],
                    find=self._stored,
                )

        with one_error():
            async with anyio.create_task_group() as group:
                for place, result in enumerate(results):
                    if result.outcome.counted:  # of the others there is nothing to score
                        group.start_soon(one, place, result)
        for result, (now, used) in zip(results, replayed, strict=True):
            self._write(result, now, used, data)

    async def _stored(self, who: str, request: Request) -> Completion:
        del who
        found = await self._store.lookup(request.key)
        if found is None:
            raise NotStoredError(f"no stored completion for request {request.key}")
        return found

    def _write(self, result: TaskResult, now: TaskResult | None, used: Sequence[Used], data: Mapping[int, Row]) -> None:
        index = result.key.datum_index
        if result.outcome.counted and now is None:
            raise ProofError(
                f"task {index}: a reply that it asks for is not stored",
                hint="its solver asks otherwise than in the run, or the database is another one",
            )
        if self.custom and self.with_rows and (wire.DATUM, index) not in self._noted.written:
            self._noted.written.add((wire.DATUM, index))
            self._writer.write(wire.DATUM, index=index, row=data[index])
        self._write_rows()
        for each in used:
            if each.completion.request_key not in self._noted.replies:
                self._noted.replies.add(each.completion.request_key)
                self._writer.write(wire.REPLY, **wire.reply_line(each.completion))
        self._writer.write(wire.TASK, **wire.task_line(result, used))
        self.count += 1
        self.unlike += now is not None and bool(task_differences(result, now))

    def _write_rows(self) -> None:
        rows, self._noted.rows = self._noted.rows, []
        for split, index, row in rows if self.with_rows else ():
            if split not in self._noted.splits:
                self._noted.splits.add(split)
                view = self._view[split] if split else self._view
                told = {"rows": len(view), "fingerprint": view.fingerprint, "columns": view.column_names}
                self._writer.write(wire.SPLIT, name=split, **told)
            self._writer.write(wire.ROW, split=split, index=index, row=row)
