"""`engine evaluation compare` and `power`: whether one is better, and how much data it takes to know."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AsyncExitStack
from json import dumps
from pathlib import Path
from typing import Annotated, cast

from cyclopts import Parameter

from engine.cli.detect import EVEN, POWER, Wanted
from engine.cli.evaluation import Flag
from engine.cli.opened import holding, loaded, print_rows, require_format, run
from engine.errors import UsageError
from engine.evaluations.cells import plain
from engine.evaluations.clusters import groups_of
from engine.evaluations.compare import Comparison, Gate, compare_all, compare_runs, labels
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.evaluations.load import resolve
from engine.evaluations.pairing import Subject
from engine.evaluations.text import to_csv
from engine.statistics import Table, wilson

SHOWN_DATA = 20
NOT_MET = 1

Evaluations = Annotated[str, Parameter(help="ids, beginnings of them, latest, entries, models' names, or ids of runs.")]


def compare(
    *evaluations: Evaluations,
    max_regression: float | None = None,
    cluster: str = "",
    seed: int = 0,
    format: str = "table",  # noqa: A002 - the flag's name
) -> int:
    """Compare evaluations on the data that they share; of two, the first is the baseline.

    Args:
        *evaluations: ids, beginnings of them, latest, entries, models' names, or ids of runs.
        max_regression: points that the second may be worse, tested on the interval's bound; the exit code is 1
            where that is not ruled out.
        cluster: a field of the data, as passage_id: questions that share it are one cluster, resampled whole.
        seed: where resampling starts from.
        format: table, md, csv or json.
    """
    require_format(format)
    if len(evaluations) < 2:
        raise UsageError("two evaluations are needed", hint="engine evaluation compare A B; `list` shows ids")
    if max_regression is not None and (len(evaluations) != 2 or max_regression < 0):
        raise UsageError(f"--max-regression {max_regression:g} does not fit", hint="two evaluations, and points from 0")

    async def work(store: EvaluationStore | None, home: Path) -> int:
        everything = (await loaded(store, home, hidden=True, history=True)).evaluations
        if store is None and not everything:
            raise UsageError("there is no database here, so nothing to compare", hint="run a benchmark first")
        async with AsyncExitStack() as stack:
            runs, names = await _runs(store, home, everything, evaluations, stack)
            return await show(runs, names, everything, home)

    async def show(runs: list[Subject], names: list[str], everything: tuple[Evaluation, ...], home: Path) -> int:
        store = cast("EvaluationStore", runs[0].store)
        groups = _groups(everything, runs[0], home, cluster) if cluster else None
        if len(runs) > 2:
            _show_all(await compare_all(store, runs, names=names, groups=groups, seed=seed), format)
            return 0
        margin = None if max_regression is None else max_regression / 100
        pair = (names[0], names[1])
        made = await compare_runs(store, runs[0], runs[1], names=pair, max_regression=margin, groups=groups, seed=seed)
        _show(made, format)
        return NOT_MET if made.gate not in (None, Gate.GO) else 0

    return run(work)


def power(
    *, detect: float, score: float = EVEN, discordant: float | None = None, power: float = POWER, json: Flag = False
) -> int:
    """Say how many data a comparison needs to show a difference; the same as `engine plan --detect`.

    Args:
        detect: the difference, in points.
        score: about the percentage that both get right; what they differ on follows as if they were unrelated.
        discordant: the percentage of data on which the two differ, where it is known; `compare` tells it.
        power: how often the difference is to be shown where it is there, in percent.
        json: print one JSON object in place of a sentence.
    """
    wanted = Wanted(detect=detect, score=score, discordant=discordant, power=power)
    print(dumps(wanted.as_dict()) if json else wanted.sentence)
    return 0


async def _runs(
    store: EvaluationStore | None,
    home: Path,
    everything: tuple[Evaluation, ...],
    texts: tuple[str, ...],
    stack: AsyncExitStack,
) -> tuple[list[Subject], list[str]]:
    """The run of each text, or what was recorded of it, and how it is called."""
    runs: list[Subject] = []
    abouts: list[Mapping[str, str]] = []
    for text in texts:
        row = await store.run(text) if store is not None else None
        if row is not None:
            runs.append(Subject(run_id=text, store=store))
            abouts.append({name: str(row[name] or "") for name in ("model", "agent", "provider")})
            continue
        found = resolve(everything, text)
        if not found.run_id:
            raise UsageError(f"{found.name!r} came without its run, so nothing can be paired", hint="run it here")
        kept_in = await stack.enter_async_context(holding(store, home, found))
        if kept_in is None:
            raise UsageError(f"{found.name!r} came without its run, and there is no database here", hint="run it here")
        latency = found.metrics.get(f"{found.details.get('evaluation_name')}/latency_p50_s")
        latency_s = None if latency is None else latency.value
        runs.append(Subject(run_id=found.run_id, selection=found.selection, store=kept_in, latency_s=latency_s))
        abouts.append(found.about)
    return runs, labels(abouts, [each.run_id for each in runs])


def _groups(everything: tuple[Evaluation, ...], run: Subject, home: Path, field: str) -> dict[int | str, Hashable]:
    """What each datum of the first run has in this field, by its index and by its id."""
    from engine.data.entries import registry_folder
    from engine.evaluations.solutions import read_solutions

    of_run = [each for each in everything if each.run_id == run.run_id]
    found = next((each for each in of_run if each.selection == run.selection), of_run[0] if of_run else None)
    if found is None:
        raise UsageError(
            f"the data of run {run.run_id!r} are not recorded", hint="--cluster needs it: run with --record"
        )
    return groups_of(read_solutions(registry_folder(home) / found.name), field)


def _show(made: Comparison, form: str) -> None:
    if form == "json":
        print(dumps(made.as_dict(), ensure_ascii=False))
        return
    if form == "csv":
        print(_csv([made]))
        for warning in made.warnings:
            _warn(warning, form)
        return
    first, second = (plain(name) for name in made.names)
    print(f"{made.result.n} shared data")
    print(f"A {first} {_share(made, first=True)} · B {second} {_share(made, first=False)}")
    if made.table is not None:
        print_rows(("", "B right", "B wrong"), _cells(made.table), form)
    interval = made.result.interval
    bounds = f"95 % {100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
    test = made.result.test.replace("_", " ")
    print(f"difference {100 * made.result.difference:+.2f} points, {bounds}, {test} p = {made.p_value:.4g}")
    print(plain(made.verdict))
    ratios = {"cost": made.cost_ratio, "latency of a call": made.latency_ratio}
    if made.latency_ratio is None:
        ratios["time a task takes, with its wait for a slot"] = made.task_time_ratio
    known = [f"{name} {ratio:.2f}x" for name, ratio in ratios.items() if ratio is not None]
    if known:
        print("B for each of A: " + ", ".join(known))
    for name, data in (("fixed", made.fixed), ("broken", made.broken)):
        more = f" and {len(data) - SHOWN_DATA} more" if len(data) > SHOWN_DATA else ""
        print(f"{len(data)} {name}: " + ", ".join(plain(str(each)) for each in data[:SHOWN_DATA]) + more)
    for warning in made.warnings:
        _warn(warning, form)


def _warn(text: str, form: str) -> None:
    """Beside a table or Markdown on stdout; where a program reads that, on stderr."""
    print(f"warning: {plain(text)}", file=sys.stderr if form == "csv" else sys.stdout)


_HEAD = ("A", "B", "n", "A %", "B %", "B - A, points", "95 % low", "95 % high", "p", "verdict")
_UNCUT = ("A", "B", "n", "B - A, points", "95 % low", "95 % high", "p")
_FIGURES = ("n", "a", "b", "difference", "ci_low", "ci_high", "test", "p_value", "minimum_detectable", "verdict")


def _csv(made: Sequence[Comparison]) -> str:
    """A row for each pair, with the names and the fractions of JSON."""
    rows = ([*each.names, *(each.as_dict()[name] for name in _FIGURES)] for each in made)
    return to_csv(("a_name", "b_name", *_FIGURES), rows)


def _show_all(made: list[Comparison], form: str) -> None:
    if form == "json":
        pairs = [{"a_name": each.names[0], "b_name": each.names[1], **each.as_dict()} for each in made]
        print(dumps({"correction": "holm", "pairs": pairs}, ensure_ascii=False))
        return
    if form == "csv":
        print(_csv(made))
    else:
        print_rows(_HEAD, [_row(each) for each in made], form, uncut=_UNCUT)
    for warning in dict.fromkeys(f"{' and '.join(each.names)}: {text}" for each in made for text in each.warnings):
        _warn(warning, form)


def _row(made: Comparison) -> tuple[str, ...]:
    interval = made.result.interval
    figures = (made.a, made.b, made.result.difference, interval.low, interval.high)
    shown = [f"{100 * each:.2f}" for each in figures]
    return (*made.names, str(made.result.n), *shown, f"{made.p_value:.4g}", made.verdict)


def _cells(table: Table) -> list[tuple[str, ...]]:
    return [("A right", str(table.both), str(table.broken)), ("A wrong", str(table.fixed), str(table.neither))]


def _share(made: Comparison, *, first: bool) -> str:
    score = made.a if first else made.b
    if made.table is None:
        return f"{100 * score:.2f}"
    bounds = wilson(made.table.both + (made.table.broken if first else made.table.fixed), made.table.n)
    return f"{100 * score:.2f} [{100 * bounds.low:.2f}, {100 * bounds.high:.2f}]" if bounds else f"{100 * score:.2f}"
