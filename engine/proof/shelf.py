"""What a bundle holds, laid out so that a replay can reach for it: replies in a store, rows in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from engine.data.kept import KeptSplit
from engine.data.rows import Row, Summary
from engine.errors import ProofError
from engine.evaluations.entry import evaluation_of_ours
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.proof import wire
from engine.proof.lines import BundleLines
from engine.proof.wire import KeptRun
from engine.records import Completion

REPLIES_AT_ONCE = 200
MOST_ROWS = 1_000_000_000


class Spool:
    """Rows in a file of its own, found by split and index; memory holds where each begins."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._places: dict[tuple[str, int], int] = {}

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def add(self, split: str, index: int, row: Row) -> None:
        """Keep a row."""
        self._file.seek(0, 2)
        self._places[split, index] = self._file.tell()
        self._file.write(json.dumps(row).encode() + b"\n")

    def get(self, split: str, index: int) -> Row | None:
        """The row; None where it was not kept."""
        place = self._places.get((split, index))
        if place is None:
            return None
        self._file.seek(place)
        return dict(json.loads(self._file.readline()))


@dataclass(slots=True, kw_only=True)
class Kept:
    """A bundle, read through once and found whole; its replies are in the store that it was laid into."""

    evaluation: Evaluation
    run: KeptRun
    spool: Spool
    splits: dict[str, Summary] = field(default_factory=dict)
    digest: str = ""

    @property
    def with_rows(self) -> bool:
        """Whether rows are in the bundle."""
        return "" in self.splits or (self.run.custom and self.spool.get(wire.DATUM, self._first) is not None)

    @property
    def _first(self) -> int:
        picked = self.run.selection.picked
        return min(picked) if picked else 0

    def datum(self, index: int) -> Row:
        """What the task with this index is about.

        Raises:
            ProofError: it is not in the bundle.
        """
        found = self.spool.get(wire.DATUM if self.run.custom else "", index)
        if found is None:
            raise ProofError(f"the row of task {index} is not in the bundle", hint="give the dataset with --dataset")
        return found

    def data(self) -> Mapping[str, KeptSplit]:
        """The splits, the chosen one under ""."""

        def split(name: str) -> KeptSplit:
            return KeptSplit(summary=self.splits[name], fetch=lambda index: self.spool.get(name, index))

        found = {name: split(name) for name in self.splits}
        empty = Summary(rows=self.run.selection.stop, fingerprint=self.run.record.dataset_fingerprint)
        return {"": KeptSplit(summary=empty, fetch=lambda _: None), **found}


async def keep(path: Path, store: EvaluationStore, spool: Spool) -> Kept:
    """Read a bundle to its end, and lay out what a replay needs.

    Args:
        path: the bundle.
        store: an empty store, for the replies.
        spool: an empty one, for the rows.

    Raises:
        ProofError: it is no bundle, is cut short, was changed, or holds what none of ours holds.
    """
    lines = BundleLines(path)
    evaluation: Evaluation | None = None
    kept: Kept | None = None
    replies: list[Completion] = []
    for line in lines:
        kind = line["kind"]
        if kind == wire.EVALUATION and evaluation is None:
            with wire.fitting("the evaluation"):
                evaluation = evaluation_of_ours(line, str(line["name"]))
        elif kind == wire.RUN and evaluation is not None and kept is None:
            kept = Kept(evaluation=evaluation, run=wire.run_of(line), spool=spool)
        elif kept is not None and kind == wire.REPLY:
            replies.append(wire.completion_of(line))
            if len(replies) == REPLIES_AT_ONCE:
                await _store_all(store, replies)
                replies = []
        elif kept is not None and kind in (wire.SPLIT, wire.ROW, wire.DATUM):
            _lay(kept, kind, line)
        elif kept is None or kind != wire.TASK:
            raise ProofError(f"{path}: a line of the kind {kind!r:.40} is out of place", hint="get it again")
    await _store_all(store, replies)
    if kept is None:
        raise ProofError(f"{path}: it holds no run", hint="it was not made by this engine")
    kept.digest = lines.digest
    return kept


def _lay(kept: Kept, kind: str, line: Mapping[str, Any]) -> None:
    with wire.fitting(f"a {kind}"):
        if kind == wire.SPLIT:
            rows = int(line["rows"])
            if not 0 <= rows <= MOST_ROWS:
                raise ValueError(f"{rows} rows")
            columns = tuple(str(each) for each in line["columns"])
            kept.splits[str(line["name"])] = Summary(rows, str(line["fingerprint"]), columns)
        else:
            split = wire.DATUM if kind == wire.DATUM else str(line["split"])
            kept.spool.add(split, int(line["index"]), dict(line["row"]))


async def _store_all(store: EvaluationStore, replies: Sequence[Completion]) -> None:
    async with anyio.create_task_group() as group:
        for each in replies:
            group.start_soon(store.finish_call, each, [])
