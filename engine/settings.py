"""The tables of bench.toml as frozen records: every key with its type, bounds, default and one sentence.

`docs/bench-toml.md` explains them; `engine.config` makes them from text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from engine.errors import ConfigError
from engine.header_fields import check_header_fields
from engine.literal_keys import literal_keys
from engine.mistakes import MISSING, SECRET, UNFIT, WRONG, Mistake, Table
from engine.models import SIMULATED, check_base_url, like_a_url, near_provider, split_model
from engine.presets import AZURE_BASE_URL, PRESETS, laid_over_preset, reachable_presets
from engine.toml_lines import KeyPath

T = TypeVar("T")

PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """How many tasks without a score are too many: a percentage of all, or a count."""

    percent: Decimal | None = None
    count: int | None = None

    @classmethod
    def parse(cls, value: object) -> Self:
        """The limit that `"5%"`, `"20"` or `20` means.

        Raises:
            ValueError: it is neither, or a percentage above 100.
        """
        if isinstance(value, cls):
            return value
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        percent = PERCENT.fullmatch(text)
        if percent and Decimal(percent[1]) <= 100:
            return cls(percent=Decimal(percent[1]))
        if re.fullmatch(r"[0-9]{1,18}", text):
            return cls(count=int(text))
        raise ValueError("must be a percentage up to '100%', or a count")

    def exceeded(self, errors: int, *, n: int) -> bool:
        """Whether `errors` of `n` tasks is more than the limit."""
        if self.percent is not None:
            return errors * 100 > self.percent * n
        return errors > (self.count or 0)

    def __str__(self) -> str:
        return f"{self.percent}%" if self.percent is not None else str(self.count)


def _told(check: Callable[[Any], T]) -> Callable[[Any], T]:
    """The check, its complaint as a sentence of a mistake."""

    def told(value: Any) -> T:
        try:
            return check(value)
        except ConfigError as error:
            what = "is not usable: " + error.message.replace("{", "(").replace("}", ")")
            raise PydanticCustomError(UNFIT, what) from None
        except ValueError as error:
            raise PydanticCustomError(WRONG, str(error)) from None

    return told


def _only_json(table: dict[str, Any]) -> dict[str, Any]:
    pending: list[Any] = [table]
    while pending:
        value = pending.pop()
        no_json = isinstance(value, date | time) or (isinstance(value, float) and not isfinite(value))
        if no_json:
            raise ValueError("must hold what JSON can hold: quotes around dates, and finite numbers")
        pending += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return table


def _known_body(table: dict[str, Any]) -> dict[str, Any]:
    taken = sorted({"messages", "model", "stream"} & set(table))
    if taken:
        raise ValueError(f"must not set what the engine sets: {', '.join(taken)}")
    return _only_json(table)


_LIMIT_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*%$"}, {"type": "integer", "minimum": 0}]
}
Limit = Annotated[
    ErrorLimit,
    PlainValidator(_told(ErrorLimit.parse)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(_LIMIT_SCHEMA),
]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0)]
Price = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Texts = Annotated[tuple[Text, ...], Strict(strict=False)]
Stops = Annotated[
    Texts,
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Options = Annotated[dict[str, Any], AfterValidator(_told(_only_json))]
Body = Annotated[dict[str, Any], AfterValidator(_told(_known_body))]
Headers = Annotated[dict[str, str], AfterValidator(_told(check_header_fields))]
BaseUrl = Annotated[str, AfterValidator(lambda url: _told(check_base_url)(url) if url else url)]


class EngineLimits(Table):
    """`[engine]`: limits for the whole batch."""

    max_concurrent: Count = Field(
        default=64, description="Requests in flight, for every provider that sets no ceiling."
    )
    attempt_timeout_s: Amount = Field(default=60.0, description="Seconds for one HTTP request.")
    call_deadline_s: Amount = Field(default=600.0, description="Seconds for one call with all its retries.")
    max_attempts: Count = Field(default=8, description="HTTP requests for one call at most.")
    max_cost_usd: Amount | None = Field(default=None, description="USD to spend now at most; the stop loses nothing.")
    max_errors: Limit = Field(
        default=ErrorLimit(Decimal(5)), description="More tasks without a score than this end with 1."
    )
    max_total_tokens: Count | None = Field(default=None, description="Input and output tokens to buy now at most.")
    max_duration_s: Amount | None = Field(default=None, description="Seconds after which no call is made any more.")
    default_provider: str = Field(default="", description="Where a model name without a provider is looked up first.")


class StorageConfig(Table):
    """`[storage]`: where completions and results are kept."""

    url: str = Field(default="", description="sqlite:///file; empty is engine.db in ENGINE_HOME.")
    full_wait_s: Amount = Field(default=300.0, description="Seconds to wait for room on a full disk; then exit 5.")


KEYS_OF_KIND: Mapping[str, frozenset[str]] = {
    "openai": frozenset({"base_url", "api_key_env"}),
    "simulated": frozenset({"accuracy", "latency_s", "latency_sigma", "output_tokens", "fault_rates", "seed"}),
    "recorded": frozenset({"file"}),
}


MADE_UP = frozenset({"simulated", "recorded"})
"""Kinds that cost nothing."""
ENDPOINTS = Path(__file__).resolve().parent / "endpoints"


def _known_kind(kind: str) -> str:
    """One of those above, or a module of `engine/endpoints` that makes an endpoint, whose text is looked at."""
    module = ENDPOINTS / f"{kind}.py"
    is_module = kind.isidentifier() and module.is_file() and "\ndef make(" in module.read_text(encoding="utf-8")
    if kind in KEYS_OF_KIND or is_module:
        return kind
    *most, last = map(repr, KEYS_OF_KIND)
    raise PydanticKnownError("literal_error", {"expected": f"{', '.join(most)} or {last}"})


Kind = Annotated[
    str, AfterValidator(_known_kind), WithJsonSchema({"anyOf": [{"enum": [*KEYS_OF_KIND]}, {"type": "string"}]})
]


class Provider(Table):
    """`[providers.NAME]`: one way to reach models, with its limits."""

    kind: Kind = Field(
        default="openai",
        description="An OpenAI-compatible API, made-up answers, answers from a file, or a module of engine/endpoints.",
    )
    base_url: BaseUrl = Field(default="", description="Where the API is, as https://host/v1.")
    api_key_env: str = Field(default="", description="The environment variable that holds the key; empty sends none.")
    max_concurrent: Count | None = Field(
        default=None, description="Requests in flight at most; unset is that of [engine]."
    )
    requests_per_minute: Count | None = Field(default=None, description="HTTP requests a minute at most.")
    tokens_per_minute: Count | None = Field(default=None, description="Input and output tokens a minute at most.")
    headers: Headers = Field(default_factory=dict, description="HTTP headers of every request.")
    extra_body: Body = Field(default_factory=dict, description="Keys added to the body of every request.")
    client: Literal["http", "sdk"] = Field(
        default="http", description="The engine's own HTTP client, or the openai package."
    )
    stream: bool = Field(default=False, description="Receive replies in pieces, which measures the first token.")
    accuracy: Share = Field(default=0.95, description="simulated: the share of right answers.")
    latency_s: Annotated[float, Field(ge=0)] = Field(default=0.02, description="simulated: median seconds for a reply.")
    latency_sigma: Annotated[float, Field(ge=0)] = Field(
        default=0.3, description="simulated: spread, sigma of log seconds."
    )
    output_tokens: Count | None = Field(default=None, description="simulated: about how long an answer is at least.")
    fault_rates: dict[str, Share] = Field(
        default_factory=dict, description="simulated: the share of each status or fault."
    )
    seed: int = Field(default=0, description="simulated: what chance starts from.")
    file: str = Field(default="", description="recorded: a file of recorded answers.")

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterator[Mistake]:
        """Keys that belong to another kind, and those that this kind needs."""
        kind = given.get("kind", "openai")
        needed = {"openai": "base_url", "recorded": "file"}.get(kind) if isinstance(kind, str) else None
        if needed and given.get(needed, "") == "":
            yield Mistake((needed,), f"is missing: kind {kind!r} needs it", MISSING)
        for other, keys in KEYS_OF_KIND.items():
            for key in given if kind in KEYS_OF_KIND and other != kind else ():
                if key in keys and given[key] != cls.model_fields[key].get_default(call_default_factory=True):
                    yield Mistake((key,), f"is for kind {other!r}, and this one is {kind!r}", value=given[key])
        rates = given.get("fault_rates")
        numbers = [rate for rate in rates.values() if isinstance(rate, float | int)] if isinstance(rates, dict) else []
        if all(0 <= rate <= 1 for rate in numbers) and sum(numbers) > 1 + 1e-9:
            yield Mistake(("fault_rates",), f"must sum to 1 at most, not to {sum(numbers):g}")


def with_presets(providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """The providers, over `simulated` and every preset that needs no configuration."""
    built_in = {name: Provider.model_validate(preset.keys) for name, preset in reachable_presets()}
    return {SIMULATED: Provider(kind="simulated"), **built_in, **providers}


class Sampling(Table):
    """`[sampling]`: what every request asks for; other parameters go to extra_body."""

    elsewhere: ClassVar[str] = ", other parameters go to extra_body of the model or provider"

    temperature: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="0 is the most probable answer."
    )
    max_tokens: Count | None = Field(default=None, description="Output tokens of a reply at most.")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(default=None, description="Nucleus sampling.")
    stop: Stops | None = Field(default=None, description="Text, or a list of texts, at which a reply ends.")
    seed: int | None = Field(default=None, description="Passed to endpoints that take one.")


class Prices(Table):
    """USD per million tokens."""

    input: Price = Field(description="Input tokens.")
    output: Price = Field(description="Output tokens.")
    cached_input: Price | None = Field(default=None, description="Input tokens that the endpoint had cached.")


class ModelConfig(Table):
    """`[models."provider::name"]`: what is different for one model."""

    sampling: Sampling = Field(default=Sampling(), description="Laid over [sampling].")
    prices: Prices | None = Field(default=None, description="USD per million tokens; before any list of prices.")
    headers: Headers = Field(default_factory=dict, description="Laid over those of the provider.")
    extra_body: Body = Field(default_factory=dict, description="Laid over that of the provider.")


class Benchmark(Table):
    """`[[benchmark]]`: models x repeats of one dataset and solver."""

    dataset: Text = Field(description="A registry entry, a path, hf:owner/name, or generated:name.")
    solver: Text = Field(description="A class, a file in solvers/, path.py:Class, or package.module:Class.")
    subset: str = Field(default="", description="The split of the dataset.")
    models: Texts = Field(default=(), description="provider::name, a bare name, or https://host/v1::name.")
    agents: Texts = Field(default=(), description="Folders of agents; this version runs none.")
    repeats: Count = Field(default=1, description="How often each datum is asked.")
    options: Options = Field(default_factory=dict, description="Arguments of the solver's constructor.")
    limit: Count | None = Field(default=None, description="Only the first N rows.")
    sample: Count | None = Field(default=None, description="Only N random rows.")
    seed: int = Field(default=0, description="What the choice of the sample starts from.")
    record: bool = Field(default=False, description="Keep the result as an evaluation.")
    tags: Texts = Field(default=(), description="Labels of the evaluation.")
    name: str = Field(default="", description="How the benchmark is called; empty is what the solver says.")

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterator[Mistake]:
        """Nothing to run, agents, and limits that exclude each other."""
        models = given.get("models", ())
        if given.get("agents"):
            yield Mistake(("agents",), "agents cannot be run by this version: name models")
        elif models in ((), []):
            yield Mistake(("models",), "is missing: name at least one model, as simulated::calculator", MISSING)
        if given.get("limit") is not None and given.get("sample") is not None:
            yield Mistake(("sample",), "excludes limit: keep one of them", value=given["sample"])
        for index, model in enumerate(models if isinstance(models, list | tuple) else ()):
            if model in models[:index]:
                yield Mistake(("models", index), "is named twice: use repeats to ask it again", value=model)


class Bench(Table):
    """All of bench.toml. `providers` always has `simulated`, configured or not; `reachable` has the presets too."""

    engine: EngineLimits = Field(default=EngineLimits(), description="Limits for the whole batch.")
    storage: StorageConfig = Field(default=StorageConfig(), description="Where results are kept.")
    providers: dict[str, Provider] = Field(default_factory=dict, description="Ways to reach models, by name.")
    sampling: Sampling = Field(default=Sampling(), description="What every request asks for.")
    models: dict[str, ModelConfig] = Field(default_factory=dict, description="What is different for one model.")
    benchmark: Annotated[tuple[Benchmark, ...], Strict(strict=False)] = Field(default=(), description="What to run.")

    @property
    def reachable(self) -> dict[str, Provider]:
        """Every provider that a model may name: those that are built in, under those that are configured."""
        return with_presets(self.providers)

    @field_validator("providers", mode="before")
    @classmethod
    def _over_presets(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        simulated = given.get(SIMULATED, {})
        if isinstance(simulated, Mapping) and "base_url" not in simulated:
            simulated = {"kind": "simulated", **simulated}
        laid = {name: laid_over_preset(name, t) if isinstance(t, Mapping) else t for name, t in given.items()}
        return {**laid, SIMULATED: simulated}

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterator[Mistake]:
        """Keys in plain text, and names of providers that are not configured."""
        yield from (Mistake(path, what, SECRET) for path, what in literal_keys(given))
        providers = given.get("providers", {})
        known = [*providers, SIMULATED] if isinstance(providers, Mapping) else []
        for name in known:
            if not re.fullmatch(r"(?!https?:)(?:(?!::)[^/\s])+", str(name)):
                yield Mistake(("providers", name), "a provider's name holds no '::', no '/' and no space")
        yield from (mistake for path, name in _model_names(given) for mistake in _model_mistakes(path, name, known))
        limits = given.get("engine")
        default = limits.get("default_provider", "") if isinstance(limits, Mapping) else ""
        if default and isinstance(default, str) and not _is_known(default, known):
            yield _unknown_provider(("engine", "default_provider"), default, default, known)


def _model_names(given: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Every model that is named, with its path."""
    models, benchmarks = given.get("models"), given.get("benchmark")
    for name in models if isinstance(models, Mapping) else ():
        yield ("models", name), name
    for index, table in enumerate(benchmarks if isinstance(benchmarks, list | tuple) else ()):
        names = table.get("models") if isinstance(table, Mapping) else None
        for position, name in enumerate(names if isinstance(names, list | tuple) else ()):
            if isinstance(name, str) and name:
                yield ("benchmark", index, "models", position), name


def _model_mistakes(path: KeyPath, name: str, known: Sequence[str]) -> Iterator[Mistake]:
    try:
        parts = split_model(name)
    except ConfigError as error:
        yield Mistake(path, f"{error.message}; {error.hint}")
    else:
        if parts.provider and not _is_known(parts.provider, known):
            yield _unknown_provider(path, parts.provider, name, known)


def _is_known(provider: str, configured: Iterable[str]) -> bool:
    return provider in configured or provider in dict(reachable_presets())


def _unknown_provider(path: KeyPath, provider: str, value: str, known: Iterable[str]) -> Mistake:
    if provider in PRESETS:
        what = f"has no address yet: add [providers.{provider}] with a base_url like {AZURE_BASE_URL!r}"
        return Mistake(path, what, value=value)
    names, built_in = list(dict.fromkeys(known)), [name for name, _ in reachable_presets()]
    if hint := like_a_url(value):
        return Mistake(path, f"unknown provider {provider!r}; {hint}", value=value)
    guess = near_provider(provider, names) or near_provider(provider, built_in)
    what = f"unknown provider {provider!r}, configured are {', '.join(names)}"
    return Mistake(path, what if guess else f"{what}, built in are {', '.join(built_in)}", value=value, guess=guess)
