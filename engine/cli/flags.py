"""The flags of `engine run`, each with the sentence that `--help` shows, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any

from cyclopts import Group, Parameter

from engine.api import Mode

WHAT = Group("What is asked", sort_key=1)
HOW = Group("How it is asked", sort_key=2)
STORED = Group("What is stored already", sort_key=3)
ENOUGH = Group("When it stops, and when it counts as failed", sort_key=4)
KEPT = Group("What is kept and shown", sort_key=5)


def _whole(type_: Any, tokens: Sequence[Any]) -> int:  # noqa: ARG001 - the parser's signature
    """A whole number; the parser alone would cut 1.5 to 1."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError("it takes a whole number") from None


def _count(type_: Any, tokens: Sequence[Any]) -> int:
    """A whole number that there can be of something."""
    number = _whole(type_, tokens)
    if number < 1:
        raise ValueError("it must be at least 1")
    return number


def number(type_: Any, tokens: Sequence[Any]) -> float:  # noqa: ARG001 - the parser's signature
    """A number that is one: `nan` and `inf` are no limits."""
    try:
        number = float(tokens[0].value)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise ValueError("it takes a number")
    return number


def _percent(type_: Any, tokens: Sequence[Any]) -> float:  # noqa: ARG001 - the parser's signature
    """A percentage, with or without its sign."""
    text = str(tokens[0].value).strip().removesuffix("%")
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise ValueError("it takes a percentage from 0 to 100")
    return number


def _score(type_: Any, tokens: Sequence[Any]) -> float:
    """A percentage; 0.96 alone is taken for a fraction, and nobody means 0.96 % by it."""
    text = str(tokens[0].value).strip()
    number = _percent(type_, tokens)
    if 0 < number < 1 and not text.endswith("%"):
        raise ValueError(f"--fail-under is in percent: {100 * number:g} for {text}, or {text}% if that is meant")
    return number


def _flag(group: Group, *names: str) -> Parameter:
    return Parameter(name=names or None, group=group, negative=())


