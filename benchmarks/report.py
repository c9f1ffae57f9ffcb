"""Figures with their bars, as a table for people, as Markdown and as JSON; with the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.paired import Middle

SHOWN = ("aiohttp", "uvloop", "anyio", "aiosqlite", "openai", "httpx2")
HEADINGS = ("scenario", "figure", "median", "lowest - highest", "bar", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number; `most` or `least` is the bar where it has one."""

    scenario: str
    name: str
    value: float
    unit: str
    low: float
    high: float
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.most is None and self.least is None:
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        bar = f"<= {_short(self.most)}" if self.most is not None else ""
        bar = f">= {_short(self.least)}" if self.least is not None else bar
        met = {None: "", True: "yes", False: "NO"}[self.met]
        spread = "" if self.low == self.high else f"{_short(self.low)} - {_short(self.high)}"
        return (self.scenario, self.name, f"{_short(self.value)} {self.unit}".strip(), spread, bar, met)


def figure(
    scenario: str, name: str, middle: Middle, unit: str = "", *, most: float | None = None, least: float | None = None
) -> Figure:
    """A figure from the middle of rounds."""
    return Figure(
        scenario=scenario,
        name=name,
        value=middle.value,
        unit=unit,
        low=middle.low,
        high=middle.high,
        most=most,
        least=least,
    )


def conditions(server: str, file_system: str) -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": re.sub(
            r"(inspect|lm-eval)=\S+", r"\1=PYTHON", " ".join(["python", "-m", "benchmarks", *sys.argv[1:]])
        ),
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, {_memory_gb():.0f} GB, disk {file_system or 'unknown'}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "server": server,
        "versions": {name: found for name in SHOWN if (found := _version(name))},
    }


def as_text(figures: Sequence[Figure]) -> str:
    """The table for a terminal."""
    rows = [HEADINGS, *(each.cells for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def said(held: dict[str, Any]) -> str:
    """What the figures hold for, in one sentence."""
    versions = ", ".join(f"{name} {found}" for name, found in held["versions"].items())
    measured = f"Measured {held['date']} on {held['machine']}; {held['system']}, Python {held['python']}, {versions}"
    return f"{measured}; server: {held['server']}; load average at the end: {held['load']}."


def as_markdown(figures: Sequence[Figure], held: dict[str, Any]) -> str:
    """The same with what it holds for."""
    lines = [
        said(held),
        "",
        f"    {held['command']}",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| {' | '.join(each.cells)} |" for each in figures),
    ]
    return "\n".join(lines) + "\n"


def keep(folder: Path, name: str, figures: Sequence[Figure], held: dict[str, Any]) -> Path:
    """Write `name.json` and `name.md`; gives the path of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {**held, "figures": [{**asdict(each), "met": each.met} for each in figures]}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    page = folder / f"{name}.md"
    page.write_text(as_markdown(figures, held))
    return page


def _short(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
