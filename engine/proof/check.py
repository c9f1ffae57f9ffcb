"""A bundle -> whether its figures come out the same when its tasks are scored again here; nothing is sent.

What the bundle says is the text of a stranger. Its solver is only a name: the one that is installed here under
that name scores, and only where its source is the one that was recorded, unless the caller allows another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import anyio
import anyio.to_thread

from engine.errors import NotStoredError, ProofError, one_error
from engine.evaluations.evaluation import Evaluation, EvaluationStore, Metric
from engine.evaluations.figures import run_figures
from engine.evaluations.solutions import write_solutions
from engine.load import built_in
from engine.metrics import run_metrics
from engine.progress import Progress
from engine.proof import wire
from engine.proof.compared import Figure, compare_figures, near, task_differences
from engine.proof.lines import BundleLines
from engine.proof.replay import AT_ONCE, Here, Replayer, may_lack_a_reply
from engine.proof.shelf import Kept, Spool, keep
from engine.proof.solver import Installed, NoSolver, installed
from engine.records import Completion, Request, TaskResult
from engine.report import report

MOST_TOLD = 20
RECORDED_FIELDS = ("calls", "cached_calls", "requests", "cost_usd", "duration_s", "ended_at")
"""What a task used when it was run, which a replay takes as it was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """A task that comes out otherwise, or cannot be replayed, and how."""

    index: int
    repeat: int
    what: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The task as `--format json` prints it."""
        return {"datum_index": self.index, "repeat": self.repeat, "what": list(self.what)}


@dataclass(slots=True, kw_only=True)
class Proof:
    """What a bundle was found to hold.

    `tasks` counts its tasks, `replayed` those that were solved again, `unreplayable` by their outcome those that
    errored or were refused and of which a call has no reply: nobody can see whether they say the truth. `absent`
    counts tasks of the run that are not in the file. `reworded` counts tasks whose replay asked in other words than
    the recorded ones, and was given their replies all the same. `unlike` holds the first tasks that differ, of
    `different`.
    """

    digest: str
    evaluation: Evaluation
    solver: Installed | NoSolver
    tasks: int = 0
    replayed: int = 0
    absent: int = 0
    unreplayable: Counter[str] = field(default_factory=Counter)
    reworded: int = 0
    different: int = 0
    unlike: list[Unlike] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether tasks were solved again, and each of them and every figure came out the same."""
        return self.replayed > 0 and not self.different and all(each.same for each in self.figures)

    def as_dict(self) -> dict[str, Any]:
        """The proof as `--format json` prints it."""
        checked = [each for each in self.figures if each.checked]
        return {
            "holds": self.holds,
            "sha256": self.digest,
            "evaluation_id": self.evaluation.evaluation_id,
            "name": self.evaluation.name,
            "solver": self.solver.as_dict(),
            "tasks": self.tasks,
            "replayed": self.replayed,
            "unreplayable": dict(sorted(self.unreplayable.items())),
            "absent": self.absent,
            "reworded": self.reworded,
            "different": self.different,
            "unlike": [each.as_dict() for each in self.unlike],
            "figures_checked": len(checked),
            "figures_same": sum(each.same for each in checked),
            "figures": [each.as_dict() for each in self.figures],
            "notes": list(self.notes),
        }


async def check_bundle(path: Path, here: Here, *, other_source: bool = False, local_files: bool = False) -> Proof:
    """Score the tasks of a bundle again, and compare every figure.

    Args:
        path: the bundle.
        here: where its solver is looked for; a dataset that is named there stands in for the bundle's rows, and
            must have the recorded fingerprint.
        other_source: whether a solver may score whose source is another one than was recorded.
        local_files: whether the bundle's options may name files of this machine.

    Raises:
        ProofError: it is no bundle, is cut short, was changed, or holds what none of ours holds.
    """
    with TemporaryDirectory(prefix="engine-verify-") as work, closing(Spool(Path(work) / "rows")) as spool:
        async with _store(Path(work) / "replay.db") as store:
            kept = await keep(path, cast("EvaluationStore", store), spool)
            found = await anyio.to_thread.run_sync(
                lambda: installed(kept, here, other_source=other_source, local_files=local_files)
            )
            proof = Proof(digest=kept.digest, evaluation=kept.evaluation, solver=found, notes=list(found.notes))
            await _Check(store, kept, proof, path, Path(work)).run()
            return proof


def _store(path: Path) -> AbstractAsyncContextManager[Any]:
    url = f"sqlite:///{path}"
    return built_in("storage").backend(url).open_store(url)  # type: ignore[no-any-return]