def _value(group: Group, converter: Any) -> Parameter:
    return Parameter(group=group, converter=converter)


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """What can be said on the command line; it wins over bench.toml."""

    model: Annotated[tuple[str, ...], _flag(WHAT, "--model", "-m")] = ()
    """provider::name, a bare name, or https://host/v1::name; repeat it for several."""
    agent: Annotated[tuple[str, ...], _flag(WHAT)] = ()
    """The folder of an agent; for later: this version runs models."""
    subset: Annotated[str | None, _flag(WHAT)] = None
    """The split of the dataset."""
    limit: Annotated[int | None, _value(WHAT, _count)] = None
    """Only the first N rows."""
    sample: Annotated[int | None, _value(WHAT, _count)] = None
    """Only N random rows, chosen by --seed."""
    seed: Annotated[int | None, _value(WHAT, _whole)] = None
    """What the choice of the sample starts from."""
    repeats: Annotated[int | None, _value(WHAT, _count)] = None
    """How often each datum is asked."""
    check_compatibility: Annotated[bool, Parameter(group=WHAT)] = True
    """Whether the solver must name the dataset as compatible."""

    max_concurrent: Annotated[int | None, _value(HOW, _whole)] = None
    """Requests in flight at each provider, at most."""
    temperature: Annotated[float | None, _value(HOW, number)] = None
    """Sampling temperature, in place of the solver's."""
    max_tokens: Annotated[int | None, _value(HOW, _whole)] = None
    """Output tokens of a reply, at most."""
    api_key_env: Annotated[str, _flag(HOW)] = ""
    """The variable that holds the key for https://host/v1::name."""
    set_: Annotated[tuple[str, ...], _flag(HOW, "--set")] = ()
    """key=value over any key of bench.toml, as engine.max_attempts=3; repeat it for several."""

    force: Annotated[bool, _flag(STORED)] = False
    """Buy everything anew; the history is kept."""
    generation: Annotated[int | None, _value(STORED, _whole)] = None
    """Go on with this generation of a run that was forced; 0 is the first, the newest without."""
    retry_errors: Annotated[bool, _flag(STORED)] = False
    """Do errored tasks again, also of a run that has ended, and no others."""
    regrade: Annotated[bool, _flag(STORED)] = False
    """Score stored completions again; nothing is sent."""
    offline: Annotated[bool, _flag(STORED)] = False
    """Send nothing; tasks that would need a request are skipped."""
    dry_run: Annotated[bool, _flag(STORED)] = False
    """Only say what would be done; the same as engine plan."""

    max_cost: Annotated[float | None, _value(ENOUGH, number)] = None
    """USD to spend now at most; a call that may not fit is never started."""
    max_total_tokens: Annotated[int | None, _value(ENOUGH, _whole)] = None
    """Input and output tokens to buy now at most."""
    max_duration: Annotated[float | None, _value(ENOUGH, number)] = None
    """Seconds after which no request leaves any more."""
    max_errors: Annotated[str | None, _flag(ENOUGH)] = None
    """More tasks without a score than this end with exit code 1: 5% or a count."""
    min_complete: Annotated[float | None, _value(ENOUGH, _percent)] = None
    """A smaller percentage of tasks with a score ends with exit code 1."""
    fail_under: Annotated[float | None, _value(ENOUGH, _score)] = None
    """A score below this percentage ends with exit code 1."""

    record: Annotated[bool | None, _flag(KEPT)] = None
    """Keep each complete run as an evaluation; false where bench.toml does and this run shall not."""
    overwrite: Annotated[bool, _flag(KEPT)] = False
    """With --record: replace the newest evaluation of the same key."""
    record_partial: Annotated[bool, _flag(KEPT)] = False
    """Record runs with tasks that have no outcome, too, and mark them."""
    tag: Annotated[tuple[str, ...], _flag(KEPT)] = ()
    """A label for the run; repeat it for several."""
    json: Annotated[bool, _flag(KEPT)] = False
    """One JSON object a line on stdout."""
    quiet: Annotated[bool, _flag(KEPT, "--quiet", "-q")] = False
    """No progress, and only errors on stderr."""
    verbose: Annotated[bool, _flag(KEPT, "--verbose", "-v")] = False
    """More on stderr; errors with their traceback."""

    @property
    def mode(self) -> Mode:
        """How to treat what is stored."""
        return Mode(
            force=self.force,
            generation=self.generation,
            retry_errors=self.retry_errors,
            regrade=self.regrade,
            offline=self.offline,
            overwrite=self.overwrite,
            record_partial=self.record_partial,
        )


HIDDEN = Parameter(show=False, negative=())


@dataclass(frozen=True, kw_only=True)
class LookFlags(RunFlags):
    """The same for commands that only look: what is for runs alone is taken, so that a line can be typed again."""

    force: Annotated[bool, HIDDEN] = False
    generation: Annotated[int | None, HIDDEN] = None
    retry_errors: Annotated[bool, HIDDEN] = False
    regrade: Annotated[bool, HIDDEN] = False
    offline: Annotated[bool, HIDDEN] = False
    dry_run: Annotated[bool, HIDDEN] = False
    max_cost: Annotated[float | None, HIDDEN] = None
    max_total_tokens: Annotated[int | None, HIDDEN] = None
    max_duration: Annotated[float | None, HIDDEN] = None
    max_errors: Annotated[str | None, HIDDEN] = None
    min_complete: Annotated[float | None, Parameter(show=False, converter=_percent)] = None
    fail_under: Annotated[float | None, Parameter(show=False, converter=_score)] = None
    record: Annotated[bool | None, HIDDEN] = None
    overwrite: Annotated[bool, HIDDEN] = False
    record_partial: Annotated[bool, HIDDEN] = False
    tag: Annotated[tuple[str, ...], HIDDEN] = ()
