"""`python -m benchmarks`: measure what the engine costs beside bare loops and peers, and keep the figures."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from benchmarks import servers
from benchmarks.contestants import Ground, file_system, real_folder
from benchmarks.peers import found_peers
from benchmarks.plot import as_svg
from benchmarks.report import Figure, as_text, conditions, keep, said
from benchmarks.scenarios import SCENARIOS, Bench

RESULTS = Path(__file__).resolve().parent / "results"


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these scenarios")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the median counts")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of a measured run")
    parser.add_argument("--long", action="store_true", help="200,000 tasks where flatness and memory are measured")
    parser.add_argument("--folder", type=Path, help="a folder on a real disk; the temporary folder without")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="inspect=..., lm-eval=...")
    parser.add_argument("--save", default="", metavar="NAME", help="keep the figures in benchmarks/results")
    return parser.parse_args()


def main() -> int:
    """Measure, print the table, and keep it where that was asked for; 0 where every bar is met, else 1."""
    asked = options()
    peers = found_peers(asked.peer)
    folder = real_folder(asked.folder)
    figures: list[Figure] = []
    try:
        with servers.fastest(folder) as server:
            bench = Bench(
                ground=Ground(folder),
                server=server,
                rounds=asked.rounds,
                tasks=asked.tasks,
                long=asked.long,
                peers={name: peer for name, (_, peer) in peers.items()},
                tell=_tell,
            )
            for name in asked.only:
                began = time.perf_counter()
                _tell(name)
                figures += SCENARIOS[name](bench)
                _tell(f"{name}: {time.perf_counter() - began:.0f} s")
            held = conditions(server.kind, file_system(folder))
            held["versions"] |= {name: version for name, (version, _) in peers.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(as_text(figures))
    if asked.save:
        print(f"\nkept in {keep(RESULTS, asked.save, figures, held)}")
        picture = as_svg(figures, said(held))
        if picture:
            (RESULTS / f"{asked.save}.svg").write_text(picture)
    return int(any(each.met is False for each in figures))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
