"""Counts over finished tasks, from groups that the database made or from single rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.records import Outcome, Selection, Tally

_COUNTED = frozenset(outcome.value for outcome in Outcome if outcome.counted)


def from_groups(groups: Iterable[Sequence[Any]], clusters: Sequence[Any] | None) -> Tally:
    """The tally of the rows of `statements.TALLY`; `clusters` is that of `statements.CLUSTERS`.

    Without `clusters` each datum has one task, and the cluster fields follow from the rest.
    """
    outcomes: dict[Outcome, int] = {}
    values = squares = 0.0
    counted = fractional = 0
    used = [0] * 5
    sums: list[float | None] = [0, 0, 0.0, 0.0]
    for row in groups:
        name, n = row[0], row[1]
        outcomes[Outcome(name)] = n
        if name in _COUNTED:
            counted += n
            values += row[2] or 0.0
            squares += row[3] or 0.0
            fractional += row[4]
        used = [total + int(more or 0) for total, more in zip(used, row[5:10], strict=True)]
        more_tokens = (int(more or 0) if told == n else None for more, told in (row[10:12], row[12:14]))
        more_usd = (more if told == n else None for more, told in (row[14:16], row[16:18]))
        sums = [_plus(total, more) for total, more in zip(sums, (*more_tokens, *more_usd), strict=True)]
    data = clusters or (counted, squares, values, counted)
    return _tally(outcomes, (values, squares, fractional), data, used, sums)


class Counter:
    """A tally of single rows of `statements.USED`, in task order; keeps those of a selection."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._outcomes: dict[str, int] = {}
        self._values = self._squares = 0.0
        self._fractional = 0
        self._used = [0] * 5
        self._sums: list[float | None] = [0, 0, 0.0, 0.0]
        self._data = [0.0] * 4
        self._datum, self._total, self._repeats = -1, 0.0, 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Count these rows."""
        for row in rows:
            if (row[0], row[1]) not in self._selection:
                continue
            outcome, score = row[2], row[3] or 0.0
            self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
            if outcome in _COUNTED:
                if row[0] != self._datum:
                    self._end_datum()
                    self._datum = row[0]
                self._total += score
                self._repeats += 1
                self._values += score
                self._squares += score * score
                self._fractional += 0 < score < 1
            self._used = [total + more for total, more in zip(self._used, row[4:9], strict=True)]
            self._sums = [_plus(total, more) for total, more in zip(self._sums, row[9:13], strict=True)]

    def result(self) -> Tally:
        """The counts so far."""
        self._end_datum()
        outcomes = {Outcome(name): n for name, n in self._outcomes.items()}
        points = (self._values, self._squares, self._fractional)
        return _tally(outcomes, points, self._data, self._used, self._sums)

    def _end_datum(self) -> None:
        if self._repeats:
            total, n = self._total, self._repeats
            added = (1, total * total, total * n, n * n)
            self._data = [old + more for old, more in zip(self._data, added, strict=True)]
        self._total, self._repeats = 0.0, 0


def _plus(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more


def _tally(
    outcomes: dict[Outcome, int],
    points: tuple[float, float, int],
    data: Sequence[Any],
    used: Sequence[int],
    sums: Sequence[float | None],
) -> Tally:
    read, written, cost_usd, uncached_cost_usd = sums
    return Tally(
        outcomes=outcomes,
        values=points[0],
        squares=points[1],
        fractional=points[2],
        clusters=int(data[0]),
        cluster_square=float(data[1] or 0),
        cluster_cross=float(data[2] or 0),
        cluster_count_square=float(data[3] or 0),
        cut=used[0],
        detailed=used[1],
        requests=used[2],
        cached_calls=used[3],
        calls=used[4],
        input_tokens=None if read is None else int(read),
        output_tokens=None if written is None else int(written),
        cost_usd=cost_usd,
        uncached_cost_usd=uncached_cost_usd,
    )
