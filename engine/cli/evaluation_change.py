"""`engine evaluation tag`, `hide`, `unhide` and `view`: what a person changes about what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from engine.cli.evaluation import Flag, Labels, Sorting, listed
from engine.cli.opened import holding, loaded, run
from engine.errors import UsageError
from engine.evaluations.evaluation import EvaluationStore
from engine.evaluations.load import resolve
from engine.evaluations.view import View

Evaluations = Annotated[str, Parameter(help="ids, beginnings of them, latest, entries, or models' names.")]
Changes = Annotated[str, Parameter(allow_leading_hyphen=True, help="+label or label adds, -label takes away.")]


def tag(evaluation: str, /, *changes: Changes, metric: str = "") -> int:
    """Add labels to an evaluation, or take them away: `tag latest +paper -draft`.

    Args:
        evaluation: an id, the beginning of one, latest, an entry, or a model's name.
        *changes: +label or label adds, -label takes away.
        metric: the metric that is meant, in place of the whole evaluation.
    """
    from engine.evaluations.saved import change_tags

    drop = [each[1:] for each in changes if each.startswith("-")]
    add = [each.removeprefix("+") for each in changes if not each.startswith("-")]
    if not all((*add, *drop)) or not changes:
        raise UsageError("a label is missing", hint="write +label to add it, -label to take it away")

    async def work(store: EvaluationStore | None, home: Path) -> None:
        found = resolve((await loaded(store, home, hidden=True, history=True)).evaluations, evaluation)
        async with holding(store, home, found, write=True) as kept_in:
            tags = await change_tags(kept_in, found, add=add, drop=drop, metric=metric)
        print(f"{metric or found.evaluation_id}: {', '.join(tags) or 'no tags'}")

    return run(work, write=True)


def hide(*evaluations: Evaluations, reason: str = "") -> int:
    """Hide evaluations from tables, rankings and exports; nothing is deleted.

    Args:
        *evaluations: ids, beginnings of them, latest, entries, or models' names.
        reason: why, for whoever asks for hidden ones.
    """
    return _set_hidden(evaluations, hidden=True, reason=reason)


def unhide(*evaluations: Evaluations) -> int:
    """Show evaluations again.

    Args:
        *evaluations: ids, beginnings of them, latest, entries, or models' names.
    """
    return _set_hidden(evaluations, hidden=False, reason="")


def _set_hidden(evaluations: tuple[str, ...], *, hidden: bool, reason: str) -> int:
    from engine.evaluations.saved import set_hidden

    if not evaluations:
        raise UsageError("an evaluation is missing", hint="engine evaluation list shows ids")

    async def work(store: EvaluationStore | None, home: Path) -> None:
        everything = (await loaded(store, home, hidden=True, history=True)).evaluations
        for each in [resolve(everything, text) for text in evaluations]:
            async with holding(store, home, each, write=True) as kept_in:
                await set_hidden(kept_in, each, hidden=hidden, reason=reason)
            print(f"{each.evaluation_id} {'is hidden' if hidden else 'is shown'}: {each.name}")

    return run(work, write=True)


def view_save(
    name: str,
    /,
    *,
    columns: str = "",
    where: str = "",
    sort: Sorting = "",
    tag: Labels = (),
    min_n: int = 0,
    all_key_columns: Flag = False,
    all_metrics: Flag = False,
    hidden: Flag = False,
    num_columns: int = 6,
) -> int:
    """Keep a view of the table under a name, for `evaluation table --view NAME` and the page.

    Args:
        name: what it is called.
        columns: as for the table.
        where: as for the table.
        sort: as for the table.
        tag: as for the table.
        min_n: as for the table.
        all_key_columns: as for the table.
        all_metrics: as for the table.
        hidden: as for the table.
        num_columns: as for the table.
    """
    from engine.evaluations.filter import parse_filter
    from engine.evaluations.saved import save_view

    parse_filter(where)
    made = View(
        columns=listed(columns),
        where=where,
        sort=sort,
        tags=tag,
        min_n=min_n,
        all_key_columns=all_key_columns,
        all_metrics=all_metrics,
        hidden=hidden,
        num_columns=num_columns,
    )

    async def work(store: EvaluationStore | None, _: Path) -> None:
        assert store is not None
        await save_view(store, name, made)
        print(f"view {name}: {json.dumps(made.as_dict())}")

    return run(work, write=True, make=True)


def view_list() -> int:
    """List saved views."""
    from engine.evaluations.saved import saved_views

    async def work(store: EvaluationStore | None, _: Path) -> None:
        for name, view in (await saved_views(store) if store is not None else {}).items():
            print(f"{name}\t{json.dumps(view.as_dict(), ensure_ascii=False)}")

    return run(work)
