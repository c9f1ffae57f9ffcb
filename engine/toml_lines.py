"""Where in a TOML text each table, key and array item stands.

TOML parsers give values without positions; this walks over a text that `tomllib` has accepted, so it checks
nothing again and only has to know where keys and values begin and end.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

KeyPath = tuple[str | int, ...]
"""Table names, keys and array indices from the root down, as `("benchmark", 0, "models", 1)`."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_COMMA = re.compile(_BLANK.pattern + ",?")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'  # the two quotes after the end belong to the text
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every path in a valid TOML text; a table stands where it is first named."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


class _Scanner:
    """A cursor over the text and what it has seen."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.ends = [found.start() for found in re.finditer("\n", text)]
        self.sizes: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {(): 1}

    def document(self) -> None:
        """Walk over heads and pairs to the end."""
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._head()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _head(self) -> KeyPath:
        """Step over `[table]` or `[[table]]`; its path."""
        start, double = self.at, self.text.startswith("[[", self.at)
        width = 2 if double else 1
        self.at += width
        keys = self._keys()
        self.at += width
        path: KeyPath = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            self._note(path, start)
            if double and position == len(keys) - 1:
                self.sizes[path] = self.sizes.get(path, 0) + 1
            if path in self.sizes:
                path = (*path, self.sizes[path] - 1)
                self._note(path, start)
        return path

    def _pair(self, table: KeyPath) -> None:
        start, path = self.at, table
        for key in self._keys():
            path = (*path, key)
            self._note(path, start)
        self.at += 1
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """Step over a dotted key and the space after it; its parts."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            quoted = self.text[self.at] in "\"'"
            raw = self._skip(_STRING if quoted else _BARE_KEY)
            parts.append(tomllib.loads(f"key = {raw}")["key"] if quoted else raw)
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        first = self.text[self.at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if first in "\"'" else _SCALAR)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while not self._closed_by("]"):
            item = (*path, index)
            self._note(item, self.at)
            self._value(item)
            self._skip(_COMMA)
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while not self._closed_by("}"):
            self._pair(path)
            self._skip(_COMMA)

    def _closed_by(self, bracket: str) -> bool:
        """Step to what comes next, and over the bracket where it is that."""
        self._skip(_BLANK)
        closed = self.text.startswith(bracket, self.at)
        self.at += closed
        return closed

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            message = f"no TOML that tomllib accepts: {self.text[self.at : self.at + 20]!r}"
            raise AssertionError(message)
        self.at = found.end()
        return found.group()

    def _note(self, path: KeyPath, at: int) -> None:
        self.lines.setdefault(path, bisect_left(self.ends, at) + 1)
