"""JSON as the standard has it: text to values, or one short reason why not."""

from __future__ import annotations

import json
from typing import Any, NoReturn

SHOWN_CHARACTERS = 60


class BrokenJsonError(ValueError):
    """Why a text is not JSON; `line` and `column` count from 1, 0 where they are not known."""

    def __init__(self, reason: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.column = column


def decode(text: str) -> Any:
    """The value that the text holds, whole numbers of any length exact.

    The standard library's decoder: orjson is five times as fast, but it turns a whole number above 64 bits
    into a rounded one, and a benchmark of arithmetic would be wrong without a word.

    Raises:
        BrokenJsonError: it is not JSON, or holds what cannot be sent on: NaN, infinity, half a character.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise BrokenJsonError(reason, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise BrokenJsonError("brackets are nested too deeply") from None
    except ValueError as error:
        raise BrokenJsonError(str(error)) from None
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(value)
    return value


def beginning(text: str) -> str:
    """The first characters of a text, quoted, for a message."""
    return repr(text[:SHOWN_CHARACTERS]) + ("..." if len(text) > SHOWN_CHARACTERS else "")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BrokenJsonError("half of a surrogate pair (\\ud800 to \\udfff) is not a character") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
