"""Where keys stand in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.toml_lines import key_lines


def paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(paths(item, (*path, key)) for key, item in items))


AWKWARD = '''# [not.a.table]
title = "a # [b] \\" c"  # comment = 1
"quoted.key" = 'x = [1]'
a.b."c.d" = 1
when = 1979-05-27 07:32:00
text = """
[no.table]
k = 1 \\""" still """""
raw = \'\'\'
]] = \'\'\'\'
list = [ # first
  1, "two ]", [3,
  4], { x = 1, y.z = [5] },
]
[t . "u v"]
empty = {}
[[items]]
n = 1
[[items.sub]]
m = 2
[[items.sub]]
m = 3
[items.table]
k = 4
[[items]]
[items.table]
k = 5
'''


def test_every_key_of_an_awkward_text_is_found_on_its_line() -> None:
    found = key_lines(AWKWARD)
    assert set(found) == paths(tomllib.loads(AWKWARD))
    source = AWKWARD.split("\n")
    for path, start in {
        ("title",): "title",
        ("a", "b", "c.d"): "a.b.",
        ("raw",): "raw",
        ("list", 2, 1): "  4]",
        ("list", 3, "y", "z", 0): "  4]",
        ("t", "u v", "empty"): "empty",
        ("items", 0, "sub", 1, "m"): "m = 3",
        ("items", 1, "table", "k"): "k = 5",
    }.items():
        assert source[found[path] - 1].startswith(start)
    assert set(key_lines(AWKWARD.replace("\n", "\r\n"))) == set(found)


VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(st.sampled_from("ab\"'\\#[]{}=,\n"), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\"' ", max_size=3), inner, max_size=3),
    max_leaves=12,
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[ # ]\n" + ",\n".join(map(toml, value)) + "\n]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value).lower()


@given(st.dictionaries(st.text("ab.\"' ", max_size=3), VALUES, max_size=4))
def test_every_path_of_any_text_is_found(table: dict[str, Any]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())
    assert tomllib.loads(text) == table
    assert set(key_lines(text)) == paths(table)
