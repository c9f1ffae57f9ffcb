"""What a model says when it is asked to judge: verdicts from a menu, votes of several judges, pairs in both orders.

Pure functions; who asks, and whom, is the solver's affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from engine.errors import SolverError
from engine.scoring.metrics import majority

VERSION = 1
TAIL = 4000
"""Characters at the end of a judge's reply in which its verdict is looked for."""


def read_verdict(text: str, menu: Mapping[str, str]) -> str | None:
    """The last verdict in a judge's reply; None where it says nothing that is on the menu.

    Words are matched whole and as they are written on the menu, longer ones first, so that NOT_ATTEMPTED and
    INCORRECT are never read as parts of each other. A word of one letter counts only where it stands on a line of its
    own, marks aside, or after a colon or "is": the A of a sentence is no verdict.

    Args:
        text: the judge's reply.
        menu: what may be said, to the verdict that it means, as `{"A": "correct", "CORRECT": "correct"}`.
    """
    found = None
    for match in _words(tuple(sorted(menu, key=len, reverse=True))).finditer(text[-TAIL:]):
        found = match
    return menu[next(group for group in found.groups() if group)] if found else None


def vote(verdicts: Sequence[str | None]) -> str | None:
    """The verdict of most judges; None where no verdict has more votes than each other one. None abstains."""
    chosen = majority(verdicts)
    if chosen is None:
        return None
    winner = verdicts[chosen]
    votes = {verdict: verdicts.count(verdict) for verdict in verdicts if verdict is not None}
    return winner if list(votes.values()).count(verdicts.count(winner)) == 1 else None


def pair_verdict(first: str | None, swapped: str | None) -> str | None:
    """Which of two answers is better, `a`, `b` or `tie`, by a judge that saw them in both orders.

    Args:
        first: the verdict where `a` came first: `first`, `second` or `tie`.
        swapped: the verdict where `b` came first.

    Returns None where one of them could not be read; a judge that follows the position gives `tie`.

    Source: Zheng et al. 2023, arXiv 2306.05685, section 3.4.
    """
    meaning = {"first": ("a", "b"), "second": ("b", "a"), "tie": ("tie", "tie")}
    for said in (first, swapped):
        if said is not None and said not in meaning:
            raise SolverError(f"a judge's verdict on a pair is {said!r}", hint="it is first, second or tie")
    if first is None or swapped is None:
        return None
    one, other = meaning[first][0], meaning[swapped][1]
    return one if one == other else "tie"


@lru_cache(maxsize=64)
def _words(words: tuple[str, ...]) -> re.Pattern[str]:
    many = "|".join(re.escape(word) for word in words if len(word) > 1) or r"(?!)"
    single = "|".join(re.escape(word) for word in words if len(word) == 1) or r"(?!)"
    marks = r"[ \t*_\"'`(\[]*"
    ends = r"[ \t*_\"'`)\].]*"
    return re.compile(
        rf"(?<![\w-])({many})(?![\w-])|(?:^{marks}|(?::|\bis){marks})({single})(?={ends}(?:$|:[ \t]))", re.MULTILINE
    )
