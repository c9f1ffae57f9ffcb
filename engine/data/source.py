"""What a reference leads to, before a split is chosen, and the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from engine.data.rows import Rows
from engine.errors import DatasetError

SHOWN_NAMES = 20


class SplitError(DatasetError, KeyError):
    """There is no such split; also a KeyError, as indexing a Hugging Face dataset would raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Splits by name, each opened and checked when it is asked for.

    `rows` opens what is meant without a split: a file itself, a plain dataset. None where a split must be
    chosen. `metadata` is that of metadata.json.
    """

    name: str
    path: Path | None = None
    splits: Mapping[str, Callable[[], Rows]] = field(default_factory=dict)
    rows: Callable[[], Rows] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def choose(self, subset: str) -> tuple[str, Rows]:
        """The split of this name and its rows; without a name what is meant without one, or the only split.

        Raises:
            SplitError: there is no such split, or one must be chosen.
            DatasetError: the rows cannot be read.
        """
        if subset:
            return subset, self.split(subset)
        if self.rows is not None:
            return "", self.rows()
        if len(self.splits) == 1:
            only = next(iter(self.splits))
            return only, self.splits[only]()
        raise SplitError(
            f"dataset {self.name!r} has several splits: {listed(self.splits)}", hint="choose one with --subset NAME"
        )

    def split(self, name: str) -> Rows:
        """The rows of a split.

        Raises:
            SplitError: there is no such split.
            DatasetError: the rows cannot be read.
        """
        if name in self.splits:
            return self.splits[name]()
        if not self.splits:
            raise SplitError(f"dataset {self.name!r} has no splits, and so none called {name!r}", hint="leave it out")
        raise SplitError(
            f"dataset {self.name!r} has no split {name!r}, it has {listed(self.splits)}",
            hint=near(name, self.splits) or "choose one of these",
        )


def listed(names: Iterable[str]) -> str:
    """Names in a row, the first twenty of many."""
    held = list(names)
    more = f" and {len(held) - SHOWN_NAMES} more" if len(held) > SHOWN_NAMES else ""
    return ", ".join(held[:SHOWN_NAMES]) + more


def near(word: str, names: Iterable[str]) -> str:
    """`did you mean ...?` with the names that are near, empty where none is."""
    found = get_close_matches(word, list(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(name) for name in found)}?" if found else ""
