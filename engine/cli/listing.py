"""Lists for people and for programs: a table on a terminal, lines with tabs off one; no text of theirs acts on it."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Categories of characters that steer a terminal, turn text around or cannot be seen."""
SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    r"""The text in one line, with what would act on a terminal shown as `\x1b`."""
    return "".join(_escaped(character) for character in SPACE.sub(" ", text).strip())


def plain_json(value: Any) -> str:
    """The value as JSON that a terminal can show, whatever texts are in it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(each if each == "\n" or not _acts(each) else _json_escape(each) for each in text)


def print_listing(rows: Sequence[Mapping[str, str]], columns: Mapping[str, int], *, more: bool = False) -> None:
    """Print rows by column name; a terminal gets a table whose columns are wrapped at these widths.

    Args:
        rows: the texts, by column; they may be anybody's.
        columns: the columns in their order, with the width at which they are wrapped.
        more: whether there are further rows that are not shown.
    """
    cells = [[plain(row[name]) for name in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in ([*columns], *cells):
            print("\t".join(line))
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


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode() if _acts(character) else character


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _acts(character: str) -> bool:
    return unicodedata.category(character) in ACTING
