r"""Whether a mathematical answer is equivalent to the reference: `\frac12` is 0.5, and (1,2) is not (2,1).

Reading a reply is cheap and happens in the run's own process. Comparing may take a computer algebra system,
which hostile input can keep busy for ever: call `same_math_apart` from a solver, it has limits.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from decimal import Decimal, InvalidOperation
from unicodedata import normalize

from engine.scoring.apart import GivenUpError, apart
from engine.scoring.verdict import UNREAD, Verdict

VERSION = 3
HEAVY = True
LONGEST = 2000
"""Characters of an answer beyond which only the same text is the same answer."""
TAIL = 20_000
"""Characters at the end of a reply in which an answer without a box is looked for."""
BOXES = 50
"""Of the boxes in a reply, how many are looked at, the last ones."""
STEP_S = 4
"""Seconds that parsing, and each comparison, may take where the library can be interrupted."""
BOX = re.compile(r"\\(?:f?boxed|fbox)\s*(?=[{\s\w])")
STATED = re.compile(r"(?i:\b(?:the|final)\s+answer(?:\s+is)?|\banswer)[\s*_]{0,8}[:=]?\s*(?::|is\b)?[\s*_]*(?=\S)")
FRACTION = "\N{FRACTION SLASH}"
BLANKS = re.compile(r"\s+|\\[,!;: ]|~")
ORDINAL = re.compile(r"\^\{?\\(?:text|mathrm)\{(?:st|nd|rd|th)\}\}?")
SAME = (
    (ORDINAL, ""),
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\\$|\$"), ""),
    (re.compile(r"\\(?:text|textbf|textrm|mbox|mathrm|mathbf)\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[dt]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\^\{?\\circ\}?|\N{DEGREE SIGN}"), ""),
    (re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset"),
    (re.compile(r"\\big(cup|cap)(?![a-zA-Z])"), r"\\\1"),
)
PERCENT = re.compile(r"\s*\\?%")
NAMED = re.compile(r"\A[A-Za-z]{1,2}=(?=[^=]+\Z)")
BASE = re.compile(r"([0-9A-Z]+)_(?:\{(\d+)\}|(\d+))")
REPEATED = re.compile(r"(\d*)\.(\d{0,20})\\overline\{(\d{1,20})\}")
ROOT = re.compile(r"\N{SQUARE ROOT}\s*(?:\(([^()]*)\)|(\w+))")
VULGAR = re.compile("[\N{VULGAR FRACTION ONE QUARTER}-\N{VULGAR FRACTION THREE QUARTERS}\u2150-\u215e]")
PLAIN = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")


def extract_math(text: str) -> str | None:
    r"""The answer as it is written in the reply; None where there is none.

    By priority: what is in the last `\boxed{...}`, what follows the last "answer is" or "Answer:" on its line,
    the last formula between dollar signs or `\(...\)`, the last number.

    Source: MATH (Hendrycks et al. 2021, arXiv 2103.03874) reads the last box; what to read where there is none is
        from the evaluation of Qwen2.5-Math (`evaluation/parser.py`).
    Differs: a formula comes before a bare number.
    """
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed.strip() or None
    tail = text[-TAIL:]
    stated = _last_stated(tail)
    if stated:
        return stated
    formulas = re.findall(r"\$([^$\n]{1,200})\$|\\\(([^\n]{1,200}?)\\\)", tail)
    if formulas:
        return (formulas[-1][0] or formulas[-1][1]).strip() or None
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", tail)
    return numbers[-1].rstrip(",") if numbers else None


def last_boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` or `\fbox{...}` whose braces match, or behind one without braces."""
    for box in reversed(deque(BOX.finditer(text), maxlen=BOXES)):
        if not text.startswith("{", box.end()):
            word = re.compile(r"\S+").match(text, box.end())
            if word:
                return word[0].rstrip("$.")
            continue
        depth = 0
        for mark in re.compile(r"[{}]").finditer(text, box.end(), box.end() + 4 * LONGEST):
            escaped = text[mark.start() - 1] == "\\"
            depth += 0 if escaped else (1 if mark[0] == "{" else -1)
            if depth == 0:
                return text[box.end() + 1 : mark.start()]
    return None


