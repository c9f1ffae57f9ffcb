"""A log that Inspect's viewer opens, of one evaluation."""

from __future__ import annotations

import json

from engine.errors import UsageError
from engine.evaluations.exports import Chosen
from engine.evaluations.inspect_log import inspect_log
from engine.evaluations.solutions import read_solutions


async def export(chosen: Chosen) -> str:
    """The evaluation with its solutions and, where they are found, its messages.

    Raises:
        UsageError: it is not one evaluation, or has no solutions.
    """
    found = chosen.evaluations
    if len(found) != 1:
        raise UsageError(f"a log of Inspect holds one evaluation, these are {len(found)}", hint="name one by its id")
    solutions = read_solutions(chosen.registry / found[0].name)
    return json.dumps(inspect_log(found[0], solutions, await chosen.calls(found[0])), ensure_ascii=False)
