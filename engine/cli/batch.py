"""What a command line means: a bench.toml with flags laid over it, or one benchmark made of flags."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import signature
from pathlib import Path

from engine.cli.flags import RunFlags
from engine.cli.machine import results_only
from engine.config import Bench, check_bench, parse_bench, readable_part
from engine.errors import ConfigError, EngineError, UsageError
from engine.literal_keys import NOT_A_VARIABLE, is_variable_name
from engine.load import find_solver
from engine.plan import Choice
from engine.prepare import Order
from engine.toml_lines import KeyPath, key_lines

DEFAULT_BENCH = "bench.toml"
TOML = ".toml"
NEAR_BATCH = 0.8
"""How much a word has in common with a batch's name, of 1, where it could be a dataset as well."""
NEAR = 0.7
"""How much a misspelt flag has in common with the one that was meant, of 1."""
FLAGS = {"max_cost_usd": "max_cost", "max_duration_s": "max_duration"}
"""Flags that are called otherwise than their key."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What to run: the configuration, the runs, and what relative paths are relative to."""

    bench: Bench
    orders: tuple[Order, ...]
    folder: Path


def is_batch(target: str) -> bool:
    """Whether the word names a batch and no dataset."""
    return target.lower().endswith(TOML)


def read_batch(target: str, solver: str, flags: RunFlags, options: Mapping[str, str], *, command: str = "run") -> Batch:
    """The batch that a command line of this command means.

    Raises:
        UsageError: the words do not fit together.
        ConfigError: the file or the flags hold mistakes; all are named.
    """
    options = {name.replace("-", "_"): value for name, value in options.items()}
    require_variable_name(flags.api_key_env)
    if doubled := [model for number, model in enumerate(flags.model) if model in flags.model[:number]]:
        raise UsageError(f"--model names {doubled[0]!r} twice", hint="name it once; --repeats N asks it again")
    if flags.agent:
        raise UsageError(
            f"--agent is {flags.agent[0]!r}, and this version runs no agents",
            hint="name models: --model provider::name",
        )
    if solver:
        if is_batch(target):
            hint = f"write engine {command} {target}; a switch takes true or false"
            raise UsageError(f"{target!r} is a batch, and {solver!r} is too much", hint=hint)
        _check_for_misspelt_flags(solver, options)
        bench = _changed(project_bench(flags.set_), flags)
        return Batch(bench, _direct_orders(target, solver, flags, options), Path.cwd())
    if options and (not target or is_batch(target) or _flags_like(options)):
        raise _unknown_flags(options)
    if target and not is_batch(target):
        near = _near_batch(target, cutoff=NEAR_BATCH)
        guess = f"did you mean {near!r}? " if near else ""
        raise UsageError(
            f"a solver is missing: `engine {command} {target} SOLVER --model MODEL`",
            hint=f"{guess}a batch is a file that ends with {TOML}",
        )
    text, name, folder = read_bench_text(target or DEFAULT_BENCH)
    return _batch(parse_bench(text, name=name, overrides=flags.set_), text, name, folder, flags)


def readable_batch(target: str, flags: RunFlags) -> Batch | None:
    """What can be read of a batch whose file holds mistakes, to look for further ones; None where that is nothing."""
    text, name, folder = read_bench_text(target)
    bench = readable_part(text, overrides=flags.set_)
    return _batch(bench, text, name, folder, flags) if bench is not None else None


def _batch(bench: Bench, text: str, name: str, folder: Path, flags: RunFlags) -> Batch:
    bench = _changed(bench, flags)
    return Batch(bench, tuple(_orders(bench, flags, _Places(text, name, flags))), folder)


def require_variable_name(text: str) -> None:
    """Check what was given as --api-key-env.

    Raises:
        UsageError: it is no name of a variable, but perhaps the key itself, so it is not shown.
    """
    if text and not is_variable_name(text):
        raise UsageError(f"--api-key-env {NOT_A_VARIABLE}", hint="write --api-key-env OPENAI_API_KEY, say")


