"""LiveBench `tablejoin`: which columns of two tables belong together, as a Python dictionary.

Source: `livebench/process_results/data_analysis/tablejoin/utils.py`.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import Any

from engine.errors import SolverError
from engine.scoring.livebench.extraction import last_boxed

FENCED = (re.compile("```python(.*?)```"), re.compile("```(.*?)```"))
QUOTED = re.compile(r"\\text{['|\"](.*?)['|\"]}")
FINE = 2
"""Decimals of the score."""


def score(reply: str, truth: str | Mapping[str, Any]) -> float:
    """F1 of the pairs in the reply's dictionary, rounded to two decimals; 0 where there is none.

    A pair that is wrong for a column of the truth counts as one too many and as one missing.

    Raises:
        SolverError: the reference answer is no dictionary.
    """
    wanted = truth if isinstance(truth, Mapping) else _dictionary(truth)
    if wanted is None:
        raise SolverError(f"tablejoin: the reference answer is {truth!r:.80}", hint="it is a dictionary as text")
    given = _dictionary(answer(reply))
    if not given:
        return 0.0
    right = sum(1 for column, other in given.items() if wanted.get(column) and wanted[column] == other)
    wrong = sum(1 for column, other in given.items() if wanted.get(column) and wanted[column] != other)
    surplus = len(given) - right - wrong
    missing = sum(1 for column in wanted if not given.get(column))
    return round(2 * right / (2 * right + wrong + surplus + wrong + missing), FINE)


def answer(reply: str) -> str:
    """The part of the reply that is read: its last fenced block, else its box, else all of it."""
    line = reply.replace("\n", "")
    for fence in FENCED:
        if blocks := fence.findall(line):
            return str(blocks[-1])
    boxed = last_boxed(line) if "\\boxed" in reply else None
    return reply if boxed is None else QUOTED.sub(r"'\1'", boxed).replace("\\", "")


def _dictionary(text: str) -> dict[Any, Any] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
