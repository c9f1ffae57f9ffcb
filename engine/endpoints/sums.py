"""Finds sums and lettered options in a question, and makes up right and plausible wrong answers to them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from operator import add, mul, sub, truediv
from typing import Any

_NUMBER = r"\d{1,40}(?:,\d{3})*(?:\.\d{1,20})?"
_OPERATOR = r"[-+*/x\u00d7\u00f7\u2212]|plus|minus|times|divided by"
_SUM = re.compile(rf"(?<![\w.)])(-?{_NUMBER}(?:\s*(?:{_OPERATOR})\s*-?{_NUMBER}){{1,30}})(?![\w(])", re.IGNORECASE)
_TOKEN = re.compile(rf"{_NUMBER}|{_OPERATOR}", re.IGNORECASE)
_SIGNS = {
    "plus": "+",
    "minus": "-",
    "\u2212": "-",
    "times": "*",
    "x": "*",
    "\u00d7": "*",
    "divided by": "/",
    "\u00f7": "/",
}
_STRONG = {"*": mul, "/": truediv}
_WEAK = {"+": add, "-": sub}
_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[).:][ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_ONLY = re.compile(r"\b(?:only|just)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sum:
    """The result of a sum."""

    value: Decimal

    @property
    def right(self) -> str:
        """The result in digits."""
        return _digits(self.value)

    def wrong(self, chance: random.Random) -> str:
        """A number near the result that is not the result: a slip in one digit, or off by a little."""
        step = Decimal(chance.choice((1, 2, 9, 10, 11, 100)) if abs(self.value) >= 20 else chance.choice((1, 2, 3)))
        return _digits(self.value + step * chance.choice((-1, 1)))


def last_sum(text: str) -> Sum | None:
    """The last sum in the text (`+ - * /`, their words, chains with the usual precedence); None where there is none."""
    for found in reversed(_SUM.findall(text)):
        tokens = [_SIGNS.get(token.lower(), token.lower()) for token in _TOKEN.findall(found)]
        try:
            with localcontext() as context:
                context.prec = 100
                return Sum(_evaluate(tokens))
        except (InvalidOperation, DivisionByZero, Overflow):
            continue
    return None


def choose(text: str, chance: random.Random, accuracy: float) -> str | None:
    """The letter of one of the last options in the text; None where there are none.

    The key is known only where the question before the options is a sum; elsewhere any letter is as good.
    """
    start, options = _last_options(text)
    if len(options) < 2:
        return None
    result = last_sum(text[:start])
    right = [letter for letter, answer in options if result is not None and answer == result.right]
    if not right:
        return chance.choice(options)[0]
    wrong = [letter for letter, _ in options if letter != right[0]]
    return right[0] if chance.random() < accuracy else chance.choice(wrong)


def wants_only(text: str) -> bool:
    """Whether the text asks for the answer alone."""
    return _ONLY.search(text) is not None


def _last_options(text: str) -> tuple[int, list[tuple[str, str]]]:
    start = 0
    options: list[tuple[str, str]] = []
    for found in _OPTION.finditer(text):
        letter, answer = found.groups()
        if letter == "A":
            start, options = found.start(), []
        if letter == chr(ord("A") + len(options)):
            options.append((letter, answer))
    return start, options


def _evaluate(tokens: list[str]) -> Decimal:
    values: list[Any] = []
    sign = 1
    for piece in tokens:
        if piece[0].isdigit():
            value = sign * Decimal(piece.replace(",", ""))
            sign = 1
            if values and values[-1] in _STRONG:
                operator = values.pop()
                value = _STRONG[operator](values.pop(), value)
            values.append(value)
        elif not values or isinstance(values[-1], str):
            sign = -1 if piece == "-" else 1
        else:
            values.append(piece)
    total: Decimal = values[0]
    for operator, value in zip(values[1::2], values[2::2], strict=True):
        total = _WEAK[operator](total, value)
    return total


def _digits(value: Decimal) -> str:
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
