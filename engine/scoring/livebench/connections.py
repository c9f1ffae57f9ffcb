"""LiveBench `connections`: words in groups of four; in bold before release 2024-11-25, in tags since.

Source: `livebench/process_results/writing/connections/utils.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.scoring.livebench.extraction import BOLD, boxed_words, solutions, tagged

GROUP = 4


def score(reply: str, truth: str) -> float:
    """The share of groups that the reply's `<solution>`, or its box, has too."""
    wanted = _groups(truth.split(","))
    given = _groups(answer(reply, truth.count(",") + 1))
    return sum(group in wanted for group in given) / len(wanted)


def answer(reply: str, count: int) -> list[str]:
    """The words of the solution; the last `count` of several solutions; none where there is no solution."""
    line = reply.replace("\n", "")
    found = tagged(reply) or tagged(line) or solutions(reply) or solutions(line)
    if not found and "\\boxed" in reply:
        boxed = boxed_words(reply)
        found = [] if boxed is None else [boxed]
    words = [word for piece in found for word in piece.replace("\n", "").split(",")]
    return words[-count:] if len(found) > 1 else words


def score_old(reply: str, truth: str) -> float:
    """The largest share of groups that one piece in bold has."""
    wanted = _groups(truth.split(","))
    pieces = [_groups(piece.split(",")) for piece in BOLD.findall(reply.replace("\n", ""))]
    return max((sum(any(w <= g for g in piece) for w in wanted) / len(wanted) for piece in pieces), default=0.0)


def _groups(words: Sequence[str]) -> list[set[str]]:
    """Sets of four words each, in order; a word that is there already does not fill its group."""
    groups: list[set[str]] = [set()]
    for word in words:
        if len(groups[-1]) == GROUP:
            groups.append(set())
        groups[-1].add(word.strip().lower())
    return groups
