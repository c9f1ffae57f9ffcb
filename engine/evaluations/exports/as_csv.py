"""CSV for spreadsheets: a row for each metric of each evaluation."""

from __future__ import annotations

from engine.evaluations.exports import Chosen
from engine.evaluations.exports.rows import ABOUT, FIGURE, figures
from engine.evaluations.text import to_csv


async def export(chosen: Chosen) -> str:
    """The rows of `figures`; text that a spreadsheet would take for a formula is made safe."""
    names = (*ABOUT, *FIGURE)
    return to_csv(names, ([row[name] for name in names] for row in figures(chosen.evaluations)))
