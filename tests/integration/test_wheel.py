"""The wheel alone is the engine: it runs from an empty folder, and beside folders of the same names."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A new environment with the wheel in it; its dependencies are those of this one, to spare the index."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
        ROOT,
    ]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", wheel]
    subprocess.run(install, check=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def run(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "ENGINE_HOME": str(folder / "home")}
    command = [python, "-m", "engine", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_first_command_of_the_readme_runs_from_an_empty_folder(python, tmp_path):
    done = run(python, tmp_path, "run", "bench.toml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Final score: 9")
    assert "no bench.toml here" in done.stderr
    assert (tmp_path / "bench.db").is_file()


def test_folders_called_solvers_and_storage_are_no_trouble(python, tmp_path):
    for name in ("solvers", "storage", "engine_home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('somebody imported the wrong package')\n")
    own = "from engine import SolverStrategy\nfrom solvers import Score\n\n\nclass Mine(SolverStrategy):\n"
    own += "    def evaluation_name(self): return 'mine'\n    def compatible_datasets(self): return ['*']\n"
    own += "    async def solve(self, datum): return Score(value=1.0)\n"
    (tmp_path / "solvers" / "mine.py").write_text(own)
    done = run(python, tmp_path, "run", "bench.toml", "--limit", "20")
    assert done.returncode == 0, done.stderr
    done = run(python, tmp_path, "run", "generated:3_digit_addition", "Mine", "--model", "simulated::m", "--limit", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Final score: 3/3 - 100.00%"


def test_the_script_and_the_module_are_the_same(python, tmp_path):
    script = subprocess.run([python.parent / "engine", "--help"], capture_output=True, text=True, check=False)
    assert script.returncode == 0
    assert script.stdout == run(python, tmp_path, "--help").stdout