def read_bench_text(target: str) -> tuple[str, str, Path]:
    """Text, name and folder of a bench.toml; where there is none here, of the one that came with the engine.

    Raises:
        ConfigError: there is no such file, or it is no text.
    """
    path = Path(target).expanduser()
    if not path.is_file() and target == DEFAULT_BENCH:
        package = Path(__file__).resolve().parent.parent
        shipped = next(p for p in (package / DEFAULT_BENCH, package.parent / DEFAULT_BENCH) if p.is_file())
        print(f"no bench.toml here: {shipped} is read, which comes with the engine", file=sys.stderr)
        return shipped.read_text(encoding="utf-8"), DEFAULT_BENCH, Path.cwd()
    try:
        return path.read_text(encoding="utf-8"), target, path.resolve().parent
    except FileNotFoundError:
        near = _near_batch(path.name)
        hint = f"did you mean {near!r}?" if near else "check the path"
        raise ConfigError(f"there is no file {target!r}", hint=hint) from None
    except IsADirectoryError:
        raise ConfigError(f"{target} is a folder", hint=f"name a file in it, as {target}/{DEFAULT_BENCH}") from None
    except UnicodeDecodeError as error:
        line, byte = error.object[: error.start].count(b"\n") + 1, error.object[error.start]
        raise ConfigError(f"{target}:{line}: is no UTF-8: byte 0x{byte:02x}", hint="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be read: {error.strerror}", hint="check its permissions") from None


def _near_batch(name: str, *, cutoff: float = 0.6) -> str:
    """The batch beside which the name was probably meant; empty where none is near."""
    there = {path.name.lower(): path.name for path in Path().glob("*.toml")}
    there.setdefault(DEFAULT_BENCH, DEFAULT_BENCH)
    return next((there[each] for each in difflib.get_close_matches(name.lower(), there, n=1, cutoff=cutoff)), "")


def project_bench(overrides: Sequence[str] = ()) -> Bench:
    """The bench.toml of this folder without its benchmarks: providers, limits, storage; the defaults without one.

    Raises:
        ConfigError: it holds mistakes; all are named.
    """
    path = Path(DEFAULT_BENCH)
    text = read_bench_text(DEFAULT_BENCH)[0] if path.is_file() else ""
    bench = parse_bench(text, name=DEFAULT_BENCH, overrides=overrides, allow_empty=True)
    return bench.model_copy(update={"benchmark": ()})


def _direct_orders(target: str, solver: str, flags: RunFlags, options: Mapping[str, str]) -> tuple[Order, ...]:
    if not flags.model:
        raise UsageError("a model is missing", hint="pass --model provider::name, as --model simulated::calculator")
    return tuple(
        Order(
            dataset=target,
            solver=solver,
            model=model,
            subset=flags.subset or "",
            options=options,
            choice=_choice(flags, None, None, 0, 1),
            tags=flags.tag,
            api_key_env=flags.api_key_env,
            check_compatibility=flags.check_compatibility,
            record=_recorded(flags, otherwise=False),
        )
        for model in dict.fromkeys(flags.model)
    )


def _orders(bench: Bench, flags: RunFlags, places: _Places) -> Sequence[Order]:
    return [
        Order(
            dataset=each.dataset,
            solver=each.solver,
            model=model,
            subset=each.subset if flags.subset is None else flags.subset,
            options=each.options,
            choice=_choice(flags, each.limit, each.sample, each.seed, each.repeats),
            tags=tuple(dict.fromkeys((*each.tags, *flags.tag))),
            name=each.name,
            api_key_env=flags.api_key_env,
            check_compatibility=flags.check_compatibility,
            record=_recorded(flags, otherwise=each.record),
            places=places.of(number),
        )
        for number, each in enumerate(bench.benchmark)
        for model in (dict.fromkeys(flags.model) or each.models)
    ]


def _recorded(flags: RunFlags, *, otherwise: bool) -> bool:
    """Whether the run becomes an evaluation: what the flags say, else what the file does.

    Raises:
        UsageError: the flags say both.
    """
    if flags.record_partial and flags.record is False:
        raise UsageError("--record-partial records, and --record false does not", hint="give one of them")
    return flags.record_partial or (otherwise if flags.record is None else flags.record)


