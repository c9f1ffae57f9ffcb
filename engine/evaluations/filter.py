"""A small language to choose rows of the table: `gsm8k>0.8 and tag:paper or not model:mini`.

    expression := all { "or" all }
    all := one { "and" one }
    one := "not" one | "(" expression ")" | test
    test := NAME (> | >= | < | <= | = | == | !=) VALUE    a metric, as a fraction or `80%`; or a column, as text
          | NAME ":" TEXT                                  a column that contains the text; `tag:` is a whole tag
          | TEXT                                           some column contains the text

A row without the metric fails every test of it. Words with spaces or marks go into quotes.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import UsageError

TOKEN = re.compile(r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<mark>>=|<=|!=|==|[><=():])|(?P<word>[^\s"'()<>=!:]+))""")
TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
KEYWORDS = frozenset({"and", "or", "not"})
DEEPEST = 50


class Filterable(Protocol):
    """What a test looks at."""

    @property
    def tags(self) -> frozenset[str]:
        """Its labels."""
        ...

    def number(self, name: str) -> float | None:
        """The metric of this name, or a column that is a number; None where there is none."""
        ...

    def text(self, name: str) -> str | None:
        """The column of this name; None where there is none."""
        ...

    def texts(self) -> str:
        """All columns that are text."""
        ...


Test = Callable[[Filterable], bool]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    kind: str
    """`mark`, `quoted`, `keyword` or `word`."""


def parse_filter(text: str) -> Test:
    """The test that an expression stands for; an empty one passes everything.

    Raises:
        UsageError: it is no expression; the place is named.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda _: True
    parser = _Parser(text, tokens)
    test = parser.either(0)
    if parser.left:
        raise parser.error("and or or is missing before")
    return test


def names_in(text: str) -> list[str]:
    """The metrics and columns that an expression asks about, in its order.

    Raises:
        UsageError: it cannot be read.
    """
    tokens = _tokens(text)
    marks = {*TESTS, ":"}
    return [
        token.text
        for token, following in itertools.pairwise(tokens)
        if token.kind in ("word", "quoted") and following.kind == "mark" and following.text in marks
    ]


def beyond_one(text: str) -> list[tuple[str, str]]:
    """The names that an expression compares with a plain number above 1, each with that number as it was written.

    Raises:
        UsageError: it cannot be read.
    """
    tokens = _tokens(text)
    return [
        (name.text, value.text)
        for name, mark, value in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if mark.kind == "mark"
        and mark.text in TESTS
        and not value.text.endswith("%")
        and (_number(value.text) or 0) > 1
    ]


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            raise UsageError(f"filter {text!r}: {rest!r} cannot be read", hint="close the quotes, or quote the name")
        kind = "mark" if match["mark"] else "quoted" if match["quoted"] else "word"
        word = match["quoted"][1:-1] if kind == "quoted" else match["mark"] or match["word"]
        if kind == "word" and word.lower() in KEYWORDS:
            kind, word = "keyword", word.lower()
        found.append(_Token(word, kind))
        place = match.end()
    return found


class _Parser:
    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text = text
        self.left = tokens

    def error(self, what: str) -> UsageError:
        found = repr(self.left[0].text) if self.left else "its end"
        return UsageError(f"filter {self._text!r}: {what} {found}", hint="write one like: gsm8k>0.8 and tag:paper")

    def either(self, depth: int) -> Test:
        tests = [self._all(depth)]
        while self._take("or"):
            tests.append(self._all(depth))
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._take("and"):
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise self.error("is nested too deep before")
        if self._take("not"):
            inner = self._one(depth + 1)
            return lambda row: not inner(row)
        if self._take("("):
            test = self.either(depth + 1)
            if not self._take(")"):
                raise self.error("a closing bracket is missing before")
            return test
        return self._test()

    def _test(self) -> Test:
        name = self._word("a name is missing before")
        if self._take(":"):
            return _contains(name, self._word("a text is missing before"))
        if self.left and self.left[0].kind == "mark" and self.left[0].text in TESTS:
            compare = TESTS[self.left.pop(0).text]
            return _compares(name, compare, self._word("a value is missing before"))
        return lambda row: name.casefold() in row.texts().casefold()

    def _word(self, missing: str) -> str:
        if not self.left or self.left[0].kind in ("mark", "keyword"):
            raise self.error(missing)
        return self.left.pop(0).text

    def _take(self, text: str) -> bool:
        if self.left and self.left[0].kind in ("mark", "keyword") and self.left[0].text == text:
            self.left.pop(0)
            return True
        return False


def _contains(name: str, text: str) -> Test:
    if name == "tag":
        return lambda row: text in row.tags
    return lambda row: text.casefold() in (row.text(name) or "").casefold()


def _compares(name: str, compare: Callable[[Any, Any], bool], value: str) -> Test:
    number = _number(value)

    def test(row: Filterable) -> bool:
        text = row.text(name)
        if number is None or (text is not None and row.number(name) is None):
            return text is not None and compare(text, value)
        found = row.number(name)
        return found is not None and compare(found, number)

    return test


def _number(text: str) -> float | None:
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
