"""Parameters that an endpoint refuses: what its refusal tells, and what may be done about it without harm. Pure.

A parameter is found once by its 400 or 422. What cannot change an answer is renamed or dropped; what could is never
changed in silence: the adaptation is then not `harmless`, and its `says` is the one message the run ends with.

Temperature: a run that asked for 0 and silently got 1 would be shown under a temperature it never had, and its draws
would be shared between tasks as if they were the one most probable answer. It is therefore dropped only where the
value asked for is the endpoint's own default, which sends the same request in other words, so that keys, draws and the
run's identity stay true. Everything that is dropped names the `values` it may be dropped for: another call of the
same run that asks for another value is sent as it is, and refused for itself.

Source: error bodies as reported for OpenAI, Azure, Anthropic, Google, Mistral, Groq, Fireworks, DeepSeek, Moonshot,
vLLM and llama.cpp, in `tests/unit/test_quirks.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.endpoints.messages import asks_as_system, without_system
from engine.errors import AttemptError
from engine.presets import preset_at
from engine.records import Fault

SYSTEM_ROLE = "system role"
"""The name of the adaptation that joins system messages to those of the user."""
TRANSPORT = frozenset({"stream", "stream_options"})
"""How a reply is sent and not what it says; added below the body that is adapted."""

_RENAMES: Mapping[str, str] = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_WITHOUT_EFFECT = frozenset({"seed", "random_seed", "user", "store", "metadata", "service_tier"})
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "n": (1,),
    "stop": ([], ""),
    "logprobs": (False,),
    "parallel_tool_calls": (True,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "logit_bias": ({},),
}
"""What each parameter is where it is not sent. Source: the OpenAI API reference, chat completions."""

_REASONS = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})
_NAME = r"[`'\"]?([a-z][a-z0-9_]*)[`'\"]?"
_REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"unsupported (?:parameter|value)s?: {_NAME}",
        rf"(?:unknown|unrecognized) (?:request )?(?:parameter|argument)s?(?: supplied)?: {_NAME}",
        rf"unknown name {_NAME}: cannot find field",
        rf"extra inputs are not permitted, field: {_NAME}",
        rf"['\"]loc['\"]: ?[\[(]['\"]body['\"], ?{_NAME}(?:, ?['\"]\w+['\"])?[\])]",
        rf"property {_NAME} is unsupported",
        rf"{_NAME} (?:is|are) (?:deprecated|not supported|unsupported|not allowed|not permitted)\b",
        rf"does not support parameters: [\[{{]{_NAME}",
        rf"invalid {_NAME}: only [0-9.]+ is allowed",
        rf"{_NAME} ?: number must be at most 1\b",
        rf"\b{_NAME} must be 1\b",
        r"\b(response_format)(?:\.type)?\b.{0,80}(?:unavailable|not one of the allowed|not supported)",
        r"not support (response[_ ]format)\b",
        rf"{_NAME} and [`'\"]?\w+[`'\"]? cannot both be specified",
    )
)
_OWN_VALUE = re.compile(r"only the default \(([0-9.]+)\) value|only ([0-9.]+) is allowed", re.IGNORECASE)
_NO_SYSTEM = re.compile(
    r"system (?:role|message|instruction|prompt)s? (?:is |are )?(?:not (?:supported|enabled|allowed)|unsupported)"
    r"|role'? does not support '(?:system|developer)'|conversation roles must alternate"
    r"|(?:does not|doesn't) support (?:the )?system (?:role|message|prompt)|developer instruction is not enabled",
    re.IGNORECASE,
)
_IN_MESSAGES = re.compile(r"^(?:messages\b|.*'messages\.\d+')", re.IGNORECASE)


class Change(StrEnum):
    """What is done to a request."""

    DROP = "drop"
    RENAME = "rename"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """One thing that an endpoint does not take, and what is done about it.

    `name` is the parameter; `to` its new name where it is renamed; `values` those that may be dropped, empty for
    any. Only what is `harmless` is ever applied. `says` is for the user; `hint` what to do where the run must stop.
    Two are equal where they do the same; `why`, the endpoint's own words, may differ from reply to reply.
    """

    name: str
    change: Change
    to: str = ""
    values: tuple[Any, ...] = ()
    harmless: bool = True
    why: str = field(default="", compare=False)
    says: str = field(default="", compare=False)
    hint: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The adaptation as it is recorded with a run."""
        kept = {"name": self.name, "change": self.change.value, "to": self.to, "values": list(self.values)}
        return {**kept, "harmless": self.harmless, "why": self.why}


def known_adaptations(base_url: str) -> tuple[Adaptation, ...]:
    """What is known of an address before its first reply, from its preset."""
    preset = preset_at(base_url)
    renames = preset.renames if preset is not None else {}
    return tuple(_renamed(name, to, "known of this provider") for name, to in renames.items())


def adapt(body: Mapping[str, Any], error: AttemptError, *, found: Sequence[Adaptation] = ()) -> Adaptation | None:
    """What the refusal of this request asks for; None where it is about something else.

    Args:
        body: the request as it was sent, with what was `found` before applied.
        error: what came back.
        found: earlier adaptations for this model, so that none is undone by the next.
    """
    if error.fault in {Fault.BAD_REQUEST, Fault.SERVER} and _NO_SYSTEM.search(error.message):
        return _merged(body, error)  # llama.cpp and SGLang answer 500 where a template fails
    name = _refused(body, error) if error.fault is Fault.BAD_REQUEST else None
    if name is None:
        return None
    model = body.get("model", "")
    if name in TRANSPORT or name in _WITHOUT_EFFECT:
        return _dropped(name, (), error, f"model {model!r} takes no {name!r}: left out{_loss(name)}")
    if name in _RENAMES:
        return _other_limit(name, model, error, found)
    return _only_default(name, body, error)


