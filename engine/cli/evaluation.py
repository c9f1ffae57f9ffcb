"""`engine evaluation`: what was recorded, as tables, rankings and single evaluations."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from engine.cli.opened import loaded, print_rows, require_format, run, terminal_width
from engine.evaluations.cells import figure, plain, shortened, with_doubt
from engine.evaluations.evaluation import FRACTION, KEY_COLUMNS, Evaluation, EvaluationStore, Metric
from engine.evaluations.load import resolve
from engine.evaluations.names import told_apart
from engine.evaluations.table import Table, build_table, require_metric
from engine.evaluations.text import NOTHING, csv_text, json_text, markdown_text, table_text, to_csv
from engine.evaluations.view import View

if TYPE_CHECKING:
    from engine.evaluations.ranking import Ranked

Flag = Annotated[bool, Parameter(negative=())]
Labels = Annotated[tuple[str, ...], Parameter(negative=())]
Sorting = Annotated[str, Parameter(allow_leading_hyphen=True)]


def table(
    *,
    all_key_columns: Flag = False,
    all_metrics: Flag = False,
    num_columns: int = 6,
    metric_name_max_length: int = 30,
    columns: str = "",
    where: str = "",
    sort: Sorting = "",
    tag: Labels = (),
    min_n: int = 0,
    view: str = "",
    hidden: Flag = False,
    format: str = "table",  # noqa: A002 - the flag's name
) -> int:
    """Show the evaluation table: a row for each model or agent, figures with interval, n and lost tasks.

    Args:
        all_key_columns: model, agent, namespace, version and provider in place of model and agent.
        all_metrics: every metric, and not just scores and averages.
        num_columns: columns that stand side by side; the rest follow in further tables.
        metric_name_max_length: longer names lose their middle.
        columns: these metrics and columns, with commas between them; * stands for any part of a name.
        where: which rows, as: gsm8k>0.8 and tag:paper.
        sort: a column; with - before it the highest come first.
        tag: only what has this label; repeat it for several.
        min_n: only figures of at least so many tasks.
        view: a saved view; what else is given is laid over it.
        hidden: hidden evaluations too.
        format: table, md, csv or json.
    """
    require_format(format)
    given = {
        "all_key_columns": all_key_columns,
        "all_metrics": all_metrics,
        "num_columns": num_columns,
        "metric_name_max_length": metric_name_max_length,
        "columns": listed(columns),
        "where": where,
        "sort": sort,
        "tags": tag,
        "min_n": min_n,
        "hidden": hidden,
    }

    async def work(store: EvaluationStore | None, home: Path) -> None:
        wanted = await laid_over(store, view, given)
        print(shown_table(build_table(await loaded(store, home, hidden=wanted.hidden), wanted), wanted, format))

    return run(work)


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


async def laid_over(store: EvaluationStore | None, name: str, given: dict[str, Any]) -> View:
    """The saved view of this name, or the standard one, with what differs from the standard laid over it."""
    from engine.evaluations.saved import saved_view

    standard = View()
    base = await saved_view(store, name) if name else standard
    values = {field.name: getattr(base, field.name) for field in fields(View)}
    return View(**{**values, **{key: value for key, value in given.items() if value != getattr(standard, key)}})


def shown_table(made: Table, view: View, form: str) -> str:
    """The table in this format, as wide as the terminal where there is one."""
    if made.is_empty and form != "table":
        print(NOTHING, file=sys.stderr)
    warn_of_filter(made)
    if form == "json":
        return json_text(made)
    if form == "csv":
        return csv_text(made)
    if form == "md":
        return markdown_text(made, view)
    return table_text(made, view, columns_wide=terminal_width())


def warn_of_filter(made: Table) -> None:
    """Say on stderr what the filter asks for that nothing has."""
    for each in made.unknown:
        print(f"warning: {plain(each)}", file=sys.stderr)


def list_(*, hidden: Flag = False, history: Flag = False, format: str = "table") -> int:  # noqa: A002
    """List evaluations with their ids, newest first.

    Args:
        hidden: hidden ones too.
        history: every revision, and not just the newest.
        format: table, md, csv or json.
    """
    require_format(format)

    async def work(store: EvaluationStore | None, home: Path) -> None:
        found = await loaded(store, home, hidden=hidden or history, history=history)
        names = told_apart([each.about for each in found.evaluations])
        head = ("id", "model", "score %", "agent", "date", "benchmark", "tags", "entry")
        rows = [
            (
                *(each.evaluation_id, model, _score(each), agent),
                *(_date(each), each.benchmark, ", ".join(each.tags), each.name),
            )
            for each, (model, agent) in zip(found.evaluations, names, strict=True)
        ]
        if format == "json":
            print(json.dumps([each.as_dict() for each in found.evaluations], ensure_ascii=False))
        elif format == "csv":
            print(to_csv(_LISTED, (_listed(each) for each in found.evaluations)))
        elif not rows and format == "table":
            print(NOTHING + (f"; {found.hidden} hidden: --hidden shows them" if found.hidden else ""))
        else:
            print_rows(head, rows, format, uncut=("id", "score %", "date"))

    return run(work)


def metric(name: str, /, *, where: str = "", tag: Labels = (), hidden: Flag = False, format: str = "table") -> int:  # noqa: A002
    """Rank everything by one metric; what is not shown to differ shares ranks.

    Args:
        name: the metric.
        where: which rows, as: tag:paper.
        tag: only what has this label; repeat it for several.
        hidden: hidden evaluations too.
        format: table, md, csv or json.
    """
    from engine.evaluations.ranking import ranking

    require_format(format)

    async def work(store: EvaluationStore | None, home: Path) -> None:
        everything = await loaded(store, home, hidden=hidden)
        require_metric(name, everything.evaluations)
        made = build_table(everything, View(columns=(name,), where=where, tags=tag, hidden=hidden))
        warn_of_filter(made)
        cells = [row.cells[name] for row in made.rows if name in row.cells]
        ranked = await ranking(store, [cell.evaluation for cell in cells], name)
        if format == "json":
            shown = [
                {"rank_best": each.best, "rank_worst": each.worst, **_about(each.evaluation), **each.metric.as_dict()}
                for each in ranked
            ]
            print(json.dumps({"metric": name, "rows": shown}, ensure_ascii=False))
            return
        if format == "csv":
            print(to_csv(_RANKED, (_listed_rank(each) for each in ranked)))
            return
        if not made.rows and format == "table":
            print(table_text(made, View()))
            return
        head = ("rank", "model", "agent", f"{name} %" if made.is_percent(name) else name, "date", "id")
        names = told_apart([each.evaluation.about for each in ranked])
        rows = [_ranked(each, name) for each, name in zip(ranked, names, strict=True)]
        print_rows(head, rows, format, uncut=("rank", head[3], "id"))

    return run(work)


def show(evaluation: str, /, *, cluster: str = "", format: str = "table") -> int:  # noqa: A002
    """Show one evaluation: where it comes from, every metric with its interval, earlier revisions.

    Args:
        evaluation: an id, the beginning of one, latest, an entry, or a model's name.
        cluster: a field of the data, as passage_id: also show the score with the error of questions that share it.
        format: table, md, csv or json.
    """
    require_format(format)

    async def work(store: EvaluationStore | None, home: Path) -> None:
        everything = await loaded(store, home, hidden=True, history=True)
        found = resolve(everything.evaluations, evaluation)
        clustered, clusters = _clustered(found, cluster, home) if cluster else (None, 0)
        if format == "json":
            more = {"clustered": {**clustered.as_dict(), "clusters": clusters}} if clustered else {}
            print(json.dumps({**found.as_dict(), **more}, ensure_ascii=False, indent=2))
            return
        if format == "csv":
            metrics = [*found.metrics.values(), *([clustered] if clustered else [])]
            print(to_csv(_FIGURE, ([getattr(m, each) for each in _FIGURE[:-1]] + [", ".join(m.tags)] for m in metrics)))
            return
        for line in _origin(found):
            print(line)
        head = ("metric", "figure", "unit", "tags")
        room = View().metric_name_max_length if terminal_width() is not None else None
        rows = [
            (
                *(shortened(m.name, room) if room else m.name, with_doubt(m, found.lost)),
                *(_unit(m.unit), ", ".join(m.tags)),
            )
            for m in found.metrics.values()
        ]
        print_rows(head, rows, format, uncut=("metric", "figure"))
        if clustered is not None:
            print(plain(f"{clustered.name}: {with_doubt(clustered, found.lost)} in {clusters} clusters"))
        earlier = [each for each in everything.evaluations if each.key == found.key and each != found]
        if earlier:
            print("other revisions: " + ", ".join(f"{e.evaluation_id} ({e.name}, {_score(e)})" for e in earlier))

    return run(work)


def _clustered(found: Evaluation, field: str, home: Path) -> tuple[Metric, int]:
    from engine.data.entries import registry_folder
    from engine.evaluations.clusters import clustered_score
    from engine.evaluations.solutions import read_solutions as read

    return clustered_score(read(registry_folder(home) / found.name), field)


def _score(each: Evaluation) -> str:
    main = each.main
    return with_doubt(main, each.lost) if main is not None else ""


_FIGURE = ("name", "value", "ci_low", "ci_high", "stderr", "n", "unit", "higher_is_better", "tags")
_LISTED = ("id", *KEY_COLUMNS, "score", "ci_low", "ci_high", "n", "lost", "date", "benchmark", "tags", "entry")

_RANKED = ("rank_best", "rank_worst", *("value" if name == "score" else name for name in _LISTED))


def _listed(each: Evaluation, score: Metric | None = None) -> list[Any]:
    """An evaluation for `_LISTED`, with fractions; the score is its own where none is given."""
    shown = score or each.main
    figures = [None] * 4 if shown is None else [shown.value, shown.ci_low, shown.ci_high, shown.n]
    about = (each.about.get(name, "") for name in KEY_COLUMNS)
    more = (each.lost, _date(each), each.benchmark, ", ".join(each.tags), each.name)
    return [each.evaluation_id, *about, *figures, *more]


def _listed_rank(each: Ranked) -> list[Any]:
    return [each.best, each.worst, *_listed(each.evaluation, each.metric)]


def _ranked(each: Ranked, names: tuple[str, str]) -> tuple[str, ...]:
    found = each.evaluation
    return each.rank, *names, with_doubt(each.metric, found.lost), _date(found), found.evaluation_id


def _unit(unit: str) -> str:
    return "%" if unit == FRACTION else unit


def _date(each: Evaluation) -> str:
    return datetime.fromtimestamp(each.created_at, UTC).strftime("%Y-%m-%d")


def _about(each: Evaluation) -> dict[str, Any]:
    about = {name: each.about.get(name, "") for name in KEY_COLUMNS}
    return {"evaluation_id": each.evaluation_id, **about, "lost": each.lost}


def _origin(each: Evaluation) -> list[str]:
    details = each.details
    outcomes = ", ".join(f"{count} {name}" for name, count in (details.get("outcomes") or {}).items() if count)
    facts = {
        "evaluation": f"{each.evaluation_id}  {each.name}",
        "about": ", ".join(f"{name} {value}" for name, value in each.about.items()),
        "run": each.run_id,
        "dataset": f"{each.dataset} {each.subset}  {details.get('dataset_fingerprint', '')}",
        "solver": f"{each.solver} {each.options}  {details.get('solver_source', '')}",
        "sampling": json.dumps(details.get("sampling")),
        "tasks": f"{each.tasks}: {outcomes}",
        "cost": f"{_usd(details, 'paid_usd')} paid, {_usd(details, 'uncached_cost_usd')} uncached",
        "git": " ".join(str(value) for value in (details.get("git") or {}).values()),
        "recorded": _date(each),
        "tags": ", ".join(each.tags),
        "hidden": str(details.get("hidden_because", "yes")) if each.hidden else "",
    }
    return [f"{name}: {plain(value.strip())}" for name, value in facts.items() if value.strip()]


def _usd(details: Mapping[str, Any], name: str) -> str:
    return figure(details.get(name), "usd")
