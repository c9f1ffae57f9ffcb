"""Figures as text for people, and text as cells that harm nobody."""

from __future__ import annotations

import re
import unicodedata

from engine.evaluations.evaluation import COUNT, FRACTION, SECONDS, TOKENS, USD, Metric
from engine.evaluations.table import Cell, Row

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
JOINER, PICTURE = "\u200d", "\ufe0f"
"""What joins two emoji, and what says that a letter is to be drawn as one."""
JOINED_TO = frozenset({PICTURE, *map(chr, range(0x1F3FB, 0x1F400))})
"""What may stand between an emoji and its joiner: that mark, and colours of skin."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
SMALLEST_USD = 0.01


def plain(text: str) -> str:
    """The text on one line, with what a terminal would obey written out; emoji that are one picture stay one."""
    return CONTROL.sub(lambda found: found[0] if joins_emoji(text, found.start()) else repr(found[0])[1:-1], text)


def joins_emoji(text: str, place: int) -> bool:
    """Whether a joiner stands there between two emoji: it makes one picture of them, and elsewhere cannot be seen."""
    if text[place] != JOINER or not 0 < place < len(text) - 1:
        return False
    before, after = text[place - 1], text[place + 1]
    return (before in JOINED_TO or unicodedata.category(before) == "So") and unicodedata.category(after) == "So"


def csv_cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula.

    Source: OWASP, "CSV Injection": an apostrophe before = + - @ tab and carriage return.
    """
    safe = "'" + text if text.startswith(FORMULA) else text
    return plain(safe)


def width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    if text.isascii():
        return len(text)
    taken, before = 0, ""
    for letter in text:
        if letter == PICTURE:
            taken += taken > 0 and unicodedata.east_asian_width(before) not in "WF"
        elif JOINER not in (before, letter) and not (before and letter in JOINED_TO):
            nothing = unicodedata.category(letter) in ("Mn", "Me")
            taken += 0 if nothing else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        before = letter
    return taken


def shortened(name: str, longest: int) -> str:
    """A long metric name with its middle left out: a third of what is kept from its start, the rest from its end."""
    if len(name) <= longest:
        return name
    keep = max(longest - 2, 2)
    return f"{name[: keep // 3]}..{name[-(keep - keep // 3) :]}"


def figure(value: float | None, unit: str) -> str:
    """A value as a person reads it: percent with two decimals, dollars, seconds, whole tokens."""
    if value is None:
        return "–"
    if unit == FRACTION:
        return f"{100 * value:.2f}"
    if unit == USD:
        return f"${value:.2f}" if value == 0 or value >= SMALLEST_USD else f"${value:.6f}"
    if unit == SECONDS:
        return f"{value:.2f} s"
    if unit in (TOKENS, COUNT):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def with_doubt(metric: Metric, lost: int) -> str:
    """The figure with its interval, its n, and how many tasks were lost: `84.10 [82.03, 85.97] n=1317 lost=2`."""
    parts = [figure(metric.value, metric.unit)]
    if metric.ci_low is not None and metric.ci_high is not None:
        parts.append(f"[{figure(metric.ci_low, metric.unit)}, {figure(metric.ci_high, metric.unit)}]")
    if metric.n is not None and metric.unit != COUNT:
        parts.append(f"n={metric.n}")
    if lost:
        parts.append(f"lost={lost}")
    return " ".join(parts)


def cell_text(cell: Cell | None) -> str:
    """A cell of the table; empty where there is no such metric. Partial runs are marked."""
    if cell is None:
        return ""
    partial = " partial" if cell.evaluation.details.get("partial") else ""
    return with_doubt(cell.metric, cell.evaluation.lost) + partial


def column_text(row: Row, name: str) -> str:
    """What stands in a column of a row, metric or not."""
    cell = row.cells.get(name)
    return cell_text(cell) if cell is not None else plain(row.shown(name))
