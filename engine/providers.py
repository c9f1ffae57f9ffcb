"""Providers as configured -> desks that make calls: one for each, or for a model with headers of its own."""

from __future__ import annotations

import importlib
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio

from engine.calls.budget import Budget
from engine.calls.desk import CallDesk
from engine.calls.gate import Change, Gate
from engine.calls.retry import RetryPolicy
from engine.calls.sender import Sender
from engine.config import Bench, Provider
from engine.endpoints.openai_chat import OpenAIChat
from engine.endpoints.quirks import Adaptation
from engine.endpoints.refusals import Refusals
from engine.environment import Environment, Secret
from engine.errors import BudgetError, ConfigError, EndpointError
from engine.models import ModelName, find_model, normalise_base_url, parse_model
from engine.ports import Endpoint, Store

LANES = 8
"""Runs of one provider that hand out tasks at a time; the next starts when one has handed out its last."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A parameter that a model refuses is left out or renamed from now on; `says` tells which and why."""

    provider: str
    model: str
    says: str


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A model's replies do not tell their tokens, and a budget counts each as the most that it can have been."""

    provider: str
    model: str


@dataclass(slots=True)
class Desk:
    """A provider in use."""

    name: str
    provider: Provider
    calls: CallDesk
    lanes: anyio.CapacityLimiter
    probed: bool = False
    identified: bool = False


