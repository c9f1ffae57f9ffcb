"""The tables of an HTML text as rows of text: a header, then the body."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

SPACES = re.compile(r"[\r\n]+|\s{2,}")
SPAN = 100
"""The widest cell that is believed."""
PARTS = {"thead": 0, "tbody": 1, "": 2, "tfoot": 3}
"""The order in which a table's parts are read; rows in none of them come behind the body."""


class Row(NamedTuple):
    """A row: the part of the table that it is in, its cells, and whether all of them are headers."""

    part: str
    cells: list[str]
    only_headers: bool


class Tables(HTMLParser):
    """Reads tables; `tables` holds the rows of each with their part, cells as text without white space around it.

    Source: what `pandas.read_html` takes as header and cells.
    Differs: one row of header; cells over several rows stand in the first only.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[Row]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._span = 1
        self._part = ""
        self._only_headers = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell; what is open and cannot hold it ends."""
        if tag == "table":
            self.tables.append([])
            self._part = ""
        elif tag in PARTS:
            self._end_row()
            self._part = tag
        elif tag == "tr":
            self._end_row()
            self._row, self._only_headers = [], True
        elif tag in ("td", "th") and self._row is not None:
            self._end_cell()
            self._cell = []
            self._only_headers = self._only_headers and tag == "th"
            span = dict(attrs).get("colspan") or "1"
            self._span = min(int(span), SPAN) if span.isdecimal() else 1

    def handle_endtag(self, tag: str) -> None:
        """End a table, a row or a cell."""
        if tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "table", *PARTS):
            self._end_row()
            self._part = self._part if tag == "tr" else ""

    def handle_data(self, data: str) -> None:
        """Text of the open cell."""
        if self._cell is not None:
            self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            self._row += [SPACES.sub(" ", "".join(self._cell).strip())] * self._span
        self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        row, self._row = self._row, None
        if not row or not self.tables:
            return
        self.tables[-1].append(Row(self._part, row, self._only_headers))


def read_tables(text: str) -> list[tuple[list[str], list[list[str]]]]:
    """`(header, body)` of each table in the text that has cells; rows of a table are as long as its longest."""
    parser = Tables()
    parser.feed(text)
    parser.close()
    found = []
    for rows in parser.tables:
        rows.sort(key=lambda row: PARTS[row.part])
        first = rows[0] if rows else Row("", [], only_headers=False)
        header = first.cells if first.part == "thead" or (first.only_headers and first.part != "tfoot") else []
        body = [row.cells for row in (rows[1:] if header else rows)]
        width = max((len(row) for row in (header, *body)), default=0)
        if width:
            found.append((header and _padded(header, width), [_padded(row, width) for row in body]))
    return found


def _padded(row: list[str], width: int) -> list[str]:
    return row + [""] * (width - len(row))
