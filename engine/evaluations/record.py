"""A finished run -> an evaluation: an entry of the registry, and rows in the store.

The entry comes first, whole or not at all, and then its rows in one transaction. Killed in between, the entry
is there and says everything itself, so the table shows it all the same.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from engine import registry
from engine.data.entries import is_part, pick_version, registry_folder
from engine.errors import StorageError, UsageError
from engine.evaluations.elsewhere import kept_place
from engine.evaluations.entry import EVALUATION, METADATA, METRICS, keep_place
from engine.evaluations.evaluation import FRACTION, Evaluation, EvaluationStore, Metric
from engine.evaluations.exchange import exchange
from engine.evaluations.figures import run_figures
from engine.evaluations.names import about_run, entry_key, next_version
from engine.evaluations.origin import git_state
from engine.evaluations.solutions import write_solutions
from engine.ports import Dataset
from engine.records import RunRecord, Selection, Tally
from engine.report import RunReport

CATEGORY = "evaluation"
TAG = re.compile(r"[a-zA-Z0-9_\-]+")
"""Tags that an entry can have; others are in evaluation.json and in the store alone."""
MOST_RECORDERS = 50
STALE_S = 86_400.0
OVERTAKEN = frozenset({errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY})
"""What a rename says where another recorder has moved the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """What is known of a run when nothing of it is open any more; `dataset` is what its rows are read from."""

    report: RunReport
    record: RunRecord
    selection: Selection
    tally: Tally
    dataset: Dataset | None = None
    store_url: str = ""
    """Where it is stored; of a URL with a password only what is none is kept."""

    @property
    def partial(self) -> bool:
        """Whether some selected tasks have no outcome."""
        return self.tally.finished < self.selection.size


async def record_run(
    store: EvaluationStore,
    finished: FinishedRun,
    *,
    home: Path,
    namespace: str = "local",
    overwrite: bool = False,
    partial: bool = False,
    tags: Sequence[str] = (),
) -> Evaluation:
    """Record a run as an evaluation; nothing is sent.

    The entry lies below `home/registry/<namespace>/<key>/<version>` and holds the seed's metrics.json (percent,
    two decimals), solutions.jsonl and evaluation.json, everything with intervals, as fractions. A key that is
    there gets a new version; with `overwrite` the newest version is replaced, and what it was is kept beside.

    Args:
        store: where the run is.
        finished: the run.
        home: ENGINE_HOME.
        namespace: whose entry it is.
        overwrite: whether the newest version of this key is replaced.
        partial: whether a run with tasks that have no outcome is recorded all the same, and marked.
        tags: labels, beside those of the run.

    Raises:
        UsageError: the run is partial, or the namespace cannot be one.
        StorageError: the files or the rows cannot be written; nothing is listed.
    """
    _check(finished, namespace, partial=partial)
    root = registry_folder(home)
    try:
        root.mkdir(parents=True, exist_ok=True)
        await anyio.to_thread.run_sync(_sweep, root)
        folder = Path(tempfile.mkdtemp(prefix=".recording-", dir=root))
        try:
            record = finished.record
            figures = await write_solutions(folder, store, record.run_id, finished.selection, finished.dataset)
            metrics = run_figures(record.evaluation_name, finished.report, finished.tally, figures)
            made = _evaluation(finished, metrics, await anyio.to_thread.run_sync(git_state), tags)
            with anyio.CancelScope(shield=True):
                placed = await _keep(store, made, folder, home=home, namespace=namespace, overwrite=overwrite)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"{root}: cannot be written, {error}", hint="check space and permissions") from error
    return placed


def _check(finished: FinishedRun, namespace: str, *, partial: bool) -> None:
    if not is_part(namespace):
        raise UsageError(f"the namespace {namespace!r} cannot be one", hint="letters, digits and _ - .")
    if finished.partial and not partial:
        missing = finished.selection.size - finished.tally.finished
        raise UsageError(
            f"run {finished.record.run_id!r} is not finished, {missing} of {finished.selection.size} tasks are open",
            hint="run it again to finish it, or record what is there with --record-partial",
        )


def _evaluation(
    finished: FinishedRun, metrics: Sequence[Metric], git: Mapping[str, Any], tags: Sequence[str]
) -> Evaluation:
    run = finished.record
    marks = ("partial",) if finished.partial else ()
    return Evaluation(
        evaluation_id="e" + secrets.token_hex(5),
        name="",
        about=about_run(run),
        run_id=run.run_id,
        benchmark=run.benchmark,
        dataset=run.dataset,
        subset=run.subset,
        solver=run.solver,
        options=run.options,
        tags=tuple(dict.fromkeys((*run.tags, *tags, *marks))),
        details=_details(finished, git),
        created_at=time.time(),
        place=kept_place(finished.store_url),
        metrics={metric.name: metric for metric in metrics},
    )


def _details(finished: FinishedRun, git: Mapping[str, Any]) -> dict[str, Any]:
    run, report, selection = finished.record, finished.report, finished.selection
    parts = json.loads(run.parts)
    return {
        "about": about_run(run),
        "evaluation_name": run.evaluation_name,
        "n": report.n,
        "counted": report.counted,
        "outcomes": {outcome.value: count for outcome, count in report.outcomes.items()},
        "partial": finished.partial,
        "dataset_rows": len(finished.dataset) if finished.dataset is not None else None,
        "stop": selection.stop,
        "picked": sorted(selection.picked) if selection.picked is not None else None,
        "repeats": selection.repeats,
        "dataset_fingerprint": run.dataset_fingerprint,
        "solver_source": parts.get("solver_source"),
        "scorers": parts.get("scorers"),
        "sampling": json.loads(run.sampling),
        "identity": run.identity,
        "generation": run.generation,
        "environment": {name: each for name, each in json.loads(run.environment).items() if name != "asked"},
        "git": dict(git),
        "cut": report.cut,
        "score_low": report.score_low,
        "score_high": report.score_high,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "paid_usd": finished.tally.cost_usd,
        "uncached_cost_usd": report.uncached_cost_usd,
        "duration_s": report.duration_s,
    }


