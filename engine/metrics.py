"""The metrics of a run: its score by the solver's name, the means of what tasks measured, or the solver's own."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from engine.errors import SolverError
from engine.ports import Store
from engine.records import Outcome, RunRecord, Selection, Tally, TaskResult
from engine.reserved import own_names
from engine.scoring.metrics import repeat_metrics


class SolvedTask(tuple[bool, Any]):  # noqa: SLOT001 - a tuple takes no slots
    """`(solved, info)` as the seed's solvers expect it, that also knows which task it was."""

    datum_index: int
    repeat: int
    score: float | None
    outcome: Outcome

    @classmethod
    def of(cls, result: TaskResult) -> SolvedTask:
        """The task of this result."""
        solved = cls((result.outcome is Outcome.PASSED, result.info))
        solved.datum_index, solved.repeat = result.key.datum_index, result.key.repeat
        solved.score, solved.outcome = result.score, result.outcome
        return solved


async def run_metrics(
    solver: Any, store: Store, record: RunRecord, selection: Selection, tally: Tally
) -> dict[str, Any]:
    """Figures by hierarchical name, each beginning with the evaluation's name.

    The score is a fraction; a custom solver's metrics are what it computed, in its own units. Means are over
    the counted tasks that have the metric. With several repeats, `pass@k`, `pass^k` and `majority@k` are added;
    a metric of such a name is called `own_pass@k` beside them.
    """
    name = record.evaluation_name
    if getattr(solver, "scoring_method", "") == "Custom":
        return {f"{name}/{key}": value for key, value in (await _custom(solver, store, record, selection)).items()}
    own: dict[str, Any] = {}
    if tally.detailed:
        own = await _means(store, record, selection)
        own.update(solver.further_metrics(own))
    repeated: dict[str, Any] = {}
    if selection.repeats > 1 and tally.score is not None:
        repeated = repeat_metrics(await _questions(store, record, selection), selection.repeats)
    called = own_names(list(own), repeated)
    figures = {**{called[key]: value for key, value in own.items()}, **repeated}
    score = {} if tally.score is None else {name: tally.score}
    return {**score, **{f"{name}/{key}": value for key, value in figures.items()}}


async def _questions(
    store: Store, record: RunRecord, selection: Selection
) -> list[tuple[list[str | None], list[float]]]:
    """For each datum, the answers and values of its counted repeats, in their order."""
    questions: dict[int, tuple[list[str | None], list[float]]] = {}
    async for chunk in store.results(record.run_id):
        for result in chunk:
            if result.score is None or (result.key.datum_index, result.key.repeat) not in selection:
                continue
            answers, values = questions.setdefault(result.key.datum_index, ([], []))
            answers.append(result.answer)
            values.append(result.score)
    return list(questions.values())


async def _custom(solver: Any, store: Store, record: RunRecord, selection: Selection) -> Mapping[str, Any]:
    solved = [
        SolvedTask.of(result)
        async for chunk in store.results(record.run_id)
        for result in chunk
        if result.outcome.counted and (result.key.datum_index, result.key.repeat) in selection
    ]
    try:
        computed = solver.get_evaluation_metrics(solved) if solved else {}
        return {str(name): _figure(name, value) for name, value in computed.items()}
    except Exception as error:
        raise SolverError(
            f"solver {record.solver!r}: get_evaluation_metrics failed: {type(error).__name__}: {error}",
            hint="mend it and run again: what was bought is kept",
        ) from error


def _figure(name: object, value: Any) -> int | float:
    """A metric as a plain number; numpy's are ones."""
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, (int, float)) or not isfinite(number):
        raise ValueError(f"the metric {name!r} is {value!r:.80}, and no finite number")
    return number


async def _means(store: Store, record: RunRecord, selection: Selection) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    async for chunk in store.results(record.run_id):
        for result in chunk:
            if result.score is None or (result.key.datum_index, result.key.repeat) not in selection:
                continue
            figures = {**result.metrics, **dict.fromkeys(result.tags, result.score)}
            for name, value in figures.items():
                total = sums.setdefault(name, [0.0, 0.0])
                total[0] += value
                total[1] += 1
    return {name: total / count for name, (total, count) in sorted(sums.items())}
