"""`engine check`, `engine plan` and `engine schema`: what a bench.toml means, with nothing sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from engine.api import Engine
from engine.cli.batch import DEFAULT_BENCH, TOML, Batch, is_batch, read_batch, readable_batch
from engine.cli.detect import POWER, Wanted
from engine.cli.flags import LookFlags, RunFlags
from engine.cli.machine import results_only
from engine.cli.show import counted
from engine.config import bench_schema
from engine.environment import Environment, read_environment
from engine.errors import ConfigError, EngineError, UsageError, together, told_of
from engine.forecast import Forecast
from engine.prepare import Order, placed, prepare, solver_of


def check(target: str = DEFAULT_BENCH, /, *, flags: Annotated[LookFlags | None, Parameter(name="*")] = None) -> int:
    """Check a bench.toml and everything it names: solvers, options, datasets, splits, keys, storage; nothing is sent.

    Args:
        target: the file.
        flags: as for `engine run`: what is checked is what these would run.
    """
    flags = flags or LookFlags()
    if not is_batch(target):
        raise UsageError(f"{target!r} is no batch", hint=f"a batch is a file that ends with {TOML}")
    try:
        batch = read_batch(target, "", flags, {}, command="check")
    except ConfigError as error:
        raise _with_the_rest(error, target, flags) from None
    mistakes, sizes = _examined(batch)
    if mistakes:
        raise together(mistakes)
    for name, rows, tasks in sizes:
        if flags.json:
            print(json.dumps({"event": "checked", "name": name, "rows": rows, "tasks": tasks}))
        else:
            print(f"{name}: {counted(rows, 'row')}, {counted(tasks, 'task')}")
    if not flags.json:
        what = target if Path(target).expanduser().is_file() else "the batch that comes with the engine"
        print(f"{what}: {counted(len(batch.orders), 'run')}, no mistakes")
    return 0


def _with_the_rest(error: ConfigError, target: str, flags: RunFlags) -> ConfigError:
    """What is wrong with the file, and what is wrong with the datasets, solvers and keys that can be read of it."""
    try:
        batch = readable_batch(target, flags)
    except EngineError:
        return error
    mistakes = _examined(batch)[0] if batch is not None else []
    if not mistakes:
        return error
    return ConfigError(f"{error.message}\n{told_of(mistakes)}", hint=error.hint)


def _examined(batch: Batch) -> tuple[list[EngineError], list[tuple[str, int, int]]]:
    """What is wrong with what a batch names, and of each run that is well its name, rows and tasks."""
    from engine.data.reference import asks_the_hub

    environment = read_environment(batch.folder)
    mistakes = list(_storage_mistakes(batch))
    sizes: list[tuple[str, int, int]] = []
    for order in batch.orders:
        models = [order.model]
        with results_only():
            if asks_the_hub(order.dataset, folder=batch.folder, home=environment.home):
                print(f"{order.dataset}: not opened, it is not on this machine", file=sys.stderr)
                mistakes += _mistakes_apart(batch, order, None)
            else:
                try:
                    prepared = prepare(order, folder=batch.folder, home=environment.home)
                    models += prepared.solver.other_models()
                    name = f"{prepared.solver.evaluation_name()} × {order.model}"
                    sizes.append((name, len(prepared.rows), prepared.selection.size))
                except EngineError as error:
                    # An error of the dataset is told as the parts tell it; what only both together show, as it is.
                    mistakes += list(_mistakes_apart(batch, order, environment)) or [error]
        for model in models:
            mistakes += _model_mistakes(batch, order, model, environment)
    return mistakes, sizes


def _storage_mistakes(batch: Batch) -> Iterator[EngineError]:
    """What is wrong with the store's URL; it is not opened."""
    from engine.load import built_in

    url = batch.bench.storage.url
    try:
        if url:
            built_in("storage").backend(url)
    except EngineError as error:
        yield error


def _mistakes_apart(batch: Batch, order: Order, environment: Environment | None) -> Iterator[EngineError]:
    """What is wrong with the solver's name and with the dataset, each by itself; without environment, not the latter.

    A run stops at the first, so that a misspelt solver costs no reading.
    """
    from engine.data.reference import open_dataset

    try:
        with placed(order):
            solver_of(order, folder=batch.folder)
    except EngineError as error:
        yield error
    try:
        with placed(order):
            if environment is not None:
                open_dataset(order.dataset, subset=order.subset, folder=batch.folder, home=environment.home)
    except EngineError as error:
        yield error


