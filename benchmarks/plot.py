"""The figures of CPU a task as one picture: a bar for each contestant, grouped by requests in flight; plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.report import Figure

WIDTH, LEFT, RIGHT, BAR, GAP = 760, 210, 90, 18, 14
COST = ", CPU"
COLOURS = {"engine": "#1f6f5c"}
OTHERS = "#b9c2c9"


def as_svg(figures: Sequence[Figure], caption: str) -> str:
    """The picture; empty where no cost a task was measured."""
    costs = [each for each in figures if each.name.endswith(COST) and each.unit == "ms/task"]
    if not costs:
        return ""
    parts: list[str] = []
    y, scenario, longest = 30, "", 0.0
    for each in costs:
        if each.scenario != scenario:
            scenario, y = each.scenario, y + GAP + BAR
            longest = max(other.high for other in costs if other.scenario == scenario)
            parts.append(_text(0, y - 6, f"{scenario}: CPU a task, ms", weight="bold"))
        parts.append(_bar(each, y, longest))
        y += BAR + 4
    lines = [_text(0, y + 24 + 14 * n, line, size=10) for n, line in enumerate(_wrapped(caption, 120))]
    height = y + 24 + 14 * len(lines)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {WIDTH + 20} {height}" '
        f'font-family="system-ui, sans-serif" fill="#223">'
    )
    title = _text(
        0, 20, "What a task costs, start-up subtracted (median of rounds; whiskers: lowest, highest)", size=14
    )
    return "\n".join(
        [head, '<rect x="-10" width="100%" height="100%" fill="#fff"/>', title, *parts, *lines, "</svg>\n"]
    )


def _bar(each: Figure, y: int, longest: float) -> str:
    name = each.name.removesuffix(COST)
    scale = (WIDTH - LEFT - RIGHT) / longest
    middle = y + BAR / 2
    low, high, end = (LEFT + value * scale for value in (each.low, each.high, each.value))
    return "".join(
        [
            _text(LEFT - 8, y + 13, name, anchor="end", weight="bold" if name in COLOURS else "normal"),
            f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" fill="{COLOURS.get(name, OTHERS)}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="#223" stroke-width="1"/>',
            _text(int(max(end, high)) + 6, y + 13, f"{each.value:.3g}"),
        ]
    )


def _text(x: int, y: int, words: str, *, size: int = 12, anchor: str = "start", weight: str = "normal") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(words)}</text>'


def _wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
