"""A bundle is the text of a stranger: it chooses no file of the machine that verifies it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.app import run_command_line
from tests.proof_kit import first, rewritten, told

SOLVER = """
from pathlib import Path
from solvers import SolverStrategy

class Reader(SolverStrategy):
    def __init__(self, dataset_ref, model="", agent="", *, shots: str = "", words: list = []):
        super().__init__(model, agent)
        self.shots = shots
        self.shown = ""
        for each in [shots, *words]:
            if each in dataset_ref.splits:
                self.shown += dataset_ref[each][0]["word"]
            elif each and Path(each).expanduser().is_file():
                self.shown += Path(each).expanduser().read_text()
                Path("was-read").write_text(self.shown)

    def evaluation_name(self):
        return "reader"

    def compatible_datasets(self):
        return ["*"]

    async def solve(self, datum):
        text = await self.start_inference_session().run_task(f"{self.shown} {datum['word']}")
        return bool(text)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of a run whose solver read a file that an option names."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "reader.py").write_text(SOLVER)
    (folder / "data").mkdir()
    (folder / "data" / "test.jsonl").write_text('{"word": "a"}\n{"word": "b"}\n')
    (folder / "data" / "dev.jsonl").write_text('{"word": "c"}\n')
    (folder / "shots.txt").write_text("an example")
    run = ("run", "data", "reader.py:Reader", "--model", "simulated::calculator", "--subset", "test", "--record")
    for shots, name in (("shots.txt", "proof.bundle"), ("dev", "split.bundle")):
        told(folder, *run, "--shots", shots, "-q")
        told(folder, "evaluation", "bundle", "latest", "--output", name)
    return folder


@pytest.fixture
def verify(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Verifies the bundle with other options, in a folder that has files of its own."""
    (tmp_path / "own.txt").write_text("nobody's business")
    (tmp_path / "dev").write_text("a file with the name of a split")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def work(options: dict[str, Any] | None, *more: str, bundle: str = "proof.bundle") -> int:
        path = Path(shutil.copy(made / bundle, tmp_path / bundle))
        if options is not None:
            rewritten(path, lambda lines: first(lines, "run").update(options=options))
        return run_command_line(["verify", str(path), "--solver", f"{made / 'reader.py'}:Reader", *more])

    return work


@pytest.mark.parametrize(
    "options",
    [
        {"shots": "own.txt"},
        {"shots": "./own.txt"},
        {"shots": "~/own.txt"},
        {"shots": "/etc/passwd"},
        {"shots": "/etc/"},
        {"shots": "/dev/stdin"},
        {"words": ["fine", "own.txt"]},
        {"words": [["own.txt"]]},
    ],
)
def test_an_option_of_a_bundle_that_names_a_file_of_this_machine_is_refused(verify, capsys, options):
    assert verify(options) == 1
    [name] = options
    said = capsys.readouterr().out
    assert f"the option {name} of the bundle names " in said
    assert "--local-files" in said
    assert "not verified: nothing was scored again" in said
    assert not Path("was-read").exists()


@pytest.mark.parametrize("value", ["word\0word", "x" * 10_000, "~nobody-there/x", "no/such/file", "hub/owner::model"])
def test_what_names_no_file_is_an_option_as_any_other(verify, capsys, value):
    verify({"shots": value})
    assert "of the bundle names" not in capsys.readouterr().out
    assert not Path("was-read").exists()


def test_a_split_of_the_bundle_is_a_split_whatever_lies_here(verify):
    assert verify(None, bundle="split.bundle") == 0
    assert not Path("was-read").exists()


def test_whoever_has_the_file_may_let_it_be_read(verify, made, capsys):
    Path("shots.txt").write_text("an example")
    assert verify(None) == 1
    assert "the option shots of the bundle names 'shots.txt'" in capsys.readouterr().out
    assert verify(None, "--local-files") == 0
    assert "other words" not in capsys.readouterr().out
    assert Path("was-read").read_text() == "an example"