def same_text(given: str, wanted: str) -> bool | None:
    """Whether two answers are the same without any algebra; None where that does not tell.

    Two plain numbers are compared exactly, thousands separators and percent signs aside; numerals of a base have its
    digits and base alike; equal texts are equal after spacing and ways of writing have been made the same. A name
    of one or two letters before a single equals sign does not count, as in MATH's own scorer.
    """
    one, other = _written(given), _written(wanted)
    if one == other:
        return True
    bases = BASE.fullmatch(one), BASE.fullmatch(other)
    if bases[0] and bases[1]:
        return bases[0][1] == bases[1][1] and (bases[0][2] or bases[0][3]) == (bases[1][2] or bases[1][3])
    if PLAIN.fullmatch(one) and PLAIN.fullmatch(other):
        try:
            same = Decimal(one.replace(",", "")) == Decimal(other.replace(",", ""))
        except InvalidOperation:
            return None
        return None if not same and ("%" in given) != ("%" in wanted) else same
    return False if max(len(given), len(wanted)) > LONGEST else None


def same_math(given: str, wanted: str) -> bool:
    """Whether two answers are equivalent; blocks, and has no limits of its own against hostile input.

    Source: the `math-verify` library (Hugging Face), whose verdicts on MATH agree with those of the papers'
        own scorers.
    Differs: texts and plain numbers that are the same are not put to it. A percent sign does not count, as in MATH's
        own scorer; where one answer has one and the other has none, 20 % is also 0.2.
    """
    known = same_text(given, wanted)
    return _by_algebra(given, wanted) if known is None else known


async def same_math_apart(given: str, wanted: str) -> bool | None:
    """The same from a worker process, with limits of time and memory; None where it was given up."""
    known = same_text(given, wanted)
    if known is not None:
        return known
    try:
        return await apart(_by_algebra, given, wanted)
    except GivenUpError:
        return None


def judge(text: str, target: str) -> Verdict:
    """1 where the reply's answer is equivalent to the target."""
    given = extract_math(text)
    return UNREAD if given is None else Verdict(float(same_math(given, target)), answer=given)


def _by_algebra(given: str, wanted: str) -> bool:
    from math_verify import parse, verify  # type: ignore[import-untyped]

    logging.disable(logging.CRITICAL)
    try:
        for one, other in _readings(_plainer(given), _plainer(wanted)):
            gold = parse(f"\\boxed{{{other}}}", parsing_timeout=STEP_S)
            answer = parse(f"\\boxed{{{one}}}", parsing_timeout=STEP_S)
            if verify(gold, answer, timeout_seconds=STEP_S):
                return True
    except RecursionError:
        pass
    finally:
        logging.disable(logging.NOTSET)
    return False


def _readings(given: str, wanted: str) -> list[tuple[str, str]]:
    """The pairs of which one must be equal: without percent signs, and with a lone one as a hundredth."""
    one, other = PERCENT.sub("", given), PERCENT.sub("", wanted)
    if (one == given) == (other == wanted):
        return [(one, other)]
    whole, part = (one, other) if one != given else (other, one)
    return [(one, other), (part, rf"\frac{{{whole}}}{{100}}")]


def _plainer(answer: str) -> str:
    """The answer in LaTeX where it is written in characters or decimals that the library does not know."""
    answer = ORDINAL.sub("", answer)
    answer = ROOT.sub(lambda found: rf"\sqrt{{{found[1] or found[2]}}}", answer.replace("\N{DEGREE SIGN}", ""))
    answer = VULGAR.sub(lambda found: rf"\frac{{{normalize('NFKC', found[0]).replace(FRACTION, '}{')}}}", answer)
    return REPEATED.sub(_fraction, answer)


def _fraction(repeated: re.Match[str]) -> str:
    r"""`0.1\overline{6}` as a fraction."""
    whole, once, again = repeated.groups()
    above = int(f"{whole}{once}{again}") - int(f"{whole}{once}" or "0")
    return rf"\frac{{{above}}}{{{(10 ** len(again) - 1) * 10 ** len(once)}}}"


def _last_stated(tail: str) -> str | None:
    """What follows the last statement of the answer on its line, less marks around it."""
    ends = [match.end() for match in STATED.finditer(tail)]
    for end in reversed(ends):
        line = tail[end : end + LONGEST].split("\n", 1)[0].strip().strip("*_").strip()
        formula = re.match(r"(?:[\w\s]{0,40}?)(?:\$((?:\\.|[^$\\])+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\])", line)
        found = next((group for group in formula.groups() if group), "") if formula else line.rstrip(".")
        if found.strip():
            return found.strip()
    return None


def _written(answer: str) -> str:
    answer = PERCENT.sub("", answer)
    for pattern, replacement in SAME:
        answer = pattern.sub(replacement, answer)
    return NAMED.sub("", BLANKS.sub("", answer)).rstrip(".")
