"""`--set key=value`: a dotted path into the configuration and a TOML value, laid over what the file says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from engine.toml_lines import KeyPath

_ASSIGNMENT = re.compile(r"""((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^="'])+)=(.*)""", re.DOTALL)


@dataclass(slots=True)
class Overridden:
    """The table with the flags applied, which flag set which path, and the flags that could not be applied."""

    table: dict[str, Any]
    flags: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def override(table: dict[str, Any], flags: Sequence[str]) -> Overridden:
    """A copy of the table with `flags` applied in order.

    A part of the path that is a number picks an item of a list; any other part, met at a list, means all its
    tables, so `benchmark.limit=10` is for all benchmarks. A value that is no TOML is taken as text.
    """
    result = Overridden(deepcopy(table))
    for flag in flags:
        found = _ASSIGNMENT.fullmatch(flag.strip())
        keys = _keys(found[1]) if found else []
        if found is None or not keys:
            result.mistakes.append(
                f"--set {flag}: must be key=value with a dotted key, names with dots or colons in quotes, "
                """as in models."p::m".prices.input=0.5"""
            )
            continue
        try:
            for path in _assign(result.table, keys, _value(found[2]), ()):
                result.flags.pop(path, None)
                result.flags[path] = f"--set {flag}"
        except LookupError as error:
            result.mistakes.append(f"--set {flag}: {error.args[0]}")
    return result


def _keys(text: str) -> list[str]:
    """The parts of a dotted key; none where it is not one."""
    try:
        table = tomllib.loads(f"{text.strip()} = 0")
    except tomllib.TOMLDecodeError:
        return []
    keys: list[str] = []
    inner: Any = table
    while isinstance(inner, dict) and len(inner) == 1:
        key, inner = next(iter(inner.items()))
        keys.append(key)
    return keys if inner == 0 else []


def _value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text.strip()}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()


def _assign(target: Any, keys: Sequence[str], value: Any, done: KeyPath) -> Iterator[KeyPath]:
    """Set the value at each path that the keys mean below `target`; the paths that were set."""
    key, *rest = keys
    if isinstance(target, list):
        for index in _indices(target, key, done):
            if index == len(target):
                target.append({})
            yield from _assign_item(target, index, rest if key.isdecimal() else keys, value, (*done, index))
    elif isinstance(target, dict):
        if rest:
            target.setdefault(key, [] if not done and key == "benchmark" else {})
        yield from _assign_item(target, key, rest, value, (*done, key))
    else:
        where = ".".join(map(str, done))
        raise LookupError(f"{where} is a value and has no key {key!r}")  # noqa: TRY004 - a path, not a type, is wrong


def _assign_item(holder: Any, key: str | int, rest: Sequence[str], value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if rest:
        yield from _assign(holder[key], rest, value, path)
    else:
        holder[key] = value
        yield path


def _indices(items: list[Any], key: str, done: KeyPath) -> Sequence[int]:
    """The items a key means: the one of that number, or all; the next new one where that is not there yet."""
    if not key.isdecimal():
        return range(max(1, len(items)))
    if int(key) > len(items):
        raise LookupError(f"{'.'.join(map(str, done))} has only {len(items)} items")
    return [int(key)]
