"""Options of a solver: text from a command line, or a value from TOML -> what the constructor's signature wants."""

from __future__ import annotations

import difflib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal

from engine.errors import SolverError

PLAIN = (bool, int, float, str)
COLLECTIONS = (list, tuple, dict, Mapping)
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "nothing"}
SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def wanted_kinds(solver: type[Any], parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """What each parameter takes: its annotation, else the type of its default; Any where neither says."""
    try:
        hints = typing.get_type_hints(solver.__init__)
    except Exception:  # noqa: BLE001 - an annotation may name what is there for type checkers alone
        hints = {name: _named(parameter.annotation) for name, parameter in parameters.items()}
    kinds: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = hints.get(name, Any)
        if kind is Any and parameter.annotation is parameter.empty and type(parameter.default) in PLAIN:
            kind = type(parameter.default)
        kinds[name] = kind
    return kinds


def fitted(value: Any, kind: Any, *, where: str) -> Any:
    """The value as this kind of it.

    Raises:
        SolverError: it is no such value; `where` begins the message.
    """
    choices = _alternatives(kind)
    for choice in choices:
        fits, made = _as(value, choice)
        if fits:
            return made
    literals = [
        str(each) for choice in choices if typing.get_origin(choice) is Literal for each in typing.get_args(choice)
    ]
    near = difflib.get_close_matches(str(value), literals, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise SolverError(f"{where} is {value!r:.80}", hint=f"{guess}it takes {' or '.join(map(_name, choices))}")


def _alternatives(kind: Any) -> Sequence[Any]:
    """The members of a union, those that a text is less likely to mean by chance first."""
    members = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return sorted(members, key=lambda member: member is str)


def _as(value: Any, kind: Any) -> tuple[bool, Any]:
    """Whether the value is of this kind, or a text that means one, and the value of that kind."""
    origin = typing.get_origin(kind) or kind
    if origin is Literal:
        return _as_one_of(value, {str(each): each for each in typing.get_args(kind)})
    if origin is type(None):
        return value is None or value in ("none", "null"), None
    if origin in PLAIN:
        return _as_plain(value, origin)
    if isinstance(value, str) and isinstance(origin, type):
        return _from_text(value, origin)
    return True, value  # whatever it is, the constructor knows better


def _from_text(text: str, kind: type[Any]) -> tuple[bool, Any]:
    if issubclass(kind, Enum):
        return _as_one_of(text, {name: each for each in kind for name in (str(each.value), each.name)})
    if issubclass(kind, PurePath):
        return True, kind(text)
    return _as_json(text, kind) if kind in COLLECTIONS else (True, text)


def _as_one_of(value: Any, members: Mapping[str, Any]) -> tuple[bool, Any]:
    if any(value == each and type(value) is type(each) for each in members.values()):
        return True, value
    return value in members, members.get(value) if isinstance(value, str) else None


def _as_plain(value: Any, kind: type) -> tuple[bool, Any]:
    if type(value) is kind:
        return True, value
    if kind is float and type(value) is int:
        return True, float(value)
    if not isinstance(value, str) or kind is str:
        return False, None
    makers: Mapping[type, Callable[[str], Any]] = {bool: lambda text: SWITCHES[text.lower()], int: int, float: float}
    try:
        return True, makers[kind](value)
    except (KeyError, ValueError):
        return False, None


def _as_json(text: str, kind: type) -> tuple[bool, Any]:
    """Lists and tables are written as JSON on a command line."""
    try:
        made = json.loads(text)
    except ValueError:
        return False, None
    if kind is tuple and isinstance(made, list):
        return True, tuple(made)
    return isinstance(made, kind), made


def _name(kind: Any) -> str:
    origin = typing.get_origin(kind) or kind
    if origin is Literal:
        return " or ".join(repr(each) for each in typing.get_args(kind))
    if isinstance(origin, type) and issubclass(origin, Enum):
        return " or ".join(repr(each.value) for each in origin)
    return NAMES.get(origin, f"{getattr(origin, '__name__', kind)} in JSON")


def _named(annotation: Any) -> Any:
    """A plain type by its name, where annotations cannot be looked up."""
    first = str(annotation).partition("|")[0].strip()
    return next((kind for kind in PLAIN if kind.__name__ == first), Any)