async def _keep(
    store: EvaluationStore, made: Evaluation, folder: Path, *, home: Path, namespace: str, overwrite: bool
) -> Evaluation:
    key = entry_key(made.details["evaluation_name"], made.about, partial=made.details["partial"])

    def place() -> tuple[Evaluation, Path, Path | None]:
        return _place(made, folder, home=home, namespace=namespace, key=key, overwrite=overwrite)

    placed, path, replaced = await anyio.to_thread.run_sync(place)
    try:
        keep_place(path, placed.place)
        # What stood under this very name is replaced, whichever way it lost its place.
        same = [row["evaluation_id"] for row in await store.evaluations() if row["name"] == placed.name]
        metrics = [metric.as_dict() for metric in placed.metrics.values()]
        await store.save_evaluation(evaluation_row(placed), metrics, _entry_row(placed), replaces=same)
    except BaseException:
        _withdraw(path, replaced)
        raise
    return placed


def _place(
    made: Evaluation, folder: Path, *, home: Path, namespace: str, key: str, overwrite: bool
) -> tuple[Evaluation, Path, Path | None]:
    """Put the entry into the registry: the evaluation with its name, its folder, and that of what it replaced."""
    names = registry_folder(home) / namespace / key
    for _ in range(MOST_RECORDERS):
        versions = [each.name for each in names.iterdir() if is_part(each.name)] if names.is_dir() else []
        newest = pick_version(names, "") if overwrite else None
        version = newest.name if newest is not None else next_version(versions)
        placed = replace(made, name=f"{namespace}/{key}/{version}")
        _write(folder, placed)
        try:
            if newest is not None:
                return placed, newest, _replace(newest, folder, home, (namespace, key, version))
            entry, new = registry.put(
                folder, home=home, namespace=namespace, name=key, version=version, category=CATEGORY
            )
        except UsageError:
            if pick_version(names, version) is None:
                raise
        except OSError as error:
            if error.errno not in OVERTAKEN:
                raise
        else:
            if new:
                return placed, entry.path, None
        # Another recorder was faster; the next version is ours.
    raise StorageError(f"{names}: every version is taken at once", hint="record again when fewer recorders work")


def _replace(newest: Path, folder: Path, home: Path, name: tuple[str, str, str]) -> Path:
    """Put a whole new entry in the place of this one, which is kept beside under a hidden name."""
    staging = Path(tempfile.mkdtemp(prefix=".recording-", dir=registry_folder(home)))
    namespace, key, version = name
    kept = newest.with_name(f".replaced-{version}-{secrets.token_hex(4)}")
    try:
        entry, _ = registry.put(folder, home=staging, namespace=namespace, name=key, version=version, category=CATEGORY)
        entry.path.rename(kept)
        try:
            exchange(kept, newest)
        except BaseException:
            shutil.rmtree(kept, ignore_errors=True)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return kept


def _withdraw(path: Path, replaced: Path | None) -> None:
    """Take the entry away again, and put back what it had replaced."""
    if replaced is not None:
        exchange(replaced, path)
        shutil.rmtree(replaced, ignore_errors=True)
        return
    gone = path.with_name(f".recording-{secrets.token_hex(4)}")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _write(folder: Path, placed: Evaluation) -> None:
    """metrics.json as the seed has it, and everything of ours beside it."""
    flat: dict[str, Any] = {metric.name: _seed_value(metric) for metric in placed.metrics.values()}
    flat = {name: value for name, value in flat.items() if value is not None}
    flat["evaluated_entry_metadata"] = dict(placed.about)
    metadata = {
        "name": placed.key.partition("/")[2],
        "version": placed.name.rpartition("/")[2],
        "description": "",
        "category": CATEGORY,
        "tags": [tag for tag in placed.tags if TAG.fullmatch(tag)],
        "details": {"evaluation_id": placed.evaluation_id, "run_id": placed.run_id},
        "show_entry": True,
    }
    for name, value in ((METRICS, flat), (EVALUATION, placed.as_dict()), (METADATA, metadata)):
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _seed_value(metric: Metric) -> float | None:
    if metric.unit == FRACTION and metric.value is not None:
        return round(100 * metric.value, 2)
    return metric.value


def evaluation_row(made: Evaluation) -> dict[str, Any]:
    """The row of `evaluations`."""
    names = ("evaluation_id", "name", "benchmark", "dataset", "subset", "solver", "options", "hidden", "created_at")
    return {
        **{name: getattr(made, name) for name in names},
        "run_id": made.run_id or None,
        "model": made.model,
        "provider": made.about.get("provider", ""),
        "agent": made.about.get("agent", ""),
        "tags": list(made.tags),
        "details": dict(made.details),
    }


def _entry_row(made: Evaluation) -> dict[str, Any]:
    namespace, name, version = made.name.split("/")
    return {
        "entry_id": made.name,
        "namespace": namespace,
        "name": name,
        "version": version,
        "category": CATEGORY,
        "description": "",
        "tags": list(made.tags),
        "details": {"evaluation_id": made.evaluation_id, "run_id": made.run_id},
        "created_at": made.created_at,
    }


def _sweep(root: Path) -> None:
    """Take away what a recorder that was killed had not finished."""
    for left in root.glob(".recording-*"):
        if time.time() - left.stat().st_mtime > STALE_S:
            shutil.rmtree(left, ignore_errors=True)
