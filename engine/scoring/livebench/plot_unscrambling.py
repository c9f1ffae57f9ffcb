"""LiveBench `plot_unscrambling`: the sentences of a plot in their order.

Source: `livebench/process_results/writing/plot_unscrambling/utils.py`.
"""

from __future__ import annotations

import difflib
import re

from engine.errors import SolverError
from engine.scoring.livebench.extraction import edits

SUMMARY = (
    re.compile(r"<PLOT_SUMMARY>(.*)</PLOT_SUMMARY>", re.DOTALL),
    re.compile(r"<PLOT_SUMMARY>(.*)", re.DOTALL),
)
ENDS = ("", "</PLOT_SUMMARY>", "**End of Plot Summary**")


def score(reply: str, truth: str) -> float:
    """1 less the edit distance of the order over the number of sentences; each is found by its nearest in the reply.

    Raises:
        SolverError: the reference answer has no sentence.
    """
    wanted = _sentences(truth)
    if not wanted:
        raise SolverError("plot_unscrambling: the reference answer is empty", hint="it is sentences")
    given = _sentences(answer(reply))
    nearest = [difflib.get_close_matches(sentence, given, n=1, cutoff=0.0) for sentence in wanted]
    order = [given.index(match[0]) for match in nearest if match]
    return max(0.0, 1 - edits(order, list(range(len(wanted)))) / len(wanted))


def answer(reply: str) -> str:
    """What stands in, or behind, the summary's tag; else all of the reply."""
    for pattern in SUMMARY:
        if match := pattern.search(reply):
            return match[1]
    return reply


def _sentences(text: str) -> list[str]:
    return [piece.strip() for piece in text.split(".") if piece.strip() not in ENDS]
