"""Modules and functions stay short enough to be read at one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "solvers", "storage", "benchmarks", "examples", "tests")
LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
LONGEST_RUN_LOOP = 100


def modules() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_is_longer_than_400_lines() -> None:
    too_long = {str(path.relative_to(ROOT)): length(path) for path in modules() if length(path) > LONGEST_MODULE}
    assert too_long == {}


def test_no_function_is_longer_than_50_lines() -> None:
    too_long = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in modules()
        for name, lines in functions(path)
        if lines > LONGEST_FUNCTION
    }
    assert too_long == {}


def test_the_run_loop_fits_on_a_page() -> None:
    assert length(ROOT / "engine" / "run.py") <= LONGEST_RUN_LOOP
