"""The solutions of an evaluation: one JSON object a task, written while they are read from the store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread

from engine.errors import UsageError
from engine.evaluations.figures import Figures
from engine.ports import Dataset, Store
from engine.records import Outcome, Selection, TaskResult

SOLUTIONS = "solutions.jsonl"
SEED_SOLUTIONS = "solutions.json"


async def write_solutions(
    folder: Path, store: Store, run_id: str, selection: Selection, dataset: Dataset | None
) -> Figures:
    """Write what the solver saw and said of each selected task, in task order, and count it on the way.

    A line holds the seed's `datum`, `status` (whether it passed) and `info`, and beside them index, repeat,
    outcome, score, answer and error. Memory follows a chunk of tasks, never the run.
    """
    figures = Figures()
    with (folder / SOLUTIONS).open("w", encoding="utf-8") as file:
        async for group in _by_datum(store, run_id, selection):

            def write(group: list[list[TaskResult]] = group) -> None:
                wanted = [results[0].key.datum_index for results in group]
                data = dict(dataset.read(wanted)) if dataset is not None else {}
                for results in group:
                    figures.add(results)
                    for result in results:
                        line = _solution(result, data.get(result.key.datum_index))
                        file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

            await anyio.to_thread.run_sync(write)
    return figures


async def _by_datum(store: Store, run_id: str, selection: Selection) -> AsyncIterator[list[list[TaskResult]]]:
    """Chunks of data, each with all its selected tasks."""
    open_datum: list[TaskResult] = []
    async for chunk in store.results(run_id):
        ready: list[list[TaskResult]] = []
        for result in chunk:
            if (result.key.datum_index, result.key.repeat) not in selection:
                continue
            if open_datum and open_datum[0].key.datum_index != result.key.datum_index:
                ready.append(open_datum)
                open_datum = []
            open_datum.append(result)
        yield ready
    if open_datum:
        yield [open_datum]


def _solution(result: TaskResult, datum: Any) -> dict[str, Any]:
    return {
        "datum": datum,
        "status": result.outcome is Outcome.PASSED,
        "info": result.info,
        "datum_index": result.key.datum_index,
        "datum_id": result.datum_id,
        "repeat": result.key.repeat,
        "outcome": result.outcome.value,
        "score": result.score,
        "answer": result.answer,
        "metrics": dict(result.metrics),
        "tags": list(result.tags),
        "error": result.error,
    }


def read_solutions(
    folder: Path, *, status: bool | None = None, outcome: Outcome | None = None
) -> Iterator[Mapping[str, Any]]:
    """The solutions in an entry's folder, ours or the seed's; where one is given only those of this status or outcome.

    The seed's say only whether they passed; those that did not are `failed`.

    Raises:
        UsageError: there are none, or they cannot be read; place and line are named.
    """
    for solution in _solutions(folder):
        passed = solution.get("status")
        ended = solution.get("outcome", Outcome.PASSED if passed is True else Outcome.FAILED)
        if status in (None, passed) and outcome in (None, ended):
            yield solution


def _solutions(folder: Path) -> Iterator[Mapping[str, Any]]:
    path = folder / SOLUTIONS
    if not path.is_file():
        yield from _seed_solutions(folder)
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{path}:{number}: is no JSON, {error}", hint="record the run again") from error
            if isinstance(found, dict):
                yield found


def _seed_solutions(folder: Path) -> Iterator[Mapping[str, Any]]:
    path = folder / SEED_SOLUTIONS
    if not path.is_file():
        raise UsageError(f"no solutions file found for entry {folder}", hint="an entry made with --record has one")
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"error reading solutions file {path}, {error}", hint="download the entry again") from error
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()
