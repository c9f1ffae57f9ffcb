r"""LiveBench `olympiad`: the formulae of a proof in their order, as a list of numbers.

Source: `livebench/process_results/math/olympiad/utils.py`.
"""

from __future__ import annotations

from itertools import groupby

from engine.errors import SolverError
from engine.scoring.livebench.extraction import edits, last_boxed

MARKER = "answer:"
MARKS = ("$", "{", "}", "\\", "boxed", "<", ">")
UNREAD = None
"""In the place of a part that is no number."""
Numbers = list[int | None]


def score(reply: str, truth: str) -> float:
    """1 less the edit distance of the two lists over the length of the longer.

    Raises:
        SolverError: the reference answer is no list of numbers.
    """
    try:
        wanted = [int(number) for number in truth.split(",")]
    except ValueError as error:
        raise SolverError(f"olympiad: the reference answer is {truth!r:.80}", hint="it is numbers") from error
    given = answer(reply)
    return 1 - edits(given, wanted) / max(len(given), len(wanted))


def answer(reply: str) -> Numbers:
    """The numbers behind the last `Answer:`; else in the box; else in the last line; else behind the last marker."""
    return _marked(reply) or _boxed(reply) or _last_line(reply) or _leading(reply)


def _marked(reply: str) -> Numbers:
    lines = reply.lower().strip().split("\n")
    places = [at for at, line in enumerate(lines) if MARKER in line]
    if not places:
        return []
    rest = _bare(lines[places[-1]].split(MARKER)[1])
    if not rest and places[-1] < len(lines) - 1:
        rest = _bare(lines[places[-1] + 1].replace(MARKER, ""))
    parts = []
    for part in rest.split(","):
        word = part.strip().split(" ")[-1]
        for mark in MARKS:
            word = word.replace(mark, "")
        parts.append(word)
    return _numbers(parts)


def _boxed(reply: str) -> Numbers:
    if "\\boxed" not in reply:
        return []
    inner = last_boxed(reply)
    text = reply if inner is None else inner
    return _numbers(text.replace("\\text{", "").replace("}", "").replace("\\", "").strip().split(","))


def _last_line(reply: str) -> Numbers:
    line = reply.strip().lower().rsplit("\n", 1)[-1]
    return _numbers([digits for part in line.split(",") if (digits := _digits(part))])


def _leading(reply: str) -> Numbers:
    """Numbers up to the first part, but the very first, that is not a number alone."""
    found: Numbers = []
    for at, part in enumerate(reply.lower().split(MARKER)[-1].split(",")):
        digits = _digits(part)
        if digits and (number := _number(digits)) is not UNREAD:
            found.append(number)
        if at and digits != part.strip():
            break
    return found


def _digits(part: str) -> str:
    """The first digits of the part, raised and lowered ones too, which are no number; empty where it has none."""
    groups = groupby(part, str.isdigit)
    return next(("".join(characters) for are_digits, characters in groups if are_digits), "")


def _numbers(parts: list[str]) -> Numbers:
    """The parts as numbers; empty where none of them is one."""
    numbers = [_number(part) for part in parts]
    return numbers if any(number is not UNREAD for number in numbers) else []


def _number(part: str) -> int | None:
    try:
        return int(part)
    except ValueError:
        return UNREAD


def _bare(text: str) -> str:
    return text.replace("**", "").replace(".", "").strip()
