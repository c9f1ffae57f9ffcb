"""The tables of an HTML text as rows of text: a header, then the body."""

from __future__ import annotations

import re
from html.parser import HTMLParser

SPACES = re.compile(r"[\r\n]+|\s{2,}")
SPAN = 100
"""The widest cell that is believed."""


class Tables(HTMLParser):
    """Reads tables; `tables` holds `(header, body)` of each, cells as text without white space around it.

    Source: what `pandas.read_html` takes as header and cells.
    Differs: one row of header; cells over several rows stand in the first only.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[tuple[list[str], list[list[str]]]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._span = 1
        self._in_head = False
        self._only_headers = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell; what is open and cannot hold it ends."""
        if tag == "table":
            self.tables.append(([], []))
        elif tag in ("thead", "tbody", "tfoot"):
            self._end_row()
            self._in_head = tag == "thead"
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
        elif tag in ("tr", "thead", "tbody", "table"):
            self._end_row()
            self._in_head = self._in_head and tag == "tr"

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
        header, body = self.tables[-1]
        if not header and not body and (self._in_head or self._only_headers):
            header += row
        else:
            body.append(row)


def read_tables(text: str) -> list[tuple[list[str], list[list[str]]]]:
    """`(header, body)` of each table in the text that has cells; rows of a table are as long as its longest."""
    parser = Tables()
    parser.feed(text)
    parser.close()
    found = []
    for header, body in parser.tables:
        width = max((len(row) for row in (header, *body)), default=0)
        if width:
            found.append((header and _padded(header, width), [_padded(row, width) for row in body]))
    return found


def _padded(row: list[str], width: int) -> list[str]:
    return row + [""] * (width - len(row))
