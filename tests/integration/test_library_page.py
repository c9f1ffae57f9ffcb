"""What docs/library.md shows runs as it stands, and prints what stands under it."""

from __future__ import annotations

import inspect
import re
import sys
from typing import get_args

import anyio
import pytest

from engine import events
from engine.api import Choice, Engine, Mode, Order
from tests.support import ROOT, environment

TEXT = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_each_program_says_what_it_prints():
    assert len(PROGRAMS) == TEXT.count("```python") == 4


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
async def test_a_program_prints_what_stands_under_it_and_nothing_else(tmp_path, number):
    program, prints = PROGRAMS[number]
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    words = [sys.executable, "program.py"]
    with anyio.fail_after(90):
        done = await anyio.run_process(
            words, cwd=tmp_path, env=environment(tmp_path / "home", PYTHONIOENCODING="utf-8"), check=False
        )
    assert (done.stdout.decode(), done.stderr.decode()) == (prints, "")


@pytest.mark.parametrize("what", [Engine, Choice, Mode, Order])
def test_each_argument_of_a_public_class_is_named(what):
    internal = {"places", "api_key_env", "check_compatibility"}
    for name in set(inspect.signature(what).parameters) - internal:
        assert re.search(rf"`{name}`|\b{name}=", TEXT), name


def test_each_event_and_method_is_named():
    for event in get_args(events.Event):
        assert f"`{event.__name__}`" in TEXT, event
    methods = [name for name, each in vars(Engine).items() if inspect.isfunction(each) and not name.startswith("_")]
    for name in methods:
        assert f"`{name}(" in TEXT or f", `{name}(" in TEXT, name
