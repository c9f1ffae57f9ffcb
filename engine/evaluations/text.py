"""The table as text: boxes for a terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from engine.evaluations.cells import column_text, csv_cell, plain, shortened, width
from engine.evaluations.evaluation import KEY_COLUMNS
from engine.evaluations.table import COUNTS, Row, Table
from engine.evaluations.view import View

FORMATS = ("table", "md", "csv", "json")
LEAST_KEY_WIDTH = 12
LEAST_WIDTH = 6
NARROWEST = 3
NOTHING = "nothing is recorded yet: engine run ... --record does it, also of a run that is finished"


def table_text(table: Table, view: View, *, columns_wide: int | None = None) -> str:
    """The table in boxes, the seed's way: as many as it needs, each with the key columns before its metrics.

    Each holds at most `view.num_columns` columns, and fewer where the terminal is narrow.

    Args:
        table: what to show.
        view: how much of it stands side by side.
        columns_wide: the width of the terminal; None where there is no limit.
    """
    if table.is_empty:
        return "\n".join([NOTHING, *_below(table)])
    if not table.rows:
        return "\n".join(_below(table))
    head = [_header(name, table, view) for name in table.columns]
    body = [[column_text(row, name) for name in table.columns] for row in table.rows]
    parts = []
    for chosen in _parts(head, body, table.fixed, view.num_columns, columns_wide):
        rows = [[line[index] for index in chosen] for line in (head, *body)]
        parts.append(grid(rows[0], rows[1:], limit=columns_wide, fixed=table.fixed))
    return "\n\n".join([*parts, *_below(table)])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], *, limit: int | None = None, fixed: int = 0) -> str:
    """A box of lines around cells; where it does not fit, the first `fixed` columns give way before the others."""
    widths = [max(width(line[i]) for line in (head, *rows)) for i in range(len(head))]
    if limit is not None:
        _squeeze(widths, limit - 3 * len(widths) - 1, fixed)
    lines = ["─" * (each + 2) for each in widths]

    def line(cells: Sequence[str]) -> str:
        shown = (_fitted(cell, each) for cell, each in zip(cells, widths, strict=True))
        return "│ " + " │ ".join(shown) + " │"

    middle = "├" + "┼".join(lines) + "┤"
    body = [line(row) for row in rows]
    return "\n".join(["┌" + "┬".join(lines) + "┐", line(head), middle, *body, "└" + "┴".join(lines) + "┘"])


def rows_text(head: Sequence[str], rows: Sequence[Sequence[str]], *, uncut: Collection[str], limit: int | None) -> str:
    """A box around rows, without the columns that are empty; where it does not fit, some are cut or left out.

    Those of `uncut` never are: where not even they have room side by side, each row is a block of lines. The
    others get what room is left, in their order.
    """
    filled = {name: i for i, name in enumerate(head) if name in uncut or any(row[i] for row in rows)}
    natural = {name: max(width(line[i]) for line in (head, *rows)) for name, i in filled.items()}
    if limit is not None:
        room = limit - 1 - sum(natural[name] + 3 for name in natural if name in uncut)
        if room < 0:
            return "\n\n".join("\n".join(f"{name}: {row[i]}" for name, i in filled.items() if row[i]) for row in rows)
        for name in [name for name in natural if name not in uncut]:
            if room - 3 < min(natural[name], LEAST_KEY_WIDTH):
                del natural[name]
            else:
                natural[name] = min(natural[name], room - 3)
                room -= natural[name] + 3
    kept = [filled[name] for name in natural]
    cut = [[_fitted(line[i], natural[head[i]]) for i in kept] for line in (head, *rows)]
    left_out = [name for name in filled if name not in natural]
    note = [f"{', '.join(left_out)} left out: a wider terminal, or --format csv, has room"] if left_out else []
    return "\n".join([grid(cut[0], cut[1:]), *note])


def columns_that_fit(count: int, limit: int | None) -> int:
    """How many of these columns have room side by side, if all are as narrow as one can read."""
    return count if limit is None else max(1, min(count, (limit - 1) // (LEAST_WIDTH + 3)))


def _squeeze(widths: list[int], room: int, fixed: int) -> None:
    """Take from the widest columns until all have room, or are as narrow as can be."""
    first, rest, everything = range(fixed), range(fixed, len(widths)), range(len(widths))
    for columns, least in (
        (first, LEAST_KEY_WIDTH),
        (first, LEAST_WIDTH),
        (rest, LEAST_KEY_WIDTH),
        (everything, NARROWEST),
    ):
        while sum(widths) > room and columns:
            widest = max(columns, key=widths.__getitem__)
            if widths[widest] <= least:
                break
            widths[widest] -= 1


def markdown_text(table: Table, view: View) -> str:
    """The table in Markdown, all of its columns."""
    head = [_header(name, table, view) for name in table.columns]
    return markdown(head, [[column_text(row, name) for name in table.columns] for row in table.rows])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as a Markdown table."""

    def line(cells: Sequence[str]) -> str:
        escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
        return "| " + " | ".join(escaped) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def csv_text(table: Table) -> str:
    """The table as CSV: fractions, and beside each metric the bounds of its interval, n and lost tasks."""
    metrics = set(table.metrics)
    head: list[str] = []
    for name in table.columns:
        more = ("ci_low", "ci_high", "n", "lost") if name in metrics else ()
        head += [name, *(f"{name}:{each}" for each in more)]
    return to_csv(head, ([*_csv_values(row, table.columns, metrics)] for row in table.rows))


