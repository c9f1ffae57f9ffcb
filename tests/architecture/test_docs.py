"""The documents keep up with the code: every error has its entry, every example can be read, no mark is left."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import errors
from engine.records import Fault

ROOT = Path(__file__).resolve().parents[2]
CODE = ("engine", "solvers", "storage", "benchmarks", "examples", "tests")
TEXTS = (".py", ".md", ".toml", ".sql", ".html", ".css", ".yml", ".txt")
MARK = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w/.~-])/(?:home|root|Users|work)/\w")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def modules() -> Iterator[Path]:
    for folder in CODE:
        yield from sorted((ROOT / folder).rglob("*.py"))


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def own_files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.suffix in TEXTS or path.name == "Makefile")
    for folder in (*CODE, "docs", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and (path.suffix in TEXTS or folder == ".ci") and "vendor" not in path.parts:
                yield path


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{path.relative_to(ROOT)}#{number}", text)
        for path in documents()
        for number, (tongue, text) in enumerate(BLOCK.findall(read(path)))
        if tongue == language
    ]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def error_codes() -> set[str]:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    return {value.code for value in classes if issubclass(value, errors.EngineError)} - {"engine"}


def test_every_error_code_and_every_fault_has_a_heading_in_the_list_of_errors() -> None:
    headings = re.findall(r"^#+ (.*)$", read(ROOT / "docs" / "errors.md"), re.MULTILINE)
    described = {word for heading in headings for word in re.findall(r"[a-z_]+", heading)}
    assert (error_codes() | {fault.value for fault in Fault}) - described == set()


def test_every_module_says_first_what_it_is_for() -> None:
    silent = [name_of(path) for path in modules() if read(path) and not ast.get_docstring(ast.parse(read(path)))]
    assert silent == []


def test_no_mark_is_left_behind() -> None:
    assert [name_of(path) for path in own_files() if MARK.search(read(path))] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert [name_of(path) for path in own_files() if MACHINE_PATH.search(read(path))] == []


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    assert re.search(r"^## \[?Unreleased\]?", read(ROOT / "CHANGELOG.md"), re.MULTILINE)


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{name_of(path)}: {target}"
        for path in documents()
        for target in LINK.findall(read(path))
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_test_that_the_architecture_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", read(ROOT / "ARCHITECTURE.md"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = read(folder / "0000-index.md")
    assert [path.name for path in sorted(folder.glob("*.md")) if f"({path.name})" not in index][1:] == []


def test_the_readme_opens_with_the_two_commands() -> None:
    first = BLOCK.search(read(ROOT / "README.md"))
    assert first is not None
    assert first.groups() == ("sh", "make run\nmake test\n")


@pytest.mark.parametrize(("where", "text"), blocks("python"))
def test_every_python_example_can_be_read(where: str, text: str) -> None:
    ast.parse(text, filename=where)


@pytest.mark.parametrize(("where", "text"), blocks("toml"))
def test_every_toml_example_can_be_read(where: str, text: str) -> None:
    assert tomllib.loads(text), where


def test_the_solver_in_the_readme_is_a_solver() -> None:
    from solvers import SolverStrategy

    text = next(text for where, text in blocks("python") if where.startswith("README.md") and "SolverStrategy" in text)
    names: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), names)
    made = [value for value in names.values() if isinstance(value, type) and issubclass(value, SolverStrategy)]
    solver = made[-1](dataset_ref=[], model="simulated::calculator")
    assert solver.evaluation_name()
    assert solver.compatible_datasets()
