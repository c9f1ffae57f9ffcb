"""What is compared: the engine as a process, the bare loops, and peers that happen to be installed."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import process
from benchmarks.answering import TEXT
from benchmarks.bare import prompt
from benchmarks.paired import Contestant
from benchmarks.process import Spent

SOLVER = ("TemplateSolver", "--prompt", "Say {input}", "--target", "{output}", "--scorer", "exact")
PLENTY = 10_000


@dataclass(slots=True)
class Ground:
    """A folder on a real disk: the datasets, and a fresh place for each process."""

    folder: Path
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def rows(self, count: int) -> Path:
        """A JSONL file of this many rows, made when first asked for."""
        path = self.folder / f"items-{count}.jsonl"
        if not path.exists():
            with path.open("w") as file:
                for number in range(count):
                    file.write(json.dumps({"input": prompt(number).removeprefix("Say "), "output": TEXT}) + "\n")
        return path

    def place(self) -> Path:
        """A new empty folder."""
        path = self.folder / f"place-{next(self._number)}"
        path.mkdir()
        return path


def engine(
    words: Sequence[str], *, place: Path, variables: Mapping[str, str] | None = None, launcher: Sequence[str] = ()
) -> Spent:
    """`python -m engine WORDS` in the place, which is its home as well."""
    command = [*(launcher or (sys.executable, "-m", "engine")), *words]
    return process.run(command, folder=place, variables={"ENGINE_HOME": str(place / "home"), **(variables or {})})


def run_words(rows: Path, base_url: str, in_flight: int, *more: str) -> list[str]:
    """The words of the run that everything here measures: default settings, a short prompt."""
    return ["run", str(rows), *SOLVER, "--model", f"{base_url}::m", "--max_concurrent", str(in_flight), *more]


def engine_runs(ground: Ground, base_url: str, in_flight: int, few: int, many: int) -> Contestant:
    """Whole `engine run` processes with a new store each, on disk."""

    def start(tasks: int) -> Spent:
        place = ground.place()
        try:
            return engine(run_words(ground.rows(tasks), base_url, in_flight), place=place)
        finally:
            shutil.rmtree(place)

    return Contestant(name="engine", start=start, few=few, many=many)


def bare_loop(loop: str, ground: Ground, base_url: str, in_flight: int, few: int, many: int) -> Contestant:
    """A loop of `benchmarks.bare`."""

    def start(tasks: int) -> Spent:
        command = [sys.executable, "-m", "benchmarks.bare", loop, base_url, str(tasks), str(in_flight)]
        return process.run(command, folder=ground.folder)

    return Contestant(name=f"bare {loop}", start=start, few=few, many=many)


def real_folder(asked: Path | None) -> Path:
    """A new folder that is on a disk, not in memory.

    Raises:
        RuntimeError: none of the usual places is on a disk.
    """
    for place in (asked,) if asked else (Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()):
        if place.is_dir() and file_system(place) not in {"tmpfs", "ramfs"}:
            return Path(tempfile.mkdtemp(prefix="engine-bench-", dir=place))
    raise RuntimeError("no folder on a real disk was found; name one with --folder")


def file_system(folder: Path) -> str:
    """The type of the file system the folder is on; empty where the system does not tell."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = {Path(point): kind for _, point, kind, *_ in map(str.split, lines)}
    return next((mounts[each] for each in (folder.resolve(), *folder.resolve().parents) if each in mounts), "")
