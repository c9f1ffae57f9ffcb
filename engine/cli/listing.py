"""Lists for people and for programs: a table on a terminal, lines with tabs off one; no text of theirs acts on it."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import Any

from engine.evaluations.cells import joins_emoji

ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Categories of characters that steer a terminal, turn text around or cannot be seen."""
GAP = "  "
LEAST, LEAST_CUT = 6, 16
"""Cells that a column keeps where nothing else fits, and below which one is rather left out than cut."""
SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    r"""The text in one line, with what would act on a terminal shown as `\x1b`."""
    line = SPACE.sub(" ", text).strip()
    return "".join(each if joins_emoji(line, place) else _escaped(each) for place, each in enumerate(line))


def plain_json(value: Any) -> str:
    """The value as JSON that a terminal can show, whatever texts are in it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(each if each == "\n" or not _acts(each) else _json_escape(each) for each in text)


def print_listing(
    rows: Sequence[Mapping[str, str]],
    columns: Mapping[str, int],
    *,
    more: bool = False,
    whole: Collection[str] = (),
) -> None:
    """Print rows by column name; a terminal gets a table whose columns are wrapped at these widths.

    Args:
        rows: the texts, by column; they may be anybody's.
        columns: the columns in their order, with the width at which they are wrapped.
        more: whether there are further rows that are not shown.
        whole: with these, a row is one line: others are cut or left out where the terminal has no room for them.
    """
    cells = [[plain(row[name]) for name in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in ([*columns], *cells):
            print("\t".join(line))
        return
    if whole:
        _print_lines([[*columns], *cells, *([["..." for _ in columns]] if more else [])], whole)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SQUARE, show_lines=True, header_style="")
    for name in columns:
        table.add_column(name, overflow="fold")
    for line in cells if not more else [*cells, ["..." for _ in columns]]:
        wrapped = (fill(cell, width) for cell, width in zip(line, columns.values(), strict=True))
        table.add_row(*(Text(cell) for cell in wrapped))
    Console().print(table)


def _print_lines(lines: Sequence[Sequence[str]], whole: Collection[str]) -> None:
    """Print a head and rows as wide as the terminal; a column without any text is left out."""
    from rich.cells import cell_len, set_cell_size

    head = lines[0]
    natural = {
        texts[0]: max(map(cell_len, texts))
        for texts in zip(*lines, strict=True)
        if any(each not in ("", "...") for each in texts[1:])
    }
    widths = widths_that_fit(natural, whole, limit=get_terminal_size().columns)
    for line in lines:
        cut = (
            set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
            for text, width in ((line[head.index(name)], width) for name, width in widths.items())
        )
        print(GAP.join(cut).rstrip())
    left_out = [name for name in natural if name not in widths]
    if left_out:
        print(f"{', '.join(left_out)} left out: a wider terminal has room, and --format json has all", file=sys.stderr)


def widths_that_fit(natural: Mapping[str, int], whole: Collection[str], *, limit: int) -> dict[str, int]:
    """Widths of the columns that a line of `limit` cells has room for, in their order.

    Those of `whole` are there in any case, and lose width, the widest first, only where they alone are too wide.
    """
    widths = {name: width for name, width in natural.items() if name in whole}
    while _total(widths) > limit and max(widths.values()) > LEAST:
        widths[max(widths, key=lambda name: widths[name])] -= 1
    for name, width in natural.items():
        if name not in widths and _total({**widths, name: min(width, LEAST_CUT)}) <= limit:
            widths[name] = min(width, LEAST_CUT)
    for name, width in natural.items():
        if name in widths and name not in whole:
            widths[name] = min(width, widths[name] + limit - _total(widths))
    return {name: widths[name] for name in natural if name in widths}


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(GAP) * max(0, len(widths) - 1)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode() if _acts(character) else character


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _acts(character: str) -> bool:
    return unicodedata.category(character) in ACTING