class Providers:
    """Makes each provider's endpoint when first needed, probes it once, closes them all."""

    def __init__(
        self,
        bench: Bench,
        environment: Environment,
        store: Store,
        *,
        folder: Path,
        changed: Callable[[Change], None] | None = None,
        adapted: Callable[[Adapted], None] | None = None,
        uncounted: Callable[[Uncounted], None] | None = None,
    ) -> None:
        limits = bench.engine
        self.budget = Budget(
            max_cost_usd=limits.max_cost_usd, max_tokens=limits.max_total_tokens, uncounted=self._tell_uncounted
        )
        self._bench = bench
        self._changed = changed
        self._adapted = adapted
        self._uncounted = uncounted
        self._environment = environment
        self._store = store
        self._folder = folder
        self._gates: dict[str, Gate] = {}
        self._lanes: dict[str, anyio.CapacityLimiter] = {}
        self._desks: dict[tuple[str, frozenset[tuple[str, str]]], Desk] = {}
        self._lock = anyio.Lock()

    @property
    def configured(self) -> Mapping[str, Provider]:
        """Providers by name, the simulated one and the presets always among them."""
        return self._bench.reachable

    async def resolve(self, name: str, benchmark: str, *, asks: bool) -> ModelName:
        """The model behind a name; a bare one is looked up in the configured providers, the default one first.

        Where nothing may be asked, it is the one that this benchmark was last run with.

        Raises:
            ConfigError: no such provider.
            EndpointError: a provider that had to be asked cannot be reached, or may not be asked.
        """
        found = configured_model(name, self._bench)
        if found.provider or found.base_url:
            return found
        return await (self._ask_for(found) if asks else self._stored(found, benchmark))

    async def _stored(self, parsed: ModelName, benchmark: str) -> ModelName:
        for run in await self._store.find_runs(benchmark=benchmark, limit=100):
            if run["provider"] in self._bench.providers and find_model(parsed.model, [run["model"]]):
                return ModelName(provider=run["provider"], model=run["model"], base_url="")
        raise EndpointError(
            f"model {parsed.model!r} has no provider: no stored run of {benchmark!r} has it, and nobody may be asked",
            hint=_how_to_name(parsed.model, self._bench),
        )

    async def _ask_for(self, parsed: ModelName) -> ModelName:
        seen: list[str] = []
        names = _that_list_models(self._bench)
        for name in names:
            variable = self._bench.providers[name].api_key_env
            if not self._has_key(name):
                seen.append(f"{name} ({variable} is not set)")
                continue
            desk = self.desk(name)
            try:
                await self.probe(desk)
            except EndpointError as error:
                seen.append(f"{name} ({error.message})")
                continue
            listing = getattr(desk.calls.sender.endpoint, "listing", ())
            found = find_model(parsed.model, listing) or ("" if listing or len(names) > 1 else parsed.model)
            if found:
                return ModelName(provider=name, model=found, base_url="")
            seen.append(f"{name} (does not list it)")
        raise EndpointError(
            f"model {parsed.model!r} has no provider: looked for at {', '.join(seen)}",
            hint=_how_to_name(parsed.model, self._bench),
        )

    def _has_key(self, name: str) -> bool:
        variable = self._bench.providers[name].api_key_env
        return not variable or self._environment.secret(variable) is not None

    def desk(self, name: str, api_key_env: str = "", headers: Mapping[str, str] | None = None) -> Desk:
        """The desk of a provider by name, or of a base URL; a missing key is found by `probe`.

        A model with `headers` of its own has a desk of its own, which shares the provider's gate with the others.
        """
        own = dict(headers or {})
        place = (name, frozenset(own.items()))
        if place not in self._desks:
            provider = self.configured.get(name) or Provider(base_url=name, api_key_env=api_key_env)
            if own:
                provider = provider.model_copy(update={"headers": _laid_over(own, provider.headers)})
            lanes = self._lanes.setdefault(name, anyio.CapacityLimiter(LANES))
            self._desks[place] = Desk(name, provider, self._calls(name, provider), lanes)
        return self._desks[place]

    def _calls(self, name: str, provider: Provider) -> CallDesk:
        limits = self._bench.engine
        policy = RetryPolicy(
            max_attempts=limits.max_attempts,
            attempt_timeout_s=limits.attempt_timeout_s,
            call_deadline_s=limits.call_deadline_s,
        )
        sender = Sender(
            self._endpoint(provider),
            name=name,
            gate=self._gate(name, provider),
            budget=self.budget,
            refusals=Refusals(provider.base_url, told=self._told(name)),
            patience_s=limits.call_deadline_s,
        )
        return CallDesk(sender, store=self._store, policy=policy)

    def _gate(self, name: str, provider: Provider) -> Gate:
        if name not in self._gates:
            self._gates[name] = Gate(
                self._ceiling(provider),
                name=name,
                requests_per_minute=provider.requests_per_minute,
                tokens_per_minute=provider.tokens_per_minute,
                longest_pause_s=self._bench.engine.call_deadline_s,
                changed=self._changed,
            )
        return self._gates[name]

    async def identify(self, desk: Desk, benchmark: str, *, asks: bool) -> None:
        """Let a loopback URL stand for what our own server behind it answers from: a new port is no new provider.

        Where nothing answers, or nothing may be asked, it stands for what it stood for last time.
        """
        endpoint = desk.calls.sender.endpoint
        if desk.identified or not isinstance(endpoint, OpenAIChat) or not is_loopback(desk.provider.base_url):
            return
        own = normalise_base_url(desk.provider.base_url)
        if asks:
            desk.identified = True
            try:
                await endpoint.probe()
            except EndpointError:
                pass  # told when the run is about to begin, if it has anything to ask
            else:
                desk.probed = not desk.provider.api_key_env
                endpoint.identity = endpoint.served_identity or own
                return
        stored = await self._store.find_runs(benchmark=benchmark, limit=100)
        here = (json.loads(run["parts"])["provider"] for run in stored if run["provider"] == desk.name)
        endpoint.identity = next(here, own)

    async def probe(self, desk: Desk) -> None:
        """Check once, at no cost, that the provider can be used.

        Raises:
            EndpointError: its key variable is not set, it cannot be reached, or it refuses the key.
        """
        if desk.provider.api_key_env:
            self._environment.require_secret(desk.provider.api_key_env, where=f"provider {desk.name!r}")
        async with self._lock:
            if not desk.probed:
                await desk.calls.sender.endpoint.probe()
                desk.probed = True

    @property
    def in_flight(self) -> int:
        """Requests that are with any provider now."""
        return sum(gate.in_flight for gate in self.gates)

    @property
    def gates(self) -> list[Gate]:
        """The gates of the providers in use."""
        return list(self._gates.values())

    def stop(self, error: BudgetError) -> None:
        """Buy nothing more because of `error`: requests in flight end, and those that sleep wake up."""
        self.budget.stop(error)
        self.drain()

    def drain(self) -> None:
        """Let requests in flight end, and start none."""
        for desk in self._desks.values():
            desk.calls.sender.drain()

    async def aclose(self) -> None:
        """Close every endpoint."""
        for desk in self._desks.values():
            await desk.calls.sender.endpoint.aclose()

    def _told(self, name: str) -> Callable[[str, Adaptation], None]:
        def told(model: str, adaptation: Adaptation) -> None:
            if self._adapted is not None:
                self._adapted(Adapted(name, model, adaptation.says))

        return told

    def _tell_uncounted(self, provider: str, model: str) -> None:
        if self._uncounted is not None:
            self._uncounted(Uncounted(provider, model))

    def _endpoint(self, provider: Provider) -> Endpoint:
        key = self._environment.secret(provider.api_key_env) if provider.api_key_env else None
        return make_endpoint(provider, key=key, folder=self._folder, max_concurrent=self._ceiling(provider))

    def _ceiling(self, provider: Provider) -> int:
        return provider.max_concurrent or self._bench.engine.max_concurrent


