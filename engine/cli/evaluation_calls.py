"""What models said in the tasks of an evaluation, found again in the database that it was recorded in."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.cli.opened import holding
from engine.errors import EngineError, UsageError
from engine.evaluations.cells import plain
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.evaluations.exports import Calls


async def calls_if_found(evaluation: Evaluation, store: EvaluationStore | None, home: Path, *, what: str) -> Calls:
    """The replies of each task, by datum index and repeat; none, with a warning, where they cannot be found.

    Args:
        evaluation: whose.
        store: that of this folder.
        home: ENGINE_HOME.
        what: what is without them, for the warning.
    """
    try:
        return await _calls(evaluation, store, home)
    except EngineError as error:
        print(f"warning: {what} is without messages: {plain(error.message)}", file=sys.stderr)
        return {}


async def _calls(evaluation: Evaluation, store: EvaluationStore | None, home: Path) -> Calls:
    """The replies of each task, found by solving it again from what is stored."""
    from engine.evaluations.inspect_messages import Call
    from engine.proof.again import open_again, retold
    from engine.proof.replay import Here

    async with holding(store, home, evaluation) as kept_in:
        if kept_in is None:
            raise UsageError(f"{evaluation.name!r} came without its run")
        stored = await open_again(kept_in, evaluation, Here(folder=Path.cwd(), home=home))
        with TemporaryDirectory(prefix="engine-export-") as work:
            return {
                (each.result.key.datum_index, each.result.key.repeat): [Call(u.who, u.completion) for u in each.used]
                async for each in retold(kept_in, stored, folders=Path(work))
            }
