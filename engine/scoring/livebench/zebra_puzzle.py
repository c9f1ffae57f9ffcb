"""LiveBench `zebra_puzzle`: who owns what; one word before release 2024-11-25, a list since.

Source: `livebench/process_results/reasoning/zebra_puzzle/utils.py`.
"""

from __future__ import annotations

import re

from engine.scoring.livebench.extraction import boxed_words, solutions

BOLD_WORD = re.compile(r"\*\*\*(\w+)\*\*\*")
WORD = re.compile(r"\b\w+\b")
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUMBERS = {str(number): word for number, word in enumerate(WORDS, start=1)}


def score(reply: str, truth: str) -> float:
    """The mean of the share of right answers and of whether all are right; a right answer may have words around it."""
    wanted = truth.split(",")
    given = answer(reply, len(wanted))
    right = sum(_plain(want) in _plain(have).replace("position", "") for want, have in zip(wanted, given, strict=False))
    return ((right == len(wanted)) + right / len(wanted)) / 2


def answer(reply: str, count: int) -> list[str]:
    """The `<solution>`, or the last `count` answers of several; else the box; else a last line with `count` answers."""
    found = solutions(reply)
    if not found and (boxed := boxed_words(reply.replace("\\\\fbox{", "\\\\boxed{"))) is not None:
        found = [boxed]
    if not found:
        line = reply.strip().rsplit("\n", 1)[-1]
        found = [line] if line.count(",") == count - 1 else []
    answers = [each for piece in found for each in piece.split(",")]
    return answers[-count:] if len(found) > 1 else answers


def score_old(reply: str, truth: str) -> float:
    """1 where the last word in bold italics, or else the last word, is the answer; digits count as words."""
    words = BOLD_WORD.findall(reply) or WORD.findall(reply)
    word = words[-1] if words else ""
    wanted = truth.lower()
    return float(wanted in (word.lower(), NUMBERS.get(word), f"{word.lower()} movies"))


def _plain(answer_: str) -> str:
    return answer_.strip().lower().replace("-", " ")
