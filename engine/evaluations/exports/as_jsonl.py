"""JSON lines: one for each evaluation, with everything that is known of it."""

from __future__ import annotations

import json

from engine.evaluations.exports import Chosen


async def export(chosen: Chosen) -> str:
    """A line for each evaluation; fractions stay fractions."""
    return "\n".join(json.dumps(each.as_dict(), ensure_ascii=False) for each in chosen.evaluations)