def apply(adaptations: Iterable[Adaptation], body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as the endpoint takes it: a new body, of which only what the adaptations name is changed.

    Names are changed first, whatever the order, so that what goes under its new name goes.
    """
    adapted = dict(body)
    for each in sorted(adaptations, key=lambda each: each.change is not Change.RENAME):
        if not each.harmless:
            continue
        if each.change is Change.MERGE:
            adapted["messages"] = without_system(adapted.get("messages", ()))
        elif each.name in TRANSPORT:
            adapted.pop("stream_options", None)
            adapted["stream"] = each.name != "stream" and adapted.get("stream", True)
        elif each.name in adapted and _may_go(each, adapted[each.name]):
            value = adapted.pop(each.name)
            if each.change is Change.RENAME:
                adapted.setdefault(each.to, value)
    return adapted


def _refused(body: Mapping[str, Any], error: AttemptError) -> str | None:
    """The parameter that the endpoint does not take, or not with this value; None where it says no such thing."""
    if _IN_MESSAGES.search(error.param) or _IN_MESSAGES.search(_own_words(error)):
        return None
    said = [error.param.partition(".")[0].partition("[")[0]] if error.reason in _REASONS else []
    for pattern in _REFUSALS:
        said += [name.lower().replace(" ", "_") for name in pattern.findall(_own_words(error))]
    sent = set(body) - {"model", "messages"} | TRANSPORT
    return next((name for name in said if name in sent), None)


def _own_words(error: AttemptError) -> str:
    """The endpoint's message without what the engine wrote before it."""
    return error.message.partition("): ")[2] or error.message


def _merged(body: Mapping[str, Any], error: AttemptError) -> Adaptation | None:
    if not asks_as_system(body.get("messages", ())):
        return None
    says = f"model {body.get('model', '')!r} takes no system message: it is put before the user's, in one message"
    return Adaptation(name=SYSTEM_ROLE, change=Change.MERGE, why=error.message, says=says)


def _other_limit(name: str, model: Any, error: AttemptError, found: Sequence[Adaptation]) -> Adaptation:
    to = _RENAMES[name]
    if any(each.name == to and each.to == name for each in found):
        says = f"model {model!r} takes neither {name!r} nor {to!r}, so that replies cannot be limited as asked"
        hint = "ask for no limit: leave max_tokens out"
        return Adaptation(name=name, change=Change.DROP, harmless=False, why=error.message, says=says, hint=hint)
    covers = ", which covers hidden reasoning too" if to == "max_completion_tokens" else ""
    return _renamed(name, to, error.message, f"model {model!r} takes {to!r} in place of {name!r}{covers}")


def _only_default(name: str, body: Mapping[str, Any], error: AttemptError) -> Adaptation:
    """Dropped where it asks for what the endpoint does anyway, else the end of the run."""
    model, asked = body.get("model", ""), body.get(name)
    own = _OWN_VALUE.search(error.message)
    defaults = (float(own[1] or own[2]),) if own else _DEFAULTS.get(name, ())
    if any(_same(asked, default) for default in defaults):
        says = f"model {model!r} takes no {name!r}: left out, as {asked!r} is what it does anyway"
        return _dropped(name, defaults, error, says)
    only = f" but {_plain(defaults[0])}" if defaults and isinstance(defaults[0], int | float) else ""
    says = f"model {model!r} takes no {name!r}{only}, and {_short(asked)} was asked for: it would answer something else"
    return Adaptation(
        name=name, change=Change.DROP, harmless=False, why=error.message, says=says, hint=_cure(name, defaults)
    )


def _cure(name: str, defaults: tuple[Any, ...]) -> str:
    if name == "temperature" and defaults:
        value = _plain(defaults[0])
        return f"run with --temperature {value}, or give the model sampling = {{ temperature = {value} }} in bench.toml"
    if name == "n":
        return "ask for one choice at a time, as with --repeats"
    return f"leave {name} out of the solver's call, [sampling] and extra_body, or use a model that takes it"


def _loss(name: str) -> str:
    losses = {
        "seed": "; answers at a temperature above 0 cannot be drawn again",
        "stream_options": "; where the reply then holds no usage, tokens and cost are unknown",
        "stream": "; the time to the first token is not measured",
    }
    return losses.get(name, "")


def _renamed(name: str, to: str, why: str, says: str = "") -> Adaptation:
    return Adaptation(name=name, change=Change.RENAME, to=to, why=why, says=says or f"{name!r} is sent as {to!r}")


def _dropped(name: str, values: tuple[Any, ...], error: AttemptError, says: str) -> Adaptation:
    return Adaptation(name=name, change=Change.DROP, values=values, why=error.message, says=says)


def _may_go(adaptation: Adaptation, value: Any) -> bool:
    return not adaptation.values or any(_same(value, each) for each in adaptation.values)


def _same(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _plain(value: float) -> str:
    return f"{value:g}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
