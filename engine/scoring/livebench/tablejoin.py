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
from engine.scoring.livebench.extraction import CLOSING, last_boxed

SOLUTION = re.compile(r"<solution>(.*?)</solution>", re.DOTALL)
FENCED = (re.compile("```python(.*?)```"), re.compile("```json(.*?)```"), re.compile("```(.*?)```"))
QUOTED = re.compile(r"\\text{['|\"](.*?)['|\"]}")
UNREAD = object()
"""In the place of what cannot be read."""


def score(reply: str, truth: str | Mapping[str, Any]) -> float:
    """F1 of the pairs in the reply's dictionary, rounded to two decimals; 0 where there is none.

    A pair that is wrong for a column of the truth counts as one too many and as one missing.

    Raises:
        SolverError: the reference answer is no dictionary.
    """
    wanted = truth if isinstance(truth, Mapping) else _value(truth)
    if not isinstance(wanted, Mapping):
        raise SolverError(f"tablejoin: the reference answer is {truth!r:.80}", hint="it is a dictionary as text")
    given = read_pairs(reply)
    if not given:
        return 0.0
    right = sum(1 for column, other in given.items() if wanted.get(column) and wanted[column] == other)
    wrong = sum(1 for column, other in given.items() if wanted.get(column) and wanted[column] != other)
    surplus = len(given) - right - wrong
    missing = sum(1 for column in wanted if not given.get(column))
    return round(100 * (2 * right / (2 * right + wrong + surplus + wrong + missing))) / 100


def read_pairs(reply: str) -> dict[Any, Any]:
    """The dictionary that the reply's solution, or all of the reply, is; else the one that a part of it is.

    The part is the last fenced block, else the box. A column without a partner, `None` or `null`, is no pair.
    """
    while found := SOLUTION.findall(reply) if CLOSING in reply else []:
        reply = found[-1].strip()
    pairs = _value(reply)
    if pairs is UNREAD:
        pairs = _value(_part(reply).replace("null", "None"))
    return {column: other for column, other in pairs.items() if other is not None} if isinstance(pairs, dict) else {}


def _part(reply: str) -> str:
    line = reply.replace("\n", "")
    for fence in FENCED:
        if blocks := fence.findall(line):
            return str(blocks[-1])
    boxed = last_boxed(line) if "\\boxed" in reply else None
    return reply if boxed is None else QUOTED.sub(r"'\1'", boxed).replace("\\", "")


def _value(text: str) -> Any:
    """The Python literal that the text is; `UNREAD` where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return UNREAD
