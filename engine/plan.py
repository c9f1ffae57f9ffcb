"""What a run is: its identity, its tasks, and what remains of them (see ARCHITECTURE.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any

from engine.errors import DatasetError, UsageError
from engine.records import RunRecord, Selection

CODE_PARTS = frozenset({"solver_source", "scorers"})
"""The parts of an identity that leave the requests as they are: not in a run's scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which rows are asked for, and how often: `limit` first rows, or a random `sample` of them by `seed`.

    Raises:
        UsageError: one of the numbers is below 1, or limit and sample are both given.
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("limit", "sample", "repeats"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value!r}", hint="it must be at least 1")
        if self.limit is not None and self.sample is not None:
            raise UsageError("limit and sample exclude each other", hint="give one of them")


def select(rows: int, choice: Choice) -> Selection:
    """The tasks that the choice means, of a dataset with so many rows.

    Raises:
        DatasetError: the dataset is empty.
    """
    if rows == 0:
        raise DatasetError("the dataset has no rows", hint="choose another split with --subset")
    if choice.sample is not None and choice.sample < rows:
        picked = frozenset(Random(choice.seed).sample(range(rows), choice.sample))
        return Selection(stop=rows, repeats=choice.repeats, picked=picked)
    return Selection(stop=min(rows, choice.limit or rows), repeats=choice.repeats)


def identity(parts: Mapping[str, Any]) -> str:
    """The hash of everything that may change a score."""
    return _hash(parts)


def scope(parts: Mapping[str, Any]) -> str:
    """The hash of everything that may change a request: the identity less the code."""
    return _hash({name: value for name, value in parts.items() if name not in CODE_PARTS})


def run_id(identity_hash: str, generation: int) -> str:
    """The id of a run: the same for whoever starts it, so that two processes find themselves in one run."""
    return "r" + blake2b(f"{identity_hash}/{generation}".encode(), digest_size=6).hexdigest()


def record(parts: Mapping[str, Any], *, generation: int, planned: int, repeats: int, **described: Any) -> RunRecord:
    """The run as it is stored.

    Args:
        parts: what the identity is made from.
        generation: 0, and one more for each `--force`.
        planned: tasks that are selected now.
        repeats: of each datum.
        **described: the remaining fields of `RunRecord`.
    """
    whole = identity(parts)
    return RunRecord(
        run_id=run_id(whole, generation),
        identity=whole,
        scope=scope(parts),
        generation=generation,
        options=_json(parts["options"]),
        sampling=_json(parts["sampling"]),
        parts=_json(parts),
        planned=planned,
        repeats=repeats,
        **described,
    )


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """`(part, ours, theirs)` of each part of two identities that differs, in our order."""
    names = dict.fromkeys([*ours, *theirs])
    return [(name, ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)]


class Remaining:
    """The tasks of a selection that are still to be done: a bit for each task, whatever there are."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._done = bytearray((selection.stop * selection.repeats + 7) // 8)
        self.done = 0

    def __len__(self) -> int:
        return self._selection.size - self.done

    def mark(self, keys: Iterable[tuple[int, int]]) -> None:
        """These tasks need nothing more; those outside the selection are passed over."""
        selection, bits = self._selection, self._done
        repeats, stop, picked = selection.repeats, selection.stop, selection.picked
        for index, repeat in keys:
            if index >= stop or repeat >= repeats or (picked is not None and index not in picked):
                continue
            place = index * repeats + repeat
            if not bits[place >> 3] & (1 << (place & 7)):
                bits[place >> 3] |= 1 << (place & 7)
                self.done += 1

    def copy(self) -> Remaining:
        """The same tasks, to be marked apart from these."""
        made = Remaining(self._selection)
        made._done, made.done = bytearray(self._done), self.done
        return made

    def others(self) -> Remaining:
        """The tasks of the selection that need nothing more here, as those that remain."""
        turned = Remaining(self._selection)
        turned._done = bytearray(byte ^ 0xFF for byte in self._done)
        turned.done = len(self)
        return turned

    def repeats_of(self, index: int) -> list[int]:
        """Which repeats of this datum remain."""
        repeats, bits = self._selection.repeats, self._done
        start = index * repeats
        return [place - start for place in range(start, start + repeats) if not bits[place >> 3] & (1 << (place & 7))]

    def indices(self) -> Iterator[int]:
        """The data of which something remains, ascending."""
        selection = self._selection
        every = sorted(selection.picked) if selection.picked is not None else range(selection.stop)
        if len(self) == 0:
            return
        for index in every:
            if self.repeats_of(index):
                yield index


def _hash(value: Any) -> str:
    return blake2b(_json(value).encode(), digest_size=16).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
