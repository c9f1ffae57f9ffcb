r"""LiveBench `math_comp`: AMC and SMC (a letter, five times), AIME (three digits).

Source: `livebench/process_results/math/math_competitions/utils.py`.
"""

from __future__ import annotations

import re

from engine.errors import SolverError
from engine.scoring.livebench.extraction import boxed_words, tagged

CHOICE = re.compile(r"\\textbf{\(([A-E])\)\s?}(.*?)(?:\\qquad|\$)")
NEAR_END = 20
"""Beside the length of a choice's value, how many last characters it may stand in."""
LAST = 50


def score_choice(reply: str, truth: str, question: str) -> float:
    """1 where the letter is the solution, stands four times in a row or in the box, or its value at the end.

    Raises:
        SolverError: the reference answer is none of A to E.
    """
    if truth not in tuple("ABCDE"):
        raise SolverError(f"math_comp: the reference answer is {truth!r:.40}", hint="it is one of A to E")
    found = tagged(reply)
    if truth * 4 in reply or (found and set(found[-1]) in ({truth}, {truth.lower()})):
        return 1.0
    boxed = boxed_words(reply.replace("\\\\fbox{", "\\\\boxed{"))
    if boxed is not None and boxed.lower() == truth.lower():
        return 1.0
    value = _value(question, truth)
    return float(value in reply[-(NEAR_END + len(value)) :])


def score_number(reply: str, truth: str) -> float:
    """1 where the number stands in the last fifty characters."""
    return float(truth in reply[-LAST:])


def _value(question: str, letter: str) -> str:
    """What the question says behind this letter; a word that no reply ends with where it says nothing."""
    values = {choice: value.strip() for choice, value in CHOICE.findall(question)}
    return (values.get(letter) or "FAILURE").strip().strip("$").strip("~")
