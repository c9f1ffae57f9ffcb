"""JSON Lines: an object per line; blank lines are skipped, and unwanted lines are never parsed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.data.content import BOM, not_utf8, open_content
from engine.data.json_text import BrokenJsonError, beginning, decode
from engine.data.rows import Row, Seen, Summary, Wanted
from engine.errors import DatasetError

BLANK = BOM + b" \t\r\n"
ROWS_PER_MARK = 1024


class Lines:
    """`.jsonl` and `.ndjson`; marks are the byte offsets of every 1024th row."""

    name = "jsonl"

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(line number, row)` for every line that is not blank."""
        offset = rows = 0
        with open_content(path) as stream:
            for number, raw in enumerate(stream, 1):
                seen.digest.update(raw)
                if body := raw.strip(BLANK):
                    if rows % ROWS_PER_MARK == 0:
                        seen.marks.append(offset)
                    rows += 1
                    yield number, _row(body, f"{path}:{number}")
                offset += len(raw)

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """The wanted rows; jumps over whole blocks of unwanted ones, and parses only what was asked for."""
        position = 0
        with open_content(path) as stream:
            while wanted.head is not None:
                block = wanted.head // ROWS_PER_MARK
                if block > position // ROWS_PER_MARK:
                    stream.seek(summary.marks[block])
                    position = block * ROWS_PER_MARK
                raw = stream.readline()
                if not raw:
                    raise DatasetError(f"{path}: ends before row {wanted.head}", hint="it was changed: start again")
                if not (body := raw.strip(BLANK)):
                    continue
                if position == wanted.head:
                    yield position, _row(body, f"{path} row {position}")
                    wanted.advance()
                position += 1

    def where(self, path: Path, place: int) -> str:
        """`path:LINE`."""
        return f"{path}:{place}"


def _row(body: bytes, where: str) -> Row:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(where, error) from None
    try:
        value = decode(text)
    except BrokenJsonError as error:
        at = f" at column {error.column}" if error.column else ""
        raise DatasetError(
            f"{where}: broken JSON{at}, {error.reason}: {beginning(text)}", hint="each line must be one whole object"
        ) from None
    if not isinstance(value, dict):
        raise DatasetError(
            f"{where}: is not an object but {type(value).__name__}: {beginning(text)}",
            hint="each line must be one object; a list of objects belongs into a file called .json",
        )
    return value
