"""Imports point down only: the contracts of `[tool.importlinter]` hold, and each of them would catch a breach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "solvers", "storage")
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"

BREACHES = {
    "engine/errors.py": "from engine.records import Fault\nimport engine.ports\n",
    "engine/calls/breach_a.py": "import engine.calls.breach_b\n",
    "engine/calls/breach_b/__init__.py": "import engine.calls.breach_a\n",
    "engine/breach_c.py": "import solvers\n",
    "solvers/breach_d.py": "import engine.plan\n",
    "engine/endpoints/breach_e.py": "def late():\n    import openai\n",
    "engine/scoring/breach_f.py": "def late():\n    import datasets\n",
}
"""One file for each contract, and a module that no layer names."""


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    command = [sys.executable, "-c", LINT]
    return subprocess.run(command, cwd=tree, env=environment, text=True, capture_output=True, check=False)


def contract_names() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]]


def test_every_contract_about_imports_is_kept() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_about_imports_catches_a_breach(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in BREACHES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    result = lint_imports(tmp_path)

    lines = result.stdout.splitlines()
    kept = [name for name in contract_names() if not any(name in line and "BROKEN" in line for line in lines)]
    assert kept == [], result.stdout + result.stderr
