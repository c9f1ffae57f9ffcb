"""An evaluation -> a bundle: its run is scored once more from what is stored, and all that this reads goes along."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.data.rows import Row
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.proof import wire
from engine.proof.again import Retold, StoredRun, open_again, retold
from engine.proof.compared import task_differences
from engine.proof.lines import BundleWriter
from engine.proof.replay import Here


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
    store: EvaluationStore, evaluation: Evaluation, path: Path, *, here: Here, with_rows: bool = True
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
        DatasetError, SolverError: the dataset or the solver is not there.
        ProofError: the solver or the dataset is not what it was, or a reply is not stored any more.
        StorageError: the file cannot be written.
    """
    noted = _Noted()
    stored = await open_again(store, evaluation, here, note=noted.note)
    count = unlike = 0
    with BundleWriter(path) as writer, TemporaryDirectory(prefix="engine-bundle-") as work:
        writer.write(wire.EVALUATION, **evaluation.as_dict())
        writer.write(wire.RUN, **wire.run_line(stored.run, stored.scene, stored.selection, custom=stored.custom))
        async for each in retold(store, stored, folders=Path(work)):
            if with_rows:
                _write_rows(writer, noted, stored, each)
            _write_task(writer, noted, each)
            count += 1
            unlike += each.now is not None and bool(task_differences(each.result, each.now))
    return Made(path=path, digest=writer.digest, tasks=count, unlike=unlike)


def _write_rows(writer: BundleWriter, noted: _Noted, stored: StoredRun, task: Retold) -> None:
    """Write what was read since the last task, and what a solver with tasks of its own made of it."""
    index = task.result.key.datum_index
    if stored.custom and (wire.DATUM, index) not in noted.written:
        noted.written.add((wire.DATUM, index))
        writer.write(wire.DATUM, index=index, row=task.row)
    rows, noted.rows = noted.rows, []
    for split, place, row in rows:
        if split not in noted.splits:
            noted.splits.add(split)
            view = stored.view[split] if split else stored.view
            told = {"rows": len(view), "fingerprint": view.fingerprint, "columns": view.column_names}
            writer.write(wire.SPLIT, name=split, **told)
        writer.write(wire.ROW, split=split, index=place, row=row)


def _write_task(writer: BundleWriter, noted: _Noted, task: Retold) -> None:
    for each in task.used:
        if each.completion.request_key not in noted.replies:
            noted.replies.add(each.completion.request_key)
            writer.write(wire.REPLY, **wire.reply_line(each.completion))
    writer.write(wire.TASK, **wire.task_line(task.result, task.used))
