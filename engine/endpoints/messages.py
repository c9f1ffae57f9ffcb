"""Chat messages without a system role, for models whose template knows none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SYSTEM = frozenset({"system", "developer"})
_BETWEEN = "\n\n"


def asks_as_system(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any message has the role of the system or the developer."""
    return any(message.get("role") in _SYSTEM for message in messages)


def without_system(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages, system text put before that of the user message that follows it, with an empty line between.

    Where no user message follows at once, the text ends the one before, or becomes one; no word changes its place.
    All other messages are the very ones given.
    """
    merged: list[Mapping[str, Any]] = []
    waiting: list[Any] = []
    for message in messages:
        if message.get("role") in _SYSTEM:
            waiting.append(message.get("content"))
            continue
        if waiting and message.get("role") == "user":
            merged.append({**message, "content": _joined([*waiting, message.get("content")])})
        else:
            merged = [*_ended_by(merged, waiting), message]
        waiting = []
    return _ended_by(merged, waiting)


def _ended_by(messages: list[Mapping[str, Any]], contents: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The messages with these contents at their end, as words of the user."""
    if not contents:
        return messages
    if messages and messages[-1].get("role") == "user":
        last = messages[-1]
        return [*messages[:-1], {**last, "content": _joined([last.get("content"), *contents])}]
    return [*messages, {"role": "user", "content": _joined(contents)}]


def _joined(contents: Sequence[Any]) -> str | list[Any]:
    """Texts as one text; as a list of parts where any of them is one."""
    contents = [content for content in contents if content]
    if all(isinstance(content, str) for content in contents):
        return _BETWEEN.join(contents)
    parts: list[Any] = []
    for number, content in enumerate(contents):
        last = number == len(contents) - 1
        own = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        if not last and own and isinstance(own[-1], Mapping) and isinstance(own[-1].get("text"), str):
            own[-1] = {**own[-1], "text": own[-1]["text"] + _BETWEEN}
        parts += own
    return parts
