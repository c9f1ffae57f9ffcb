"""`engine evaluation read_solutions`: what was asked, what the model answered and how it was judged, one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from engine.cli.evaluation import Flag
from engine.cli.evaluation_calls import calls_if_found
from engine.cli.opened import loaded, run
from engine.cli.show import counted
from engine.errors import UsageError
from engine.evaluations.cells import plain
from engine.evaluations.evaluation import EvaluationStore
from engine.evaluations.exports import Calls
from engine.evaluations.load import resolve
from engine.records import Outcome

STATUSES: Mapping[str, bool | None] = {"": None, "true": True, "false": False}
OUTCOMES: Mapping[str, Outcome] = {outcome.value: outcome for outcome in Outcome}
WHICH, SEED, MORE = ("datum_index", "datum_id", "repeat"), ("datum", "status", "info"), ("outcome", "score", "answer")
"""Which task it is; what the seed shows; and what else came of it, of which a solution of the seed has nothing."""


def read_solutions(entry: str, /, *, status: str = "", verbose: Flag = False, replies: Flag = False) -> int:
    """Show the solutions of an evaluation, one by one; at a terminal Enter shows the next.

    Args:
        entry: an id, the beginning of one, latest, an entry, or a model's name.
        status: only those that passed (true) or did not (false), or those with this outcome, as errored.
        verbose: with what a solver calls verbose.
        replies: with all that the model said, found by solving again from what is stored; nothing is sent.
    """
    from engine.data.entries import registry_folder
    from engine.evaluations.solutions import read_solutions as read

    said = status.lower()
    if said not in STATUSES and said not in OUTCOMES:
        raise UsageError(f"--status is {status!r}", hint=f"use true, false, or one of {', '.join(OUTCOMES)}")
    wanted, outcome = STATUSES.get(said), OUTCOMES.get(said)

    async def work(store: EvaluationStore | None, home: Path) -> None:
        everything = await loaded(store, home, hidden=True, history=True)
        found = resolve(everything.evaluations, entry)
        solutions = read(registry_folder(home) / found.name, status=wanted, outcome=outcome)
        said_by = await calls_if_found(found, store, home, what="each solution") if replies else {}
        _show_solutions(list(solutions), said.title() if outcome is None else said, verbose=verbose, calls=said_by)

    return run(work)


def _show_solutions(solutions: Sequence[Mapping[str, Any]], status: str, *, verbose: bool, calls: Calls) -> None:
    if not solutions:
        print("No solutions found matching criteria")
        return
    asked = f" with status={status}" if status else ""
    print(f"Found {counted(len(solutions), 'solution')}{asked}")
    waits = sys.stdin.isatty() and sys.stdout.isatty()
    for number, solution in enumerate(solutions, 1):
        print("-" * 80)
        print(f"Solution {number}/{len(solutions)}:")
        for name in _told(solution):
            print(f"{name}: {_json(_without_verbose(solution.get(name), verbose=verbose))}")
        for call in calls.get((solution.get("datum_index", -1), solution.get("repeat", 0)), ()):
            print(f"reply of {plain(call.role)}:" if call.role else "reply:")
            print(indent(plain_lines(call.completion.text), "    ", lambda _: True))
        if waits and number < len(solutions) and input("Enter for the next, exit to quit: ").strip() == "exit":
            return


def _told(solution: Mapping[str, Any]) -> Iterator[str]:
    """The names of what is shown, in order: the seed's always, of the rest what is there."""
    rest = (*WHICH, *MORE, "error")
    there = {name for name in rest if solution.get(name) not in (None, "") and (name, solution[name]) != ("repeat", 0)}
    yield from (name for name in WHICH if name in there)
    yield from SEED
    yield from (name for name in (*MORE, "error") if name in there)


def _without_verbose(value: Any, *, verbose: bool) -> Any:
    if verbose or not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if name != "verbose"}


def _json(value: Any) -> str:
    return plain_lines(json.dumps(value, indent=4, ensure_ascii=False, default=str))


def plain_lines(text: str) -> str:
    """The text with its lines, each made harmless for a terminal."""
    return "\n".join(plain(line) for line in text.split("\n"))
