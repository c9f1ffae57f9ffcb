"""`engine check`, `engine plan` and `engine schema`: what a bench.toml means, with nothing sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import anyio
from cyclopts import Parameter

from engine.api import Engine
from engine.cli.flags import DEFAULT_BENCH, Batch, RunFlags, read_batch
from engine.config import bench_schema
from engine.errors import ConfigError, EndpointError, EngineError
from engine.prepare import prepare


def check(target: str = DEFAULT_BENCH, /) -> int:
    """Check a bench.toml and everything it names: solvers, options, datasets, splits, keys.

    Args:
        target: the file.
    """
    from engine.environment import read_environment
    from engine.models import parse_model

    batch = read_batch(target, "", RunFlags(), {})
    environment = read_environment(batch.folder)
    mistakes: list[EngineError] = []
    for order in batch.orders:
        if order.dataset.startswith("hf:"):
            print(f"{order.dataset}: not opened, it is not on this machine", file=sys.stderr)
            continue
        try:
            prepared = prepare(order, folder=batch.folder, home=environment.home)
        except EngineError as error:
            mistakes.append(error)
        else:
            rows, tasks = len(prepared.rows), prepared.selection.size
            print(f"{prepared.solver.evaluation_name()} × {order.model}: {rows} rows, {tasks} tasks")
    for order in batch.orders:
        provider = batch.bench.reachable.get(parse_model(order.model, providers=batch.bench.reachable).provider)
        if provider is not None and provider.api_key_env:
            try:
                environment.require_secret(provider.api_key_env, where=f"model {order.model!r}")
            except EngineError as error:
                mistakes.append(error)
    if mistakes:
        raise _all_of(mistakes, target)
    print(f"{target}: {len(batch.orders)} runs, no mistakes")
    return 0


def _all_of(mistakes: Sequence[EngineError], target: str) -> EngineError:
    """One error that tells of all; a configuration that cannot be run is before a key that is not set."""
    lines = dict.fromkeys(f"{target}: {error.message}; {error.hint}" for error in mistakes)
    usable = all(isinstance(error, EndpointError) for error in mistakes)
    return (EndpointError if usable else ConfigError)("\n".join(lines), hint="mend these, and check again")


def plan(
    target: str = "",
    solver: str = "",
    /,
    *,
    flags: Annotated[RunFlags | None, Parameter(name="*")] = None,
    **options: str,
) -> int:
    """Say what a run would do; nothing is sent and nothing is stored.

    Args:
        target: a bench.toml, or a dataset.
        solver: as for `engine run`.
        flags: as for `engine run`.
        **options: as for `engine run`.
    """
    flags = flags or RunFlags()
    return show_plan(read_batch(target, solver, flags, options), flags)


def show_plan(batch: Batch, flags: RunFlags) -> int:
    """Print tasks, what is stored and what remains, a line for each run."""
    return anyio.run(_plan, batch, flags)


async def _plan(batch: Batch, flags: RunFlags) -> int:
    total = 0
    async with Engine(batch.bench, folder=batch.folder) as engine:
        for order in batch.orders:
            forecast = await engine.forecast(order, mode=flags.mode)
            total += forecast.remaining
            if flags.json:
                print(json.dumps({"event": "plan", **forecast.as_dict()}))
            else:
                print(forecast.sentence())
    if not flags.json:
        print(f"{len(batch.orders)} runs, {total} tasks to do, nothing was sent")
    return 0


def schema() -> int:
    """Print the JSON schema of bench.toml, for editors."""
    print(json.dumps(bench_schema(), indent=2))
    return 0
