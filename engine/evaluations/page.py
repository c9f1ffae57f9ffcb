"""The table as one HTML file that sorts and filters by itself, with no network."""

from __future__ import annotations

from html import escape

from engine.evaluations.cells import column_text, plain
from engine.evaluations.table import Row, Table

HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'">
<title>Evaluations</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { margin: 1.5rem }
table { border-collapse: collapse; margin-top: 1rem }
th, td { border-bottom: 1px solid #8886; padding: .35rem .7rem; text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: Canvas }
thead button { font: inherit; font-weight: 600; border: 0; padding: 0; background: none; color: inherit }
thead th[aria-sort=ascending] button::after { content: " ▲" }
thead th[aria-sort=descending] button::after { content: " ▼" }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
small { opacity: .75 }
</style>
<h1>Evaluations</h1>
<p><label>Filter <input id="filter" type="search" size="30"></label> <span id="count" role="status"></span></p>
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
  body.append(...rows);
}
table.tHead.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) sort(button.parentElement);
});
field.addEventListener("input", filter);
filter();
</script>
"""


def html_page(table: Table) -> str:
    """The table as a page: figures with interval, n and lost tasks; everything from outside is escaped."""
    head = "".join(
        f'<th scope="col"><button type="button">{_text(_title(table, c))}</button></th>' for c in table.columns
    )
    body = "\n".join("<tr>" + "".join(_cell(row, name) for name in table.columns) + "</tr>" for row in table.rows)
    grid = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"
    note = (
        "<p><small>Scores are percent with their 95 % interval in brackets; n is how many tasks have a value, "
        "lost how many ended without one.</small></p>\n"
    )
    return f"{HEAD}{grid}{note}{SCRIPT}</html>\n"


def _title(table: Table, name: str) -> str:
    return f"{name} %" if table.is_percent(name) else name


def _cell(row: Row, name: str) -> str:
    text = _text(column_text(row, name))
    cell = row.cells.get(name)
    if cell is None:
        return f"<td>{text}</td>"
    value = "" if cell.metric.value is None else f"{cell.metric.value!r}"
    shown, _, doubt = text.partition(" ")
    return f'<td class="number" data-value="{value}">{shown} <small>{doubt}</small></td>'


def _text(text: str) -> str:
    return escape(plain(text), quote=True)
