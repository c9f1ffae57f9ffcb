"""A page that is one file, and sorts and filters with no network."""

from __future__ import annotations

from engine.evaluations.exports import Chosen
from engine.evaluations.page import html_page


async def export(chosen: Chosen) -> str:
    """The table as a page."""
    return html_page(chosen.table)
