r"""The number that a reply gives as its answer.

Numbers are exact decimals from the first digit to the comparison; a float never comes in.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from decimal import Context, Decimal
from functools import lru_cache

from engine.errors import SolverError
from engine.scoring.verdict import UNREAD, Verdict

VERSION = 2
PHRASES = ("answer is", "answer would be")
LABELS = ("Answer", "Final answer", "A")
LOOK_AHEAD = 400
"""Characters after a marker in which its number must stand."""
MARKERS = 8
"""Of phrases and of labels, how many are looked at, the last ones: one may be said without a number."""

TAIL = 100_000
"""Characters at the end of a reply in which a number without a marker is looked for."""

MINUS = "-\N{MINUS SIGN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}"
SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
CURRENCY = "$€£¥₹"
DIGITS = (
    rf"(?:\d{{1,3}}(?:,\d{{3}})+(?![\d])|\d{{1,3}}(?:[{SPACES}]\d{{3}})+(?!\d)|\d+)"
    r"(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?!\w))?"
)
NUMBER = re.compile(
    rf"(?<![^\W_])(?<!\d\.)(?P<sign>(?<![\w)\]}}.])[{MINUS}+])?(?:[{CURRENCY}][{MINUS}]?)?"
    rf"(?:(?P<whole>\d{{1,6}})[ ](?=\d{{1,6}}/[1-9]))?(?P<digits>{DIGITS}|(?<!\d)\.\d+)"
    rf"(?:/(?P<below>\d+)(?![\d/]|\.\d))?(?P<power>[ ]?[\u00d7x*][ ]?10\^\{{?[{MINUS}+]?\d{{1,3}}\}}?)?"
)
NOISE = re.compile(rf"[\s*_`'\"\\()\[\]{{}}:=≈~{CURRENCY}]*")
HASHES = re.compile(rf"####[ \t]*(?P<rest>[*{CURRENCY}{MINUS}.]*\d[^\n]*)")
LISTED = re.compile(r"\d+[.):][ \t]+\S")
SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d/])")
LATEX = re.compile(
    r"\\[dt]?frac\{(?P<above>[^{}\n]{1,80})\}\{(?P<below>[^{}\n]{1,80})\}"
    r"|\\(?:text|textbf|mathrm|mathbf|mbox)\{(?P<words>[^{}\n]{0,200})\}|\\times(?![a-z])|\\[!;: ]|\\,|\{,\}|\\([$%])"
)
QUOTIENT = Context(prec=50)
UNITS = re.compile(rf"[ \t]?[%°a-zA-Z²³./ {CURRENCY}]{{0,60}}\Z")


def extract_number(
    text: str, *, phrases: tuple[str, ...] = PHRASES, labels: tuple[str, ...] = LABELS
) -> Decimal | None:
    r"""The number that the reply gives as its answer; None where it holds no number.

    By priority: the first `#### N` (a numbered Markdown heading is none), the last `\boxed{N}`, the last
    phrase with a number behind it ("the answer is N"), the last line that is a label and one number
    ("Answer: N", "A: N"), the last number of all. Behind a marker the number may come after an equation
    ("16 - 7 = 9") and in Markdown or LaTeX; `1,234`, `$5`, `50%`, `3/4`, `1.5e3` and a Unicode minus are read.

    Args:
        text: the reply.
        phrases: what may stand before the answer, in any case; another language's, for example.
        labels: what may stand before a colon at the beginning of the answer's line, in any case.

    Source: GSM8K (Cobbe et al. 2021, arXiv 2110.14168), `grade_school_math/dataset.py`: the first
        `#### N`, commas removed; "the answer is N" is from Wei et al. 2022, arXiv 2201.11903.
    Differs: upstream compares text, so that 18.00 is not 18, and reads nothing without `####`.
    """
    marked = extract_marked(text, phrases=phrases, labels=labels)
    return _last_number(text) if marked is None else marked


def extract_marked(
    text: str, *, phrases: tuple[str, ...] = PHRASES, labels: tuple[str, ...] = LABELS
) -> Decimal | None:
    """The same, but None where the number has no marker: for replies that were cut before their end."""
    if (hashed := _after_hashes(text)) is not None:
        return hashed
    for segment in _marked(text, phrases, labels):
        if (value := _first_number(segment)) is not None:
            return value
    return None


def parse_number(text: str) -> Decimal | None:
    """The number that the whole text is, a currency sign or a unit allowed; None where it is something else."""
    cleaned = _plain(text).strip()
    match = NUMBER.match(cleaned)
    return _value(match) if match and UNITS.match(cleaned, match.end()) else None


def same_number(given: Decimal | None, wanted: Decimal | None) -> bool:
    """Whether both are numbers and exactly equal: 18.00 is 18, and 0.33 is not 1/3."""
    return given is not None and wanted is not None and given == wanted


def gold_number(text: str) -> Decimal | None:
    """The number of a reference answer: what follows its last `####`, or all of it; None where that is none.

    Source: GSM8K, whose reference answers are a rationale, `#### ` and the number, with commas.
    """
    return parse_number(text.rpartition("####")[2])


def show_number(value: Decimal) -> str:
    """The number as people write it: no exponent, no zeros at the end of its decimals."""
    shown = f"{value:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def judge(text: str, target: str) -> Verdict:
    """1 where the reply's answer is the target as a number.

    Raises:
        SolverError: the target is no number.
    """
    wanted = gold_number(target)
    if wanted is None:
        raise SolverError(f"scorer 'number': the target is {target!r}", hint="a target is a number, as 18 or #### 18")
    given = extract_number(text)
    return UNREAD if given is None else Verdict(float(given == wanted), answer=show_number(given))


def _after_hashes(text: str) -> Decimal | None:
    for match in HASHES.finditer(text):
        rest = match["rest"].lstrip("*")
        if LISTED.match(rest):
            continue
        number = re.match(rf"[{CURRENCY}]*([{MINUS}]?)[{CURRENCY}]*([\d.,]+)", rest)
        digits = number[2].replace(",", "").rstrip(".") if number else ""
        if number and digits.count(".") <= 1 and digits.strip("."):
            return Decimal(f"{'-' if number[1] else ''}{digits}")
    return None


def _marked(text: str, phrases: tuple[str, ...], labels: tuple[str, ...]) -> Iterator[str]:
    """What stands behind markers, the most telling first."""
    boxed = _last_boxed(text)
    if boxed is not None:
        yield boxed
    phrase, label = _markers(phrases, labels)
    for at in _last_ends(phrase, text):
        yield _line_from(text, at)
    for at in _last_ends(label, text):
        line = _line_from(text, at).partition(" (")[0]  # what is added in brackets is no part of the answer
        if "=" in line or len(NUMBER.findall(_grouped(_plain(line)))) == 1:
            yield line


def _last_ends(marker: re.Pattern[str], text: str) -> list[int]:
    ends = deque((match.end() for match in marker.finditer(text)), maxlen=MARKERS)
    return list(reversed(ends))


def _line_from(text: str, at: int) -> str:
    """The rest of the line, or the next one where nothing is left but marks."""
    start = NOISE.match(text, at, at + LOOK_AHEAD)
    begin = start.end() if start else at
    end = text.find("\n", begin, begin + LOOK_AHEAD)
    return text[at : end if end >= 0 else begin + LOOK_AHEAD]


def _last_boxed(text: str) -> str | None:
    at = text.rfind("\\boxed{")
    if at < 0:
        return None
    begin, depth = at + len("\\boxed{"), 1
    for end in range(begin, min(len(text), begin + LOOK_AHEAD)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[begin:end]
    return None


def _first_number(segment: str) -> Decimal | None:
    """The number that the segment begins with, marks aside; behind the last `=` where it is an equation."""
    plain = _grouped(_plain(segment))
    start = plain.rfind("=") + 1
    begun = NOISE.match(plain, start)
    at = begun.end() if begun else start
    while at > start and plain[at - 1] in CURRENCY + MINUS:
        at -= 1
    match = NUMBER.match(plain, at)
    return _value(match) if match else None


def _last_number(text: str) -> Decimal | None:
    last = None
    for last in NUMBER.finditer(_plain(text[-TAIL:])):  # noqa: B007 - the last one is wanted
        pass
    return _value(last) if last else None


def _grouped(segment: str) -> str:
    """The answer with 10 000 as one number; in running text two numbers may stand side by side."""
    return SPACED.sub(lambda match: match[0].replace(" ", "\N{THIN SPACE}"), segment)


def _plain(text: str) -> str:
    return LATEX.sub(_unlatex, text) if "\\" in text or "{,}" in text else text


def _unlatex(match: re.Match[str]) -> str:
    if match["above"] is not None:
        return f"{match['above'].strip()}/{match['below'].strip()}"
    if match["words"] is not None:
        return f" {match['words'].strip()}"
    if match[0] == "\\times":
        return "\N{MULTIPLICATION SIGN}"
    return {"\\,": "\N{THIN SPACE}", "{,}": ","}.get(match[0], match[4] or "")


def _value(match: re.Match[str]) -> Decimal | None:
    digits = re.sub(rf"[,{SPACES}]", "", match["digits"])
    value = Decimal(digits)
    if match["below"]:
        below = Decimal(match["below"])
        if not below:
            return None
        value = QUOTIENT.add(Decimal(match["whole"] or 0), QUOTIENT.divide(value, below))
    if match["power"]:
        exponent = match["power"].partition("^")[2].strip("{}")
        sign, figures, shift = value.as_tuple()
        value = Decimal((sign, figures, int(shift) + int(re.sub(rf"[{MINUS}]", "-", exponent))))
    negative = any(mark in MINUS for mark in match[0][: match.start("digits") - match.start()])
    return value.copy_negate() if negative else value


@lru_cache(maxsize=32)
def _markers(phrases: tuple[str, ...], labels: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    said = "|".join(map(re.escape, phrases))
    label = "|".join(map(re.escape, labels))
    return (
        re.compile(rf"(?:{said})(?![^\W\d_])", re.IGNORECASE),
        re.compile(rf"^[ \t>*_#]{{0,8}}(?:{label})[*_]{{0,3}}:", re.IGNORECASE | re.MULTILINE),
    )