def _choice(flags: RunFlags, limit: int | None, sample: int | None, seed: int, repeats: int) -> Choice:
    if flags.limit is not None or flags.sample is not None:
        limit, sample = flags.limit, flags.sample
    return Choice(
        limit=limit,
        sample=sample,
        seed=seed if flags.seed is None else flags.seed,
        repeats=flags.repeats or repeats,
    )


class _Places:
    """Where a file says what a benchmark is made of, for messages: `bench.toml:7`."""

    def __init__(self, text: str, name: str, flags: RunFlags) -> None:
        self._name = name
        # What --set or a flag says stands on no line.
        self._lines = {} if any("benchmark" in each for each in flags.set_) else key_lines(text.removeprefix("\ufeff"))
        self._flags = flags

    def of(self, number: int) -> dict[str, str]:
        """The place of each key of the benchmark of this number that the file has."""
        lines = {path[2]: line for path, line in self._lines.items() if path[:2] == ("benchmark", number) and path[2:]}
        return {
            str(key): f"{self._name}:{line}"
            for key, line in lines.items()
            if not (key == "models" and self._flags.model)
        }


def _changed(bench: Bench, flags: RunFlags) -> Bench:
    """The configuration with limits and sampling of the command line laid over it."""
    table = bench.model_dump(exclude_unset=True)
    given = {path: value for path, value in _settings(flags).items() if value is not None}
    for (section, key), value in given.items():
        table[section] = {**table.get(section, {}), key: value}
    for model in table.get("models", {}).values():
        for section, key in given:
            if section == "sampling":
                model.get("sampling", {}).pop(key, None)
    if flags.max_concurrent is not None:
        for provider in table.get("providers", {}).values():
            provider.pop("max_concurrent", None)
    names: dict[KeyPath, str] = {path: f"--{FLAGS.get(path[1], path[1]).replace('_', '-')}" for path in given}
    return check_bench(table, where="the command line", flags=names, allow_empty=True)


def _settings(flags: RunFlags) -> dict[tuple[str, str], object]:
    """The keys of bench.toml that have a flag of their own, with what the command line says; None where nothing."""
    return {
        ("sampling", "temperature"): flags.temperature,
        ("sampling", "max_tokens"): flags.max_tokens,
        ("engine", "max_concurrent"): flags.max_concurrent,
        ("engine", "max_errors"): flags.max_errors,
        ("engine", "max_cost_usd"): flags.max_cost,
        ("engine", "max_total_tokens"): flags.max_total_tokens,
        ("engine", "max_duration_s"): flags.max_duration,
    }


def _check_for_misspelt_flags(solver: str, options: Mapping[str, str]) -> None:
    """Whether what would go to the solver was meant for `run`; else the solver, or the missing flag, takes the blame.

    Raises:
        UsageError: the solver has no such option, and a flag is nearer than any that it has.
    """
    near = _flags_like(options)
    if not near:
        return
    try:
        with results_only():
            taken = signature(find_solver(solver, folder=Path.cwd())).parameters
    except (EngineError, TypeError, ValueError):
        return  # told when the solver is built
    open_ended = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    for name, flag in near.items():
        if not open_ended and difflib.get_close_matches(name, [flag, *taken], n=1, cutoff=NEAR) == [flag]:
            raise UsageError(
                f"--{name.replace('_', '-')} is no flag, and solver {solver!r} has no such option",
                hint=f"did you mean --{flag.replace('_', '-')}?",
            )


def _flags_like(options: Mapping[str, str]) -> dict[str, str]:
    """The options that are spelt almost as a flag, with the flag."""
    known = ["help", *(field.name.rstrip("_") for field in fields(RunFlags))]
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=NEAR) for name in options}
    return {name: found[0] for name, found in near.items() if found}


def _unknown_flags(options: Mapping[str, str]) -> UsageError:
    near = _flags_like(options)
    name = next(iter(near or options))
    fallback = "a solver's options stand in bench.toml: options = { ... }"
    hint = f"did you mean --{near[name].replace('_', '-')}?" if near else fallback
    return UsageError(f"unknown flag --{name.replace('_', '-')}", hint=hint)
