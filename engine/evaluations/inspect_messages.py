"""The conversation of a task as Inspect has it: messages, the output, and an event for each call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.records import Completion, Usage

STOPS = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}
ROLES = frozenset({"system", "user", "assistant", "tool"})


@dataclass(frozen=True, slots=True)
class Call:
    """A reply that a task was given; `role` is empty for the model that is measured, else the other one's name."""

    role: str
    completion: Completion


def conversation(calls: Sequence[Call]) -> dict[str, Any]:
    """The fields of a sample that tell what was said: the last conversation with the model that is measured.

    Every call is an event; those with other models, as a judge, have their name for a role.
    """
    ours = [call.completion for call in calls if not call.role]
    told: dict[str, Any] = {"events": [_event(call) for call in calls]}
    if ours:
        told["messages"] = [*_asked(ours[-1]), _answer(ours[-1])]
        told["output"] = _output(ours[-1])
        told["model_usage"] = model_usage(ours)
    return told


def model_usage(completions: Sequence[Completion]) -> dict[str, Any]:
    """Tokens by model."""
    found: dict[str, dict[str, int]] = {}
    for each in completions:
        total = found.setdefault(each.model, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0})
        for name, value in _usage(each.usage).items():
            total[name] = total.get(name, 0) + value
    return found


def _event(call: Call) -> dict[str, Any]:
    completion = call.completion
    body = _body(completion)
    known = ("temperature", "max_tokens", "top_p", "seed", "stop", "n")
    config = {{"stop": "stop_seqs", "n": "num_choices"}.get(name, name): body.get(name) for name in known}
    return {
        "event": "model",
        "timestamp": datetime.fromtimestamp(completion.created_at, UTC).isoformat(),
        "working_start": 0.0,
        "working_time": completion.latency_s,
        "model": completion.model,
        "role": call.role or None,
        "input": list(_asked(completion)),
        "tools": [],
        "tool_choice": "auto",
        "config": {name: value for name, value in config.items() if _fits(name, value)},
        "output": _output(completion),
        "metadata": {"request_key": completion.request_key, "provider": completion.provider},
    }


def _fits(name: str, value: Any) -> bool:
    if name == "stop_seqs":
        return isinstance(value, list)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _body(completion: Completion) -> Mapping[str, Any]:
    found = json.loads(completion.request)
    return found if isinstance(found, dict) else {}


def _asked(completion: Completion) -> Iterator[dict[str, Any]]:
    for message in _body(completion).get("messages") or ():
        role = message.get("role")
        yield {"role": role if role in ROLES else "user", "content": _text(message.get("content"))}


def _text(content: Any) -> str:
    """A message's text; what is no text in it is named."""
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {} for part in content]
        return "".join(str(part.get("text") or f"[{part.get('type', 'part')}]") for part in parts)
    return "" if content is None else str(content)


def _answer(completion: Completion) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": completion.text, "model": completion.model}
    made["source"] = "generate"
    if completion.reasoning:
        thought = {"type": "reasoning", "reasoning": completion.reasoning}
        made["content"] = [thought, {"type": "text", "text": completion.text}]
    if completion.tool_calls:
        made["tool_calls"] = [_tool_call(call) for call in completion.tool_calls]
    return made


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name, given = str(function.get("name", "")), function.get("arguments")
    try:
        arguments = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        arguments = {"arguments": given}
    held = arguments if isinstance(arguments, dict) else {"arguments": arguments}
    return {"id": str(call.get("id", "")), "function": name, "arguments": held, "type": "function"}


def _output(completion: Completion) -> dict[str, Any]:
    stop = STOPS.get(completion.finish_reason, "unknown")
    return {
        "model": completion.model,
        "choices": [{"message": _answer(completion), "stop_reason": stop}],
        "completion": completion.text,
        "usage": _usage(completion.usage),
        "time": completion.latency_s,
    }


def _usage(usage: Usage) -> dict[str, int]:
    found = {"input_tokens": usage.input_tokens or 0, "output_tokens": usage.output_tokens or 0}
    found["total_tokens"] = found["input_tokens"] + found["output_tokens"]
    more = {"input_tokens_cache_read": usage.cached_tokens, "reasoning_tokens": usage.reasoning_tokens}
    return {**found, **{name: value for name, value in more.items() if value is not None}}