class _Check:
    def __init__(self, store: Any, kept: Kept, proof: Proof, path: Path, work: Path) -> None:
        self._store = store
        self._kept = kept
        self._proof = proof
        self._path = path
        self._work = work
        self._replayer: Replayer | None = None
        if isinstance(proof.solver, Installed):
            self._replayer = Replayer(kept.run.scene, proof.solver.solver, folders=work / "folders")

    async def run(self) -> None:
        """Go through the tasks, then add up what they came to."""
        await self._store.open_run(self._kept.run.record)
        waiting: list[wire.KeptTask] = []
        for line in BundleLines(self._path):
            if line["kind"] == wire.TASK:
                waiting.append(wire.task_of(line, self._kept.run.record.run_id))
            if len(waiting) == AT_ONCE * 8:
                await self._some(waiting)
                waiting = []
        await self._some(waiting)
        if self._replayer is not None:
            await self._replayer.aclose()
        if self._proof.reworded:
            self._proof.notes.append(
                f"{self._proof.reworded} tasks were asked in other words than here: their prompts are as recorded"
            )
        await self._add_up()

    async def _some(self, tasks: list[wire.KeptTask]) -> None:
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(task: wire.KeptTask) -> None:
            async with limiter:
                await self._store.finish_task(await self._again(task))

        with one_error():
            async with anyio.create_task_group() as group:
                for task in tasks:
                    group.start_soon(one, task)

    async def _again(self, task: wire.KeptTask) -> TaskResult:
        """The task as it comes out now; as recorded where it cannot be replayed."""
        proof, recorded = self._proof, task.result
        proof.tasks += 1
        if isinstance(proof.solver, NoSolver):
            return recorded
        give = _Give(self._store, task)
        key = recorded.key
        rows, index = proof.solver.rows, key.datum_index
        datum = self._kept.datum(index) if rows is None else dict(next(iter(rows.read([index])))[1])
        assert self._replayer is not None
        now, used = await self._replayer.task(
            key.datum_index, key.repeat, datum_id=recorded.datum_id, datum=datum, find=give.reply
        )
        if now is None and may_lack_a_reply(recorded):
            proof.unreplayable[recorded.outcome.value] += 1
            return recorded
        proof.replayed += 1
        proof.reworded += give.reworded
        what = _differences(task, now, len(used))
        if what:
            proof.different += 1
            if len(proof.unlike) < MOST_TOLD:
                proof.unlike.append(Unlike(index=key.datum_index, repeat=key.repeat, what=what))
        return recorded if now is None else _with_use(now, recorded)

    async def _add_up(self) -> None:
        run, evaluation = self._kept.run, self._kept.evaluation
        record, selection = run.record, run.selection
        name, size = record.benchmark, selection.size
        tally = await self._store.tally(record.run_id, selection)
        if not tally.finished:
            raise ProofError(f"{self._path}: it holds no task of its run", hint="it was not made by this engine")
        self._proof.absent = max(0, size - tally.finished)
        solver = self._proof.solver.solver if isinstance(self._proof.solver, Installed) else _NoSums()
        with wire.fitting("the bundle's metrics"):
            metrics = await run_metrics(solver, self._store, record, selection, tally)
            progress = Progress(run_id=record.run_id, benchmark=name, model=record.model, tasks=size)
            made = report(record, selection, tally, progress, metrics=metrics)
            figures = await write_solutions(self._work, self._store, record.run_id, selection, None)
            replayed = run_figures(record.evaluation_name, made, tally, figures)
        self._proof.figures = [
            *compare_figures(evaluation.metrics, replayed, whole=isinstance(self._proof.solver, Installed)),
            *_counts(evaluation.details, {outcome.value: count for outcome, count in made.outcomes.items()}),
        ]


class _NoSums:
    """Stands in where no solver scores: no metrics of its own."""

    def further_metrics(self, means: Mapping[str, float]) -> Mapping[str, float]:
        """None."""
        del means
        return {}


class _Give:
    """Gives a task the replies that it was recorded with: by their key, else in their order.

    One of which a call may have failed gets by the key alone, whatever its line says that it had: there the next
    reply in the order would be that of another call, and a reply that is in the file is not to be denied.
    """

    def __init__(self, store: Any, task: wire.KeptTask) -> None:
        self._store = store
        self._left = list(task.replies)
        self._by_key = may_lack_a_reply(task.result)
        self.reworded = False

    async def reply(self, who: str, request: Request) -> Completion:
        """The reply to this request.

        Raises:
            NotStoredError: there is none, or all were given.
        """
        place = (who, request.key)
        if not self._by_key and place not in self._left:
            self.reworded = True
            place = next((each for each in self._left if each[0] == who), ("", ""))
        within = self._by_key or place in self._left
        found: Completion | None = await self._store.lookup(place[1]) if within else None
        if found is None:
            raise NotStoredError("no reply is left")
        if place in self._left:
            self._left.remove(place)
        self.reworded = self.reworded or found.request.encode("utf-8", "replace") != request.body
        return found


def _differences(task: wire.KeptTask, now: TaskResult | None, used: int) -> tuple[str, ...]:
    recorded = task.result
    if now is None:
        return ("it asks for more replies than were recorded",)
    if now.error is not None and not recorded.outcome.counted:
        return task_differences(recorded, now)  # its message may name places of this machine
    if now.error is not None:
        return (f"it cannot be scored: {now.error.get('message', '')!s:.200}",)
    if used < len(task.replies):
        return (*task_differences(recorded, now), f"replies used {len(task.replies)} → {used}")
    return task_differences(recorded, now)


def _with_use(now: TaskResult, recorded: TaskResult) -> TaskResult:
    return replace(now, **{name: getattr(recorded, name) for name in RECORDED_FIELDS})


def _counts(details: Mapping[str, Any], outcomes: Mapping[str, int]) -> Iterator[Figure]:
    recorded = details.get("outcomes")
    recorded = recorded if isinstance(recorded, dict) else {}
    for name in dict.fromkeys([*recorded, *outcomes]):
        before, after = recorded.get(name, 0), outcomes.get(name, 0)
        if before or after:
            one, other = (Metric(name=name, value=value) for value in (before, after))
            unlike = () if near(before, after) else ("value",)
            yield Figure(name=f"outcomes/{name}", recorded=one, replayed=other, unlike=unlike)