def to_csv(head: Sequence[str], rows: Any) -> str:
    """Values as CSV; text is made safe, numbers stay numbers, None is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(each) for each in head])
    writer.writerows([csv_cell(each) if isinstance(each, str) else each for each in row] for row in rows)
    return file.getvalue().removesuffix("\n")


def json_text(table: Table) -> str:
    """The table as `{"columns": [...], "rows": [...]}`; see `json_rows`."""
    return json.dumps({"columns": list(table.columns), "rows": list(json_rows(table))}, ensure_ascii=False)


def json_rows(table: Table) -> Iterator[dict[str, Any]]:
    """Rows by column name, metrics as fractions or in their unit, None where there is none.

    `doubt` holds for each metric ci_low, ci_high, stderr, n, lost, unit and the evaluation that it is from.
    """
    metrics = set(table.metrics)
    for row in table.rows:
        found: dict[str, Any] = {name: row.text(name) for name in KEY_COLUMNS}
        doubt = {}
        for name in table.columns:
            cell = row.cells.get(name)
            if name not in metrics:
                found[name] = row.number(name) if name in COUNTS else row.text(name)
                continue
            found[name] = cell.metric.value if cell else None
            if cell is not None:
                kept = ("ci_low", "ci_high", "stderr", "n", "unit", "higher_is_better")
                origin = {"lost": cell.evaluation.lost, "evaluation_id": cell.evaluation.evaluation_id}
                doubt[name] = {**{each: getattr(cell.metric, each) for each in kept}, **origin}
        yield {**found, "evaluation_ids": [each.evaluation_id for each in row.evaluations], "doubt": doubt}


def _parts(
    head: Sequence[str], body: Sequence[Sequence[str]], fixed: int, num_columns: int, limit: int | None
) -> Iterator[list[int]]:
    """Which columns stand in each box."""
    keys = list(range(fixed))
    widths = [max(width(line[index]) for line in (head, *body)) + 3 for index in range(len(head))]
    room = None if limit is None else limit - 1 - sum(min(widths[key], LEAST_WIDTH + 3) for key in keys)
    most = max(1, num_columns - fixed)
    part: list[int] = []
    for index in range(fixed, len(head)):
        used = sum(widths[each] for each in part)
        if part and (len(part) == most or (room is not None and used + widths[index] > room)):
            yield keys + part
            part = []
        part.append(index)
    yield keys + part


def _below(table: Table) -> list[str]:
    """What is not shown, a line."""
    notes = []
    if table.left_out:
        left_out = f"{table.left_out} of {len(table.metrics)} metrics are left out"
        notes.append(f"{left_out}: --all_metrics, or --columns a,b, shows them")
    if table.filtered:
        nothing = "" if table.rows else "nothing matches: "
        notes.append(f"{nothing}{table.filtered} {'row is' if table.filtered == 1 else 'rows are'} filtered out")
    elif not table.rows and not table.is_empty:
        notes.append("nothing matches: no figure has these tags, or so many tasks")
    if table.hidden:
        notes.append(f"{table.hidden} hidden: --hidden shows them")
    return ["; ".join(notes)] if notes else []


def _header(name: str, table: Table, view: View) -> str:
    if name not in table.metrics:
        return name
    short = plain(shortened(name, view.metric_name_max_length))
    return f"{short} %" if table.is_percent(name) else short


def _csv_values(row: Row, columns: Sequence[str], metrics: set[str]) -> Iterator[Any]:
    for name in columns:
        cell = row.cells.get(name)
        if name not in metrics:
            yield row.number(name) if name in COUNTS else row.shown(name)
        elif cell is None:
            yield from ("", "", "", "", "")
        else:
            metric = cell.metric
            yield from (metric.value, metric.ci_low, metric.ci_high, metric.n, cell.evaluation.lost)


def _fitted(text: str, room: int) -> str:
    if width(text) > room:
        mark = ".." if room > NARROWEST else ""
        kept = text
        while width(kept) > room - len(mark):
            kept = kept[:-1]
        text = kept + mark
    return text + " " * (room - width(text))
