"""Values as data between the judge and the solution: framed JSON, no pickle, nothing that runs when it is read."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

DEEPEST = 200
"""Levels of nesting."""
LARGEST = 8_000_000
"""Bytes of one message from the solution."""
EXACT = 1 << 53
LENGTH = struct.Struct("!I")
TYPES = {
    each.__name__: each
    for each in (
        *(bool, int, float, complex, str, bytes, bytearray, tuple, list, set, frozenset, dict, range, type, object),
        *(type(None), slice, Decimal, Fraction, deque),
    )
}
"""Types that are handed over by their name."""


class UnfitError(ValueError):
    """A value that cannot be handed over as data."""


class MalformedError(ValueError):
    """A message that is not one of ours."""


Node = Any
"""A JSON value: scalars and lists stand for themselves, an object is `{"t": type, "v": ...}`."""
Keep = Callable[[Any], Node]
Resolve = Callable[[Node], Any]


def encode(value: Any, keep: Keep, depth: int = 0) -> Node:
    """The value as a JSON node; `keep` gives the node of what is no data.

    Raises:
        UnfitError: it is nested too deep.
    """
    kind = type(value)
    if value is None or kind is bool or kind is float or kind is str:
        return value
    if kind is int:
        return value if -EXACT <= value <= EXACT else {"t": "int", "v": hex(value)}
    if depth >= DEEPEST:
        raise UnfitError(f"nested deeper than {DEEPEST} levels")
    if kind is list:
        return [encode(each, keep, depth + 1) for each in value]
    if isinstance(value, type):
        name = str(value.__name__)
        return {"t": "type", "v": name} if TYPES.get(name) is value else keep(value)
    write = WRITERS.get(kind)
    if write is None:
        write = next((writer for base, writer in WRITERS.items() if isinstance(value, base)), None)
    if write is not None:
        return write(value, lambda part: encode(part, keep, depth + 1))
    held = _held(value)
    return keep(value) if type(held) is kind else encode(held, keep, depth + 1)


def _held(value: Any) -> Any:
    """What a number of numpy's holds; any other value itself."""
    scalar: Any = getattr(sys.modules.get("numpy"), "generic", None)
    is_one = isinstance(scalar, type) and isinstance(value, scalar)
    return value.item() if is_one else value


def _sequence(name: str) -> Callable[[Any, Callable[[Any], Node]], Node]:
    return lambda value, part: {"t": name, "v": [part(each) for each in value]}


WRITERS: dict[type, Callable[[Any, Callable[[Any], Node]], Node]] = {
    tuple: _sequence("tuple"),
    dict: lambda value, part: {"t": "dict", "v": [[part(key), part(item)] for key, item in value.items()]},
    set: _sequence("set"),
    frozenset: _sequence("frozenset"),
    list: lambda value, part: [part(each) for each in value],
    str: lambda value, _: str.__str__(value),
    int: lambda value, part: part(int.__int__(value)),
    float: lambda value, _: float.__float__(value),
    complex: lambda value, _: {"t": "complex", "v": [value.real, value.imag]},
    bytes: lambda value, _: {"t": "bytes", "v": value.hex()},
    bytearray: lambda value, _: {"t": "bytearray", "v": value.hex()},
    range: lambda value, part: {"t": "range", "v": [part(value.start), part(value.stop), part(value.step)]},
    Decimal: lambda value, _: {"t": "Decimal", "v": str(value)},
    Fraction: lambda value, part: {"t": "Fraction", "v": [part(value.numerator), part(value.denominator)]},
    deque: lambda value, part: {"t": "deque", "v": [[part(each) for each in value], value.maxlen]},
}
READERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "range": lambda parts: range(*parts),
    "complex": lambda parts: complex(*parts),
    "Fraction": lambda parts: Fraction(*parts),
    "deque": lambda parts: deque(*parts),
    "dict": lambda parts: {key: item for key, item in parts},  # noqa: C416 - a pair of another length is refused
}
"""From the decoded parts."""
PLAIN_READERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "Decimal": Decimal,
    "type": TYPES.__getitem__,
}
"""From the text itself."""


def decode(node: Node, resolve: Resolve) -> Any:
    """The value of a node; `resolve` gives the value of a handle.

    Raises:
        MalformedError: it is none of ours.
    """
    try:
        return _decode(node, resolve, 0)
    except MalformedError:
        raise
    except (ValueError, TypeError, KeyError, ArithmeticError, OverflowError, RecursionError) as error:
        raise MalformedError(f"{type(error).__name__}: {error}") from error


def _decode(node: Node, resolve: Resolve, depth: int) -> Any:
    if depth > 2 * DEEPEST:
        raise MalformedError("nested too deep")
    if type(node) is list:
        return [_decode(each, resolve, depth + 1) for each in node]
    if type(node) is not dict:
        return node
    tag, value = node["t"], node["v"]
    if tag == "handle":
        return resolve(node)
    if tag in PLAIN_READERS:
        if type(value) is not str:
            raise MalformedError(f"a {tag} is no text")
        return PLAIN_READERS[tag](value)
    return READERS[tag](_decode(value, resolve, depth + 1))


def send(descriptor: int, message: Node, *, largest: int = 1 << 31) -> None:
    """Write one message.

    Raises:
        UnfitError: it is larger than `largest` bytes.
        OSError: the other side is gone.
    """
    payload = json.dumps(message).encode()
    if len(payload) > largest:
        raise UnfitError(f"a value of {len(payload)} bytes, where {largest} are allowed")
    view = memoryview(LENGTH.pack(len(payload)) + payload)
    while view:
        view = view[os.write(descriptor, view) :]


def receive(descriptor: int, *, largest: int = 1 << 31) -> Node:
    """Read one message.

    Raises:
        EOFError: the other side is gone.
        MalformedError: it is too large, or no JSON.
    """
    (length,) = LENGTH.unpack(_exactly(descriptor, LENGTH.size))
    if length > largest:
        raise MalformedError(f"a message of {length} bytes, where {largest} are allowed")
    payload = _exactly(descriptor, length)
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{type(error).__name__}: {error}"[:200]) from error


def _exactly(descriptor: int, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(descriptor, min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side is gone")
        parts += part
    return bytes(parts)
