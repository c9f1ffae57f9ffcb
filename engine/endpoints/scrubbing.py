"""Makes text from a server fit for a message: short, on one line, and without keys."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from engine.records import Reply

LONGEST = 300
"""Characters of server text that a message may hold."""

_READ_AT_MOST = 4000
_TELLING = 8
"""So many letters of a key tell something; fewer are what all keys begin with."""
_TEXTS = ("raw", "text", "finish_reason", "refusal", "reasoning", "model", "request_id")
_CONTROL = re.compile("[\\s\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_KEY = re.compile(
    r"(?i:bearer)\s+[^\s\"',;]+"
    r"|\b(?:sk|pk|rk)-[\w\-.*]{6,}"
    r"|\b(?:gsk|xai|nvapi|hf|fw|r8|pplx|csk|tgp)[-_][\w\-*]{16,}"
    r"|\bAIza[\w\-]{20,}"
)


def scrub(text: str, secret: str = "", *, longest: int = LONGEST) -> str:
    """The text on one line, at most `longest` characters, with `secret` and all that looks like a key as `***`."""
    text = mask(text, secret)
    text = one_line(_KEY.sub("***", text[:_READ_AT_MOST]))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def one_line(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    text = _CONTROL.sub(" ", text).strip()
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def mask(text: str, secret: str) -> str:
    """The text with `***` for the key, in any case, and for a key that was cut after its first letters."""
    folded = text.casefold()
    for length in range(len(secret), min(len(secret), _TELLING) - 1, -1):
        if secret and secret[:length].casefold() in folded:
            text = re.sub(re.escape(secret[:length]), "***", text, flags=re.IGNORECASE)
            folded = text.casefold()
    return text


def without_key(reply: Reply, secret: str) -> Reply:
    """The reply, or a copy with `***` for the key where a server has put it in: what is stored never holds it."""
    if not secret:
        return reply
    told = {name: getattr(reply, name) for name in _TEXTS}
    folded = secret.casefold()
    if not any(folded in text.casefold() for text in (*told.values(), *reply.choices)) and (
        "\\" not in reply.raw or folded not in _unescaped(reply.raw).casefold()
    ):
        return reply
    changed: dict[str, Any] = {name: mask(text, secret) for name, text in told.items()}
    if folded in _unescaped(changed["raw"]).casefold():  # it was written with escapes
        changed["raw"] = mask(_unescaped(changed["raw"]), secret)
    return replace(
        reply,
        **changed,
        choices=tuple(mask(text, secret) for text in reply.choices),
        tool_calls=tuple(json.loads(mask(json.dumps(list(reply.tool_calls), ensure_ascii=False), secret))),
    )


def _unescaped(raw: str) -> str:
    """The body as JSON without needless escapes; as it is where it is no JSON."""
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False)
    except (ValueError, RecursionError):
        return raw
