"""The flags of `engine run`, and how they are laid over a bench.toml or make one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from engine.api import Mode
from engine.config import Bench, check_bench, parse_bench
from engine.errors import ConfigError, UsageError
from engine.plan import Choice
from engine.prepare import Order

DEFAULT_BENCH = "bench.toml"


def _whole(type_: Any, tokens: Sequence[Any]) -> int:  # noqa: ARG001 - the parser's signature
    """A whole number; the parser alone would cut 1.5 to 1."""
    return int(tokens[0].value)


Whole = Annotated[int | None, Parameter(converter=_whole)]


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """What can be said on the command line; it wins over bench.toml."""

    model: Annotated[tuple[str, ...], Parameter(name=("--model", "-m"), negative=())] = ()
    """provider::name, a bare name, or https://host/v1::name; repeat it for several."""
    subset: str | None = None
    """The split of the dataset."""
    max_concurrent: Whole = None
    """Requests in flight at each provider, at most."""
    limit: Whole = None
    """Only the first N rows."""
    sample: Whole = None
    """Only N random rows, chosen by --seed."""
    seed: Annotated[int, Parameter(converter=_whole)] = 0
    """What the choice of the sample starts from."""
    repeats: Whole = None
    """How often each datum is asked."""
    temperature: float | None = None
    """Sampling temperature, in place of the solver's."""
    max_tokens: Whole = None
    """Output tokens of a reply, at most."""
    force: Annotated[bool, Parameter(negative=())] = False
    """Buy everything anew; the history is kept."""
    retry_errors: Annotated[bool, Parameter(negative=())] = False
    """Do errored tasks again, also of a run that has ended."""
    regrade: Annotated[bool, Parameter(negative=())] = False
    """Score stored completions again; nothing is sent."""
    offline: Annotated[bool, Parameter(negative=())] = False
    """Send nothing; tasks that would need a request are skipped."""
    max_cost: float | None = None
    """USD to spend now at most; a call that may not fit is never started."""
    max_total_tokens: Whole = None
    """Input and output tokens to buy now at most."""
    max_duration: float | None = None
    """Seconds after which no request leaves any more."""
    max_errors: str | None = None
    """More tasks without a score than this end with exit code 1: 5% or a count."""
    min_complete: float | None = None
    """A smaller percentage of tasks with a score ends with exit code 1."""
    fail_under: float | None = None
    """A score below this percentage ends with exit code 1."""
    record: Annotated[bool, Parameter(negative=())] = False
    """Keep each complete run as an evaluation."""
    overwrite: Annotated[bool, Parameter(negative=())] = False
    """With --record: replace the newest evaluation of the same key."""
    record_partial: Annotated[bool, Parameter(negative=())] = False
    """Record runs with tasks that have no outcome, too, and mark them."""
    api_key_env: str = ""
    """The variable that holds the key for https://host/v1::name."""
    check_compatibility: bool = True
    """Whether the solver must name the dataset as compatible."""
    tag: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    """A label for the run; repeat it for several."""
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=())] = ()
    """key=value over any key of bench.toml, as engine.max_attempts=3; repeat it for several."""
    dry_run: Annotated[bool, Parameter(negative=())] = False
    """Only say what would be done; the same as `engine plan`."""
    json: Annotated[bool, Parameter(negative=())] = False
    """One JSON object a line on stdout."""
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative=())] = False
    """No progress."""
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative=())] = False
    """More on stderr; errors with their traceback."""

    @property
    def mode(self) -> Mode:
        """How to treat what is stored."""
        return Mode(
            force=self.force,
            retry_errors=self.retry_errors,
            regrade=self.regrade,
            offline=self.offline,
            overwrite=self.overwrite,
            record_partial=self.record_partial,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What to run: the configuration, the runs, and what relative paths are relative to."""

    bench: Bench
    orders: tuple[Order, ...]
    folder: Path


def read_batch(target: str, solver: str, flags: RunFlags, options: Mapping[str, str]) -> Batch:
    """The batch that a command line means.

    Raises:
        UsageError: the words do not fit together.
        ConfigError: the file or the flags hold mistakes; all are named.
    """
    options = {name.replace("-", "_"): value for name, value in options.items()}
    if solver:
        bench = _changed(project_bench(flags.set_), flags)
        return Batch(bench, _direct_orders(target, solver, flags, options), Path.cwd())
    if target and not target.endswith(".toml"):
        raise UsageError(
            f"a solver is missing: `engine run {target} SOLVER --model MODEL`",
            hint="a batch is a file that ends with .toml",
        )
    if options:
        raise _unknown_flags(options)
    text, name, folder = read_bench_text(target or DEFAULT_BENCH)
    bench = _changed(parse_bench(text, name=name, overrides=flags.set_), flags)
    return Batch(bench, tuple(_orders(bench, flags)), folder)


def read_bench_text(target: str) -> tuple[str, str, Path]:
    """Text, name and folder of a bench.toml; where there is none here, of the one that came with the engine.

    Raises:
        ConfigError: there is no such file, or it is no text.
    """
    path = Path(target).expanduser()
    if not path.is_file() and target == DEFAULT_BENCH:
        package = Path(__file__).resolve().parent.parent
        shipped = next(p for p in (package / DEFAULT_BENCH, package.parent / DEFAULT_BENCH) if p.is_file())
        print("no bench.toml here: running the one that comes with the engine", file=sys.stderr)
        return shipped.read_text(encoding="utf-8"), DEFAULT_BENCH, Path.cwd()
    try:
        return path.read_text(encoding="utf-8"), target, path.resolve().parent
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in Path().glob("*.toml")], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "check the path"
        raise ConfigError(f"there is no file {target!r}", hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{target}: cannot be read: {error}", hint="it must be a text file in UTF-8") from None


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
            record=flags.record or flags.record_partial,
        )
        for model in dict.fromkeys(flags.model)
    )


def _orders(bench: Bench, flags: RunFlags) -> Sequence[Order]:
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
            record=each.record or flags.record or flags.record_partial,
        )
        for each in bench.benchmark
        for model in (dict.fromkeys(flags.model) or each.models)
    ]


def _choice(flags: RunFlags, limit: int | None, sample: int | None, seed: int, repeats: int) -> Choice:
    if flags.limit is not None or flags.sample is not None:
        limit, sample, seed = flags.limit, flags.sample, flags.seed
    for name, value in (("limit", limit), ("sample", sample), ("repeats", flags.repeats)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value!r}", hint="it must be at least 1")
    return Choice(limit=limit, sample=sample, seed=seed, repeats=flags.repeats or repeats)


def _changed(bench: Bench, flags: RunFlags) -> Bench:
    """The configuration with limits and sampling of the command line laid over it."""
    table = bench.model_dump(exclude_unset=True)
    sampling = {"temperature": flags.temperature, "max_tokens": flags.max_tokens}
    limits = {
        "max_concurrent": flags.max_concurrent,
        "max_errors": flags.max_errors,
        "max_cost_usd": flags.max_cost,
        "max_total_tokens": flags.max_total_tokens,
        "max_duration_s": flags.max_duration,
    }
    given = {name: value for name, value in sampling.items() if value is not None}
    if given:
        table["sampling"] = {**table.get("sampling", {}), **given}
        for model in table.get("models", {}).values():
            for name in given:
                model.get("sampling", {}).pop(name, None)
    if any(value is not None for value in limits.values()):
        set_limits = {name: value for name, value in limits.items() if value is not None}
        table["engine"] = {**table.get("engine", {}), **set_limits}
    if flags.max_concurrent is not None:
        for provider in table.get("providers", {}).values():
            provider.pop("max_concurrent", None)
    return check_bench(table, where="the command line", allow_empty=True)


def _unknown_flags(options: Mapping[str, str]) -> UsageError:
    name = next(iter(options))
    known = [field.name.rstrip("_") for field in fields(RunFlags)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean --{near[0]}?" if near else "a solver's options stand in bench.toml: options = { ... }"
    return UsageError(f"unknown flag --{name}", hint=hint)
