"""`engine cache`: what is stored, and why a run is or is not found in it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import anyio
from cyclopts import Parameter

from engine.api import Engine
from engine.cli.batch import project_bench, read_batch
from engine.cli.flags import LookFlags, number
from engine.cli.listing import plain
from engine.cli.machine import results_only
from engine.cli.opened import overlooked
from engine.cli.place import named_store
from engine.cli.show import counted, tokens, usd
from engine.errors import UsageError

LONGEST = 60
DAY_S = 86_400


def explain(
    target: str = "",
    solver: str = "",
    /,
    *,
    flags: Annotated[LookFlags | None, Parameter(name="*")] = None,
    **options: Annotated[str, Parameter(show=False)],
) -> int:
    """Say whether a run is stored, and which part of its identity sets it apart from the nearest that is.

    Args:
        target: a bench.toml, or a dataset.
        solver: as for `engine run`.
        flags: as for `engine run`.
        **options: as for `engine run`.
    """
    flags = flags or LookFlags()
    batch = read_batch(target, solver, flags, options, command="cache explain")

    async def work() -> None:
        async with Engine(batch.bench, storage=named_store(), folder=batch.folder, read_only=True) as engine:
            for order in batch.orders:
                with results_only():
                    record, found = await engine.explain(order)
                differing = None if found is None else [_part(*each) for each in found]
                if flags.json:
                    print(json.dumps({"run_id": record.run_id, "benchmark": record.benchmark, "differs": differing}))
                else:
                    print(_sentence(f"{record.benchmark} × {order.model} ({record.run_id})", differing))

    anyio.run(work)
    return 0


def stats(*, json_: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Count what is stored: runs, tasks, completions, tokens, cost, bytes."""

    async def work() -> dict[str, Any]:
        async with Engine(project_bench(), storage=named_store(), read_only=True) as engine:
            return dict(await engine.store.stats())

    found = anyio.run(work)
    if unseen := overlooked():
        print(unseen, file=sys.stderr)
    if json_:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            for line in map(_of_model, value) if name == "models" else (value,):
                print(f"{name.removesuffix('s') if name == 'models' else name}\t{line}")
    return 0


def _of_model(row: Mapping[str, Any]) -> str:
    """What is stored of a model, as a person reads it."""
    used = tokens(row["input_tokens"], row["output_tokens"])
    name = plain(f"{row['provider']}::{row['model']}")
    return f"{name}: {counted(row['completions'], 'completion')}, {used}, {usd(row['cost_usd'])}"


def verify() -> int:
    """Check every stored body against its hash; exit code 5 where one does not match."""

    async def work() -> list[str]:
        async with Engine(project_bench(), storage=named_store(), read_only=True) as engine:
            return list(await engine.store.verify())

    broken = anyio.run(work)
    for key in broken:
        print(f"{key}\tthe stored body is not what was received")
    print(f"{len(broken)} broken bodies")
    return 5 if broken else 0


def prune(
    *,
    older_than: Annotated[float, Parameter(converter=number)],
    model: str = "",
    yes: Annotated[bool, Parameter(negative=())] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Take old completions away; without --yes, only say how many there are and what they cost.

    Scores stay: runs, tasks and evaluations are kept. A run that needs one of these completions again, as
    --regrade does, has to buy it again.

    Args:
        older_than: days since they were bought; 0 is all.
        model: only of this one, as name or provider::name.
        yes: do it.
        json_: print one JSON object in place of a line for people.
    """
    if older_than < 0:
        raise UsageError(f"--older-than is {older_than:g}", hint="it takes days, from 0 on")
    before = time.time() - older_than * DAY_S

    async def work() -> dict[str, Any]:
        async with Engine(project_bench(), storage=named_store()) as engine:
            found = dict(await engine.store.prunable(before=before, model=model))
            if yes:
                await engine.store.prune(before=before, model=model)
            return found

    found = anyio.run(work)
    if json_:
        print(json.dumps({"event": "prune", "done": yes, **found}))
        return 0
    megabytes = f"about {found['bytes'] / 1e6:.1f} MB"
    what = f"{counted(found['completions'], 'completion')}, {megabytes}, {usd(found['cost_usd'])} when bought"
    print(f"pruned {what}" if yes else f"{what}: --yes takes them away, and a run that needs one buys it again")
    return 0


def _part(name: str, ours: Any, theirs: Any) -> dict[str, Any]:
    return {"part": name, "now": ours, "stored": theirs}


def _sentence(name: str, differing: list[dict[str, Any]] | None) -> str:
    if differing is None:
        return f"{name}: nothing of this benchmark is stored"
    if not differing:
        return f"{name}: stored, and reused by a plain run"
    apart = ((each["part"], *_apart(each["now"], each["stored"])) for each in differing)
    lines = [f"  {part}: now {_short(now)}, stored {_short(stored)}" for part, now, stored in apart]
    return "\n".join([f"{name}: not stored; the nearest run differs in", *lines])


def _apart(now: Any, stored: Any) -> tuple[Any, Any]:
    """Both, less what is the same in both where they have parts with names."""
    if not isinstance(now, dict) or not isinstance(stored, dict):
        return now, stored
    names = [name for name in {**stored, **now} if now.get(name) != stored.get(name)]
    ours, theirs = ({name: each[name] for name in names if name in each} for each in (now, stored))
    return ours, theirs


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
