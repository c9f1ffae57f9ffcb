"""`engine evaluation export`: what was recorded, for other tools."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from engine.cli.evaluation import Flag, Labels, Sorting, laid_over, listed, warn_of_filter
from engine.cli.evaluation_calls import calls_if_found
from engine.cli.opened import loaded, run
from engine.data.entries import registry_folder
from engine.errors import StorageError, UsageError
from engine.evaluations.evaluation import EvaluationStore
from engine.evaluations.exports import Chosen, export_named
from engine.evaluations.load import resolve
from engine.evaluations.table import Table, build_table
from engine.evaluations.text import NOTHING


def export(
    format: str,  # noqa: A002 - the word of the command line
    /,
    *evaluations: Annotated[str, Parameter(help="which; without any, all that the table shows.")],
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    columns: str = "",
    all_metrics: Flag = False,
    where: str = "",
    sort: Sorting = "",
    tag: Labels = (),
    min_n: int = 0,
    view: str = "",
    hidden: Flag = False,
) -> int:
    """Write evaluations for other tools: jsonl, csv, parquet, inspect (one evaluation), html (one file).

    Args:
        format: jsonl, csv, parquet, inspect or html.
        *evaluations: which; without any, all that the table shows.
        output: the file; without one jsonl, csv, inspect and html go to stdout.
        columns: of html: as for the table.
        all_metrics: of html: every metric, and not just scores and averages.
        where: which rows, as for the table.
        sort: of html: as for the table.
        tag: only what has this label; repeat it for several.
        min_n: only figures of at least so many tasks.
        view: a saved view.
        hidden: hidden evaluations too.
    """
    export_named(format)
    given = {"columns": listed(columns), "all_metrics": all_metrics, "where": where, "sort": sort}
    given.update(tags=tag, min_n=min_n, hidden=hidden)

    async def work(store: EvaluationStore | None, home: Path) -> None:
        await _export(store, home, format, evaluations, laid_over_by=(view, given), output=output)

    return run(work)


async def _export(
    store: EvaluationStore | None,
    home: Path,
    form: str,
    evaluations: tuple[str, ...],
    *,
    laid_over_by: tuple[str, dict[str, Any]],
    output: Path | None,
) -> None:
    wanted = await laid_over(store, *laid_over_by)
    everything = await loaded(store, home, hidden=wanted.hidden or bool(evaluations), history=bool(evaluations))
    chosen = [resolve(everything.evaluations, each) for each in evaluations]
    if chosen:
        everything = replace(everything, evaluations=tuple(chosen))
        wanted = replace(wanted, where="", tags=(), min_n=0)
    table = build_table(everything, wanted)
    found = chosen or list({id(each): each for row in table.rows for each in row.evaluations}.values())
    warn_of_filter(table)
    if not found:
        print(f"nothing is exported: {_why(table)}", file=sys.stderr)
    exported = Chosen(
        evaluations=found,
        table=table,
        registry=registry_folder(home),
        calls=lambda evaluation: calls_if_found(evaluation, store, home, what="the log"),
    )
    _write(await export_named(form)(exported), form, output)


def _why(table: Table) -> str:
    if table.is_empty:
        return NOTHING
    return "no row matches --where" if table.filtered else "no figure has these tags, or so many tasks"


def _write(content: str | bytes, form: str, output: Path | None) -> None:
    if output is None:
        if isinstance(content, bytes):
            raise UsageError(f"{form} needs a file", hint=f"give one: --output evaluations.{form}")
        print(content, end="\n" if content else "")
        return
    try:
        if isinstance(content, bytes):
            output.write_bytes(content)
        else:
            output.write_text(content + "\n" if content else "", encoding="utf-8")
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: Path, error: OSError) -> StorageError:
    return StorageError(f"{output}: cannot be written, {error.strerror}", hint="choose another place")
