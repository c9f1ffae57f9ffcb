"""JSON documents: a list of objects, or an object with exactly one list of objects in it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from engine.data.content import BOM, not_utf8, read_content
from engine.data.json_text import BrokenJsonError, beginning, decode
from engine.data.rows import Row, Seen, Summary, Wanted, pick
from engine.errors import DatasetError

HINT = "write a list of objects, or one object per line in a file called .jsonl"


class Document:
    """`.json`; it can only be parsed whole, so its rows are held once they were read."""

    name = "json"

    def __init__(self) -> None:
        self._rows: list[Row] | None = None

    def scan(self, path: Path, seen: Seen) -> Iterator[tuple[int, Row]]:
        """`(index, row)` for all rows."""
        self._rows = _load(path, seen)
        yield from enumerate(self._rows)

    def read(self, path: Path, wanted: Wanted, summary: Summary) -> Iterator[tuple[int, Row]]:
        """Copies of the wanted rows, so that a solver that changes its datum changes no other."""
        del summary
        if self._rows is None:
            self._rows = _load(path, Seen())
        for index, row in pick([(0, self._rows)], wanted):
            yield index, deepcopy(row)

    def where(self, path: Path, place: int) -> str:
        """`path row INDEX`, counted from 0 as data are everywhere."""
        return f"{path} row {place}"


def _load(path: Path, seen: Seen) -> list[Row]:
    content = read_content(path, seen).removeprefix(BOM)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise not_utf8(f"{path}:{line}", error) from None
    if not text.strip():
        return []
    try:
        value = decode(text)
    except BrokenJsonError as error:
        lines = text.splitlines()
        shown = f": {beginning(lines[error.line - 1].strip())}" if 0 < error.line <= len(lines) else ""
        at = f"{path}:{error.line}" if error.line else f"{path}"
        raise DatasetError(f"{at}: broken JSON, {error.reason}{shown}", hint=HINT) from None
    rows = _find_rows(value, path)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DatasetError(
                f"{path} row {index}: is not an object but {type(row).__name__}: {beginning(str(row))}", hint=HINT
            )
    return rows


def _find_rows(value: Any, path: Path) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: holds no rows but {type(value).__name__}", hint=HINT)
    lists = {name: part for name, part in value.items() if _is_list_of_objects(part)}
    if len(lists) == 1:
        return next(iter(lists.values()))
    if lists:
        raise DatasetError(f"{path}: holds several lists of objects, {', '.join(lists)}", hint="make each a file")
    raise DatasetError(f"{path}: is an object without a list of objects; it has {_names(value)}", hint=HINT)


def _is_list_of_objects(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and isinstance(part[0], dict)


def _names(value: dict[str, Any]) -> str:
    names = [repr(name) for name in value]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"