def make_endpoint(provider: Provider, *, key: Secret | None, folder: Path, max_concurrent: int) -> Endpoint:
    """The endpoint of a provider's kind, from the module of that name in `engine/endpoints`.

    Raises:
        ConfigError: its address or a header cannot be used.
        DatasetError: its recording cannot be read.
        EndpointError: its key cannot be sent.
    """
    by_client = {"http": "openai_chat", "sdk": "openai_sdk"}
    module = by_client[provider.client] if provider.kind == "openai" else provider.kind
    make: Callable[..., Endpoint] = importlib.import_module(f"engine.endpoints.{module}").make
    return make(provider, key=key, folder=folder, max_concurrent=max_concurrent)


def _laid_over(own: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Headers over others; their names know no case."""
    taken = {name.lower() for name in own}
    return {**{name: value for name, value in others.items() if name.lower() not in taken}, **own}


def is_loopback(base_url: str) -> bool:
    """Whether the URL is of this machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fixed_sampling(bench: Bench, provider: Provider, model: str, *, measured: bool = True) -> dict[str, Any]:
    """What the configuration sets for a model's calls: [sampling], then the model's own, then extra bodies.

    [sampling] is for the model that is `measured`, and not for a judge.
    """
    config = bench.models.get(model)
    sampling = bench.sampling.model_dump(exclude_none=True) if measured else {}
    layers: list[Mapping[str, Any]] = [sampling, provider.extra_body]
    if config is not None:
        layers += [config.sampling.model_dump(exclude_none=True), config.extra_body]
    return {name: value for layer in layers for name, value in layer.items()}


def configured_model(name: str, bench: Bench) -> ModelName:
    """The model behind a name as far as the configuration tells; a bare one where a provider has to be asked.

    Raises:
        ConfigError: no such provider, or none that could be asked.
    """
    parsed = parse_model(name, providers=bench.reachable)
    if parsed.provider or parsed.base_url:
        return parsed
    for known in bench.models:
        full = parse_model(known, providers=bench.reachable)
        if full.provider and find_model(name, [full.model]):
            return full
    if not _that_list_models(bench):
        raise ConfigError(f"model {name!r} has no provider: no provider is configured", hint=_how_to_name(name, bench))
    return parsed


def _that_list_models(bench: Bench) -> list[str]:
    """Providers that a bare name is looked up at, the default one first."""
    first = bench.engine.default_provider
    return sorted((n for n, p in bench.providers.items() if p.kind == "openai"), key=lambda n: n != first)


def _how_to_name(name: str, bench: Bench) -> str:
    provider, colon, model = name.partition(":")
    if colon and model and provider in bench.reachable:
        return f"did you mean {provider}::{model}?"
    return "write provider::model, or https://host/v1::model, or add a [providers.NAME] section"
