"""Values go over as data: what comes out is what went in, and nothing else gets in."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, OrderedDict, deque, namedtuple
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sandbox.inside import wire

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.fractions()
)
HASHABLE = st.recursive(SCALARS, lambda part: st.tuples(part, part) | st.frozensets(part, max_size=3), max_leaves=5)
VALUES = st.recursive(
    HASHABLE,
    lambda part: (
        st.lists(part, max_size=4)
        | st.dictionaries(HASHABLE, part, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.tuples(part, part)
    ),
    max_leaves=12,
)


def refuse(value: Any) -> Any:
    raise AssertionError(value)


def over(value: Any) -> Any:
    return wire.decode(json.loads(json.dumps(wire.encode(value, refuse))), refuse)


def shape(value: Any) -> Any:
    """The value with the types of all its parts."""
    if isinstance(value, (list, tuple, deque)):
        return type(value), [shape(each) for each in value]
    if isinstance(value, dict):
        return dict, [(shape(key), shape(each)) for key, each in value.items()]
    return type(value), value


@given(VALUES)
def test_a_value_comes_out_as_it_went_in(value: Any) -> None:
    assert shape(over(value)) == shape(value)


@pytest.mark.parametrize(
    "value",
    [
        1 << 53,
        -(10**5000),
        -0.0,
        math.inf,
        "\0\ud800",
        range(3, -9, -2),
        bytearray(b"\xff"),
        deque([1, [2]], maxlen=4),
        [int, dict, type(None), Fraction],
        {(1, "a"): {frozenset({2})}},
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else str(value.bit_length()),
)
def test_odd_values_come_out_as_they_went_in(value: Any) -> None:
    assert shape(over(value)) == shape(value)
    assert math.copysign(1, over(-0.0)) == -1


def test_a_nan_stays_one() -> None:
    assert math.isnan(over(math.nan))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (namedtuple("Point", "x y")(1, 2), (1, 2)),  # noqa: PYI024
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (type("Always", (int,), {"__eq__": lambda *_: True, "__hash__": lambda _: 0})(7), 7),
        (type("Name", (str,), {})("x"), "x"),
    ],
)
def test_a_subclass_goes_over_as_what_it_holds(value: Any, plain: Any) -> None:
    assert shape(over(value)) == shape(plain)


def test_anything_else_is_kept() -> None:
    def kept(_: Any) -> Any:
        return {"t": "handle", "v": 7}

    assert wire.decode(wire.encode([print, type(test_a_nan_stays_one)], kept), lambda node: node["v"]) == [7, 7]


def test_nesting_has_an_end() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(wire.UnfitError, match="nested deeper"):
        wire.encode(value, refuse)


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"t": "nothing", "v": 1},
        {"t": "int", "v": 5},
        {"t": "int", "v": "eval"},
        {"t": "type", "v": "open"},
        {"t": "type", "v": "__import__"},
        {"t": "set", "v": [[]]},
        {"t": "tuple", "v": 5},
        {"t": "dict", "v": [[1]]},
        {"t": "dict", "v": [[1, 2, 3]]},
        {"t": "range", "v": [1, 2, 0]},
        {"t": "range", "v": "abc"},
        {"t": "Fraction", "v": [1, 0]},
        {"t": "Decimal", "v": "x"},
        {"t": "bytes", "v": "zz"},
        {"t": [], "v": 1},
        {"t": "complex", "v": [1, 2, 3]},
        {"t": "deque", "v": [5]},
    ],
)
def test_what_is_none_of_ours_is_refused(node: Any) -> None:
    with pytest.raises(wire.MalformedError):
        wire.decode(node, refuse)


@pytest.mark.parametrize(
    "sent",
    [b"\xff\xff\xff\xff", b"\0\0\0\4!!!!", b"\0\0\0\5" + b"1" * 5 + b"x", b"\0\0\x27\x10" + b"9" * 10_000],
    ids=["4 GB", "no JSON", "short", "digits"],
)
def test_a_message_that_is_none_is_refused(sent: bytes) -> None:
    here, there = os.pipe()
    os.write(there, sent)
    os.close(there)
    if sent.endswith(b"x"):
        assert wire.receive(here, largest=20_000) == 11111
    else:
        with pytest.raises(wire.MalformedError):
            wire.receive(here, largest=20_000)
    os.close(here)


def test_the_end_of_the_line_is_told_apart() -> None:
    here, there = os.pipe()
    os.write(there, b"\0\0\0\4ab")
    os.close(there)
    with pytest.raises(EOFError):
        wire.receive(here)
    os.close(here)


def test_a_message_that_is_too_large_is_not_sent() -> None:
    here, there = os.pipe()
    with pytest.raises(wire.UnfitError):
        wire.send(there, "x" * 100, largest=50)
    os.close(there)
    assert os.read(here, 1) == b""
    os.close(here)
