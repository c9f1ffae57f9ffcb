"""Reads the body of a chat completion: a checked `Reply`, or an `AttemptError` that says what is wrong with it.

Pure, and on the path of every call: the JSON is parsed once and nothing is built that is not needed.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from typing import Any

from engine.endpoints.faults import fault_of_error, malformed, request_id
from engine.endpoints.verdicts import ErrorText
from engine.records import Reply, Usage

_UNKNOWN = Usage()
_LARGEST_COUNT = 2**53
_EXCERPT = 60
_TOLD = 200
_INSTEAD_OF_TEXT = ("tool_calls", "refusal", "reasoning_content", "reasoning")


def read_reply(
    raw: bytes,
    *,
    status: int,
    headers: Mapping[str, str],
    latency_s: float,
    ttft_s: float | None = None,
) -> Reply:
    """The reply in the body of a chat completion that was not streamed.

    `text` is the first choice's, `choices` holds the texts of all choices by index where there are several. Token
    counts that are missing or senseless are None. Half a surrogate pair, which no text can hold, is replaced in
    `text`; `raw` keeps the body as it came.

    Raises:
        AttemptError: the body is not a chat completion (`malformed`), or holds an error, judged by its code.
    """
    try:
        body = raw.removeprefix(BOM_UTF8).decode()
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise malformed(_no_json(raw, error), status=status, headers=headers) from error
    return build_reply(document, body, status=status, headers=headers, latency_s=latency_s, ttft_s=ttft_s)


def build_reply(
    document: Any,
    body: str,
    *,
    status: int,
    headers: Mapping[str, str],
    latency_s: float,
    ttft_s: float | None,
) -> Reply:
    """The reply in a parsed chat completion; `body` is kept as `raw`."""
    try:
        choices = _choices(document)
        first = choices[0]
        message, reason = first["message"], first.get("finish_reason")
        text = _text(first)
        texts = (text, *map(_text, choices[1:])) if len(choices) > 1 else ()
    except _ErrorInReplyError as error:
        raise fault_of_error(error.said, status=status, headers=headers) from error
    except _WrongShapeError as error:
        raise malformed(str(error), status=status, headers=headers) from error
    refusal, model = message.get("refusal"), document.get("model")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or _thoughts(message.get("content"))
    tool_calls = message.get("tool_calls")
    if "\\ud" in body or "\\uD" in body:
        text, texts = _storable(text), tuple(map(_storable, texts))
    return Reply(
        raw=body,
        text=text,
        finish_reason=reason if type(reason) is str else "",
        usage=read_usage(document.get("usage")),
        choices=texts,
        refusal=_storable(refusal) if type(refusal) is str else "",
        reasoning=_storable(reasoning) if type(reasoning) is str else "",
        tool_calls=tuple(call for call in tool_calls if type(call) is dict) if type(tool_calls) is list else (),
        model=_storable(model) if type(model) is str else "",
        status=status,
        request_id=request_id(headers),
        latency_s=latency_s,
        ttft_s=ttft_s,
        headers=headers,
    )


def _no_json(raw: bytes, error: Exception) -> str:
    if not raw:
        return "the body is empty"
    begins = f"it begins {raw[:_EXCERPT]!r}"
    if raw.lstrip().startswith(b"<"):
        return f"it is a web page, so that base_url may be wrong; {begins}"
    return f"{type(error).__name__}, {begins}"


def read_usage(usage: Any) -> Usage:
    """Tokens as reported; None for each that is missing or no count."""
    if type(usage) is not dict:
        return _UNKNOWN
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _count(prompt.get("cached_tokens")) if type(prompt) is dict else None,
        _count(completion.get("reasoning_tokens")) if type(completion) is dict else None,
    )


class _WrongShapeError(Exception):
    """Says which part of the document is not as it must be."""


class _ErrorInReplyError(Exception):
    """Carries the error object that stands where an answer should be."""

    def __init__(self, said: object) -> None:
        super().__init__("the reply holds an error")
        self.said = said


def _choices(document: Any) -> Sequence[Any]:
    if type(document) is not dict:
        raise _WrongShapeError(f"an object was expected, not {_kind(document)}")
    if document.get("error"):
        raise _ErrorInReplyError(document["error"])
    choices = document.get("choices")
    if type(choices) is not list or not choices:
        if document.get("object") == "error":  # as FastChat and what was made after it
            raise _ErrorInReplyError(document)
        words = ErrorText.of(document).message
        told = f"; it says {words[:_TOLD]!r}" if words else ""
        raise _WrongShapeError(f"choices must be a list with an answer, not {_kind(choices)}{told}")
    for choice in choices:
        if type(choice) is not dict:
            raise _WrongShapeError(f"a choice must be an object, not {_kind(choice)}")
        if choice.get("error"):
            raise _ErrorInReplyError(choice["error"])
        if type(choice.get("message")) is not dict:
            raise _WrongShapeError(f"message must be an object, not {_kind(choice.get('message'))}")
    if len(choices) > 1 and all(type(choice.get("index")) is int for choice in choices):
        return sorted(choices, key=lambda choice: int(choice["index"]))
    return choices


def _text(choice: Any) -> str:
    message = choice["message"]
    content = message.get("content")
    if type(content) is str:
        return content
    if content is None:
        # Null beside a reason to end is an empty answer that was paid for; null beside nothing is no answer at all.
        if choice.get("finish_reason") or any(message.get(key) for key in _INSTEAD_OF_TEXT):
            return ""
        raise _WrongShapeError("content is null, and nothing says why")
    if type(content) is list:
        try:
            return joined_parts(content)[0]
        except TypeError as error:
            raise _WrongShapeError(str(error)) from error
    raise _WrongShapeError(f"content must be text, not {_kind(content)}")


def joined_parts(parts: Sequence[Any]) -> tuple[str, str]:
    """`(text, thoughts)` of content in parts, as Mistral's reasoning models give it, streamed too; others are left out.

    Raises:
        TypeError: a part is none, or one of text holds no text.
    """
    text, thoughts = "", ""
    for part in parts:
        kind = part.get("type") if type(part) is dict else None
        if kind is None or (kind == "text" and type(part.get("text")) is not str):
            raise TypeError(f"a part of content must be text, not {_kind(part)}")
        if kind == "text":
            text += part["text"]
        elif kind == "thinking":
            inner = part.get("thinking")
            thoughts += inner if type(inner) is str else joined_parts(inner)[0] if type(inner) is list else ""
    return text, thoughts


def _thoughts(content: Any) -> str:
    return joined_parts(content)[1] if type(content) is list else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _LARGEST_COUNT else None


def _storable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:_EXCERPT] if value is not None else "null"
