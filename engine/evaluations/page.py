"""The table as one HTML file that sorts and filters by itself, with no network."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from engine.evaluations.cells import column_text, figure, plain
from engine.evaluations.evaluation import COUNT, FRACTION, Metric
from engine.evaluations.table import Cell, Row, Table

HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'">
<title>Evaluations</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; --line: #8883; --soft: #8881; --ink: #3b6fd4 }
body { margin: 2rem; max-width: max-content }
h1 { font-size: 1.5rem; margin: 0 0 .25rem }
p { margin: .25rem 0 }
label { font-weight: 600 }
input { font: inherit; font-weight: 400; padding: .3rem .6rem; min-width: 18rem; border: 1px solid var(--line); \
border-radius: .4rem }
table { border-collapse: separate; border-spacing: 0; margin-top: 1rem }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .8rem; text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: Canvas; border-bottom: 2px solid #8888; z-index: 1 }
thead th.number { text-align: right }
thead button { white-space: nowrap; font: inherit; font-weight: 600; border: 0; padding: 0; background: none; \
color: inherit; cursor: pointer; text-align: inherit }
thead button::after { content: " ↕"; opacity: .35 }
thead th[aria-sort=ascending] button::after { content: " ▲"; opacity: 1 }
thead th[aria-sort=descending] button::after { content: " ▼"; opacity: 1 }
tbody tr:hover { background: var(--soft) }
tbody th { font-weight: 600; overflow-wrap: anywhere; max-width: 24rem }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.number small { display: block }
.track { display: block; position: relative; height: 4px; min-width: 7rem; margin: .2rem 0; \
border-radius: 2px; background: var(--soft) }
.track::before { content: ""; position: absolute; height: 4px; border-radius: 2px; background: var(--ink); \
opacity: .45; left: var(--low); right: calc(100% - var(--high)) }
.track::after { content: ""; position: absolute; width: 2px; height: 8px; top: -2px; background: var(--ink); \
left: calc(var(--at) - 1px) }
small { opacity: .75 }
</style>
<h1>Evaluations</h1>
"""
SCRIPT = """<script>
const table = document.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
const field = document.getElementById("filter"), count = document.getElementById("count");
function filter() {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    shown += !row.hidden;
  }
  count.textContent = shown + " of " + rows.length;
}
function sort(head) {
  const down = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down);
  const sign = down === "descending" ? -1 : 1, at = head.cellIndex;
  const value = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const missing = row => value(row) === "";
  rows.sort((a, b) => missing(a) - missing(b) || sign * (
    "value" in a.cells[at].dataset && "value" in b.cells[at].dataset
      ? value(a) - value(b) : value(a).localeCompare(value(b))));
  body.replaceChildren(...rows);
}
table.tHead.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) sort(button.parentElement);
});
field.addEventListener("input", filter);
filter();
</script>
"""


MOST_BANDS = 5_000
"""Cells of a table that may have a band each; a browser takes seconds to sort more of them."""


def html_page(table: Table) -> str:
    """The table as a page: figures with interval, n and lost tasks; everything from outside is escaped.

    It holds no time of its own, so that the same evaluations make the same page.
    """
    head = "".join(_heading(table, name) for name in table.columns)
    banded = len(table.rows) * len(table.columns) <= MOST_BANDS
    body = "\n".join(_row(row, table.columns, banded=banded) for row in table.rows)
    grid = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"
    return f"{HEAD}{_about(table)}{grid}{_note(table)}{SCRIPT}</html>\n"


def _about(table: Table) -> str:
    newest = max((each.created_at for row in table.rows for each in row.evaluations), default=0.0)
    day = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")
    told = f"the newest of {day}" if newest else "nothing is recorded yet"
    return (
        f"<p><small>{len(table.rows)} rows, {told}</small></p>\n"
        '<p><label>Filter <input id="filter" type="search" placeholder="model, provider, figure …"></label> '
        '<span id="count" role="status"></span></p>\n'
    )


def _note(table: Table) -> str:
    left_out = f" {table.left_out} of {len(table.metrics)} metrics are left out." if table.left_out else ""
    return (
        "<p><small>Scores are percent; the band is their 95 % interval, n is how many tasks have a value, lost how "
        f"many ended without one. A heading sorts.{left_out}</small></p>\n"
    )


def _heading(table: Table, name: str) -> str:
    title = f"{name} %" if table.is_percent(name) else name
    kind = ' class="number"' if name in table.metrics else ""
    return f'<th scope="col"{kind}><button type="button">{_text(title)}</button></th>'


def _row(row: Row, columns: tuple[str, ...], *, banded: bool) -> str:
    first, *rest = columns
    cells = "".join(_cell(row, name, banded=banded) for name in rest)
    return f'<tr><th scope="row">{_text(column_text(row, first))}</th>{cells}</tr>'


def _cell(row: Row, name: str, *, banded: bool) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return f"<td>{_text(column_text(row, name))}</td>"
    metric = cell.metric
    value = "" if metric.value is None else f"{metric.value!r}"
    shown = _text(figure(metric.value, metric.unit))
    band = _track(metric) if banded else ""
    return f'<td class="number" data-value="{value}">{shown}{band}{_doubt(cell)}</td>'


def _track(metric: Metric) -> str:
    """The interval as a band between 0 and 100 %."""
    if metric.unit != FRACTION or metric.value is None or metric.ci_low is None or metric.ci_high is None:
        return ""
    places = {"low": metric.ci_low, "high": metric.ci_high, "at": metric.value}
    style = ";".join(f"--{name}:{100 * min(max(each, 0.0), 1.0):.1f}%" for name, each in places.items())
    return f'<span class="track" style="{style}"></span>'


def _doubt(cell: Cell) -> str:
    metric, lost = cell.metric, cell.evaluation.lost
    parts = []
    if metric.ci_low is not None and metric.ci_high is not None:
        parts.append(f"{figure(metric.ci_low, metric.unit)} – {figure(metric.ci_high, metric.unit)}")
    if metric.n is not None and metric.unit != COUNT:
        parts.append(f"n {metric.n}")
    if lost:
        parts.append(f"lost {lost}")
    if cell.evaluation.details.get("partial"):
        parts.append("partial")
    return f"<small>{_text(' · '.join(parts))}</small>" if parts else ""


def _text(text: str) -> str:
    return escape(plain(text))
