"""What a solver is made of: its own files, and nothing that was installed beside it."""

from __future__ import annotations

import gc
import importlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.load import find_solver
from engine.source import solver_code

SOLVER = """
{imports}
from engine import SolverStrategy


class Mine(SolverStrategy):
    def evaluation_name(self): return "mine"
    def compatible_datasets(self): return ["*"]
    def solve(self, datum): return {verdict}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a solver, helpers, and a virtual environment as most projects have one."""
    folder = tmp_path / "project"
    installed = folder / ".venv" / "lib" / "python3" / "site-packages"
    for path in (folder / "helpers", folder / "helpers" / "deep", folder / "other", installed / "dependency"):
        path.mkdir(parents=True)
        (path / "__init__.py").write_text("VALUE = 1\n")
    (folder / "helpers" / "names.py").write_text("VALUE = 1\n")
    (folder / "other" / "names.py").write_text("VALUE = 1\n")
    (installed / "compiled.py").write_bytes(b"VALUE = 1\n")
    monkeypatch.setattr(sys, "path", [str(folder), str(installed), *sys.path])
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def code(folder: Path, imports: str, verdict: str = "True") -> str:
    for name in [name for name in sys.modules if name.split(".")[0] in ("helpers", "other", "dependency", "compiled")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    (folder / "mine.py").write_text(SOLVER.format(imports=imports, verdict=verdict))
    return solver_code(find_solver("mine.py:Mine", folder=folder), {}).source


@pytest.mark.parametrize(
    ("imports", "changed"),
    [
        ("from helpers import VALUE", "helpers/__init__.py"),
        ("import helpers.names", "helpers/names.py"),
        ("import helpers.names, other.names", "helpers/names.py"),
        ("import helpers.names, other.names", "other/names.py"),
        ("from helpers.deep import VALUE", "helpers/deep/__init__.py"),
    ],
)
def test_a_change_to_a_file_of_its_own_is_seen(project, imports, changed):
    before = code(project, imports)
    assert code(project, imports) == before
    (project / changed).write_text("VALUE = 2\n")
    assert code(project, imports) != before


@pytest.mark.parametrize("name", ["dependency/__init__.py", "compiled.py"])
def test_what_is_installed_beside_it_is_no_part_of_it(project, name):
    imports = f"from {name.split('/')[0].removesuffix('.py')} import VALUE\nimport json, asyncio"
    before = code(project, imports)
    next(project.rglob(name)).write_bytes(b"VALUE = 2  # and more\n")
    assert code(project, imports) == before


def test_a_compiled_module_in_its_folder_is_not_read_as_text(project):
    (project / "native.so").write_bytes(b"\0\0")
    (project / "wraps.py").write_text("import types, sys\nnative = types.ModuleType('native')\nnative.__file__ = "
                                      f"{str(project / 'native.so')!r}\nsys.modules['native'] = native\n")  # fmt: skip
    assert code(project, "import wraps\nimport native")


def test_a_file_with_the_name_of_a_built_in_one_hides_nothing(project):
    imports = "from solvers.gsm8k import read_row\nimport gsm8k"
    (project / "gsm8k.py").write_text("VALUE = 1\n")
    before = code(project, imports)
    (project / "gsm8k.py").write_text("VALUE = 2\n")
    del sys.modules["gsm8k"]
    assert code(project, imports) != before


def test_a_class_that_is_in_no_file_goes_by_what_it_does():
    def typed(verdict: str) -> str:
        names: dict[str, object] = {"__name__": "__nowhere__"}
        exec(SOLVER.format(imports="", verdict=verdict), names)
        return solver_code(names["Mine"], {}).source  # type: ignore[arg-type]

    assert typed("True") == typed("True")
    assert typed("True") != typed("datum['x'] == 'y'")
    assert typed("datum['x'] == 'y'") != typed("datum['x'] == 'z'")


def test_runs_that_are_prepared_in_several_threads_do_not_mind_each_other():
    solvers = [find_solver(name, folder=Path()) for name in ("GSM8KSolverStrategy", "TemplateSolver")]

    def give_way(*_: object) -> None:  # a collection in the middle of a parse lets another thread parse
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda number: solver_code(solvers[number % 2], {}).source, range(48)))
    finally:
        gc.callbacks.remove(give_way)
        gc.set_threshold(*threshold)
    assert len(found) == 2