def _model_mistakes(batch: Batch, order: Order, name: str, environment: Environment) -> Iterator[EngineError]:
    """What a run would say of a model before it asks anybody: no such provider, or a key that is not set."""
    from engine.providers import configured_model

    place = f"{order.places['models']}: " if "models" in order.places and name == order.model else ""
    try:
        model = configured_model(name, batch.bench)
    except EngineError as error:
        error.message = f"{place}{error.message}"
        yield error
        return
    if not model.provider and not model.base_url:
        print(f"{name}: not looked for, a provider has to be asked for it", file=sys.stderr)
    provider = batch.bench.reachable.get(model.provider)
    variable = provider.api_key_env if provider else order.api_key_env if model.base_url else ""
    try:
        if variable:
            environment.require_secret(variable, where=f"{place}model {name!r}")
    except EngineError as error:
        yield error


def plan(
    target: str = "",
    solver: str = "",
    /,
    *,
    flags: Annotated[RunFlags | None, Parameter(name="*")] = None,
    detect: float | None = None,
    discordant: float | None = None,
    power: float = POWER,
    **options: Annotated[str, Parameter(show=False)],
) -> int:
    """Say what a run would do; nothing is sent and nothing is stored.

    Args:
        target: a bench.toml, or a dataset; with --detect alone, only how many data it takes is told.
        solver: as for `engine run`.
        flags: as for `engine run`.
        detect: a difference in points between two models: how many data show it, and whether these are enough.
        discordant: the percentage of data on which the two differ, where it is known; `evaluation compare` tells
            it. Without, it follows from stored scores, or from 50 %, as if the two were unrelated.
        power: how often the difference is to be shown where it is there, in percent.
        **options: as for `engine run`.
    """
    flags = flags or RunFlags()
    wanted = None if detect is None else Wanted(detect=detect, discordant=discordant, power=power)
    if wanted is not None and not target:
        print(json.dumps({"event": "detect", **wanted.as_dict()}) if flags.json else wanted.sentence)
        return 0
    return show_plan(read_batch(target, solver, flags, options, command="plan"), flags, wanted)


def show_plan(batch: Batch, flags: RunFlags, wanted: Wanted | None = None) -> int:
    """Print tasks, what is stored and what remains, a line for each run; and whether its data show what is wanted."""
    return anyio.run(_plan, batch, flags, wanted)


async def _plan(batch: Batch, flags: RunFlags, wanted: Wanted | None) -> int:
    async with Engine(batch.bench, folder=batch.folder, read_only=True) as engine:
        with results_only():
            forecasts = await engine.forecast_orders(batch.orders, mode=flags.mode)
    for forecast in forecasts:
        print(json.dumps({"event": "plan", **forecast.as_dict()}) if flags.json else forecast.sentence())
        if forecast.earlier is not None:
            name = f"{forecast.record.benchmark} × {forecast.model}"
            print(f"warning: {forecast.earlier.sentence(name)}", file=sys.stderr)
        if wanted is not None:
            _show_power(forecast, wanted, as_json=flags.json)
    if not flags.json:
        total = sum(forecast.remaining for forecast in forecasts)
        print(f"{counted(len(forecasts), 'run')}, {counted(total, 'task')} to do, nothing was sent")
    return 0


def _show_power(forecast: Forecast, wanted: Wanted, *, as_json: bool) -> None:
    """Whether the run's data are enough, judged by the score of stored tasks where there is one."""
    if forecast.score is not None and 0 < forecast.score < 1:
        wanted = replace(wanted, score=100 * forecast.score)
    name = f"{forecast.record.benchmark} × {forecast.model}"
    if not as_json:
        print(wanted.sentence_for(name, forecast.data))
        return
    told = {"run_id": forecast.record.run_id, "n": forecast.data, "shown_points": wanted.shown_by(forecast.data)}
    print(json.dumps({"event": "detect", **told, **wanted.as_dict()}))


def schema() -> int:
    """Print the JSON schema of bench.toml, for editors."""
    print(json.dumps(bench_schema(), indent=2))
    return 0
