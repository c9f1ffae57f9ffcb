"""Starting is cheap: what a light command does not need, it does not import; counted by modules, not by a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = frozenset({"datasets", "openai", "scipy", "pandas", "numpy", "pyarrow", "fastapi", "ray"})

IMPORT = """
import json, sys
import engine
print(json.dumps([0, sorted(sys.modules)]))
"""
CALLS = """
import json, sys
import engine.api, engine.providers, engine.endpoints.openai_chat
print(json.dumps([0, sorted(sys.modules)]))
"""
COMMAND = """
import contextlib, io, json, runpy, sys
sys.argv = ["engine", *sys.argv[1:]]
code, shown = 0, io.StringIO()
try:
    with contextlib.redirect_stdout(shown):
        runpy.run_module("engine", run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]))
"""


def imported_by(script: str, *arguments: str) -> set[str]:
    """Top-level packages that are imported once the script, in an interpreter of its own, has ended well."""
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=True,
    )
    code, names = json.loads(result.stdout.splitlines()[-1])
    assert code in (0, None), result.stderr
    return {name.partition(".")[0] for name in names}


def test_import_engine_imports_nothing_heavy() -> None:
    assert imported_by(IMPORT) & HEAVY == set()


@pytest.mark.parametrize("command", ["--help", "run --help", "check bench.toml"])
def test_a_light_command_imports_nothing_heavy(command: str) -> None:
    assert imported_by(COMMAND, *command.split()) & HEAVY == set()


def test_calls_import_no_other_http_client() -> None:
    assert imported_by(CALLS) & (HEAVY | {"aiohttp", "httpx", "h11"}) == set()
