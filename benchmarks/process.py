"""One command as a process of its own, and what it used: CPU, time, memory; of all its threads and children."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OWN = Path(__file__).resolve().parents[1]
"""The repository; processes find `engine` and `benchmarks` there, whatever folder they run in."""
LAST_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a process used from its start to its end."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    printed: str
    ended_at: float
    """Seconds since the epoch."""


def run(command: Sequence[str], *, folder: Path, variables: Mapping[str, str] | None = None) -> Spent:
    """Run the command in the folder to its end.

    Raises:
        RuntimeError: it ended with another exit code than 0; the end of what it said is in the message.
    """
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as printed, err.open("wb") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(variables or {}), stdin=subprocess.DEVNULL, stdout=printed, stderr=said
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = (out.read_text(errors="replace") + err.read_text(errors="replace"))[-LAST_CHARACTERS:]
        raise RuntimeError(f"exit code {process.returncode} of {' '.join(command)}:\n{last}")
    return Spent(
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=wall_s,
        peak_mb=used.ru_maxrss / 1024,
        printed=out.read_text(errors="replace"),
        ended_at=time.time(),
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's variables without settings of the engine or keys of providers, and with these.

    What Python compiles is kept as by default: an image that forbids it would have everyone compile at each start.
    """
    ours = ("ENGINE_", "OPENAI_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(OWN), "PYTHONHASHSEED": "0", **variables}
