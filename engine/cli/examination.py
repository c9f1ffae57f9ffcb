"""Whether a provider can be used: what its address, its list of models and one request for one token tell."""

from __future__ import annotations

import json as encoding
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from engine.config import Bench, Prices, Provider
from engine.environment import Environment, Secret
from engine.errors import AttemptError, ConfigError, EndpointError, EngineError

if TYPE_CHECKING:
    from engine.endpoints.proxies import Proxy
    from engine.endpoints.quirks import Adaptation
    from engine.ports import Endpoint
    from engine.records import Reply

LIMIT_HEADERS = ("x-ratelimit-", "ratelimit", "anthropic-ratelimit-", "retry-after")
SHOWN_MODELS = 8
CALL_TIMEOUT_S = 60.0
MOST_ROUNDS = 12
"""Requests for one call: each refused parameter costs one, and refusals are free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found: `ok` is False where nothing works without it, None where it is only good to know."""

    topic: str
    text: str
    ok: bool | None = None
    hint: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """The finding for people."""
        mark = {True: "ok", False: "BAD", None: "-"}[self.ok]
        return f"{mark:>4}  {self.topic:<9} {self.text}" + (f"\n{'':16}hint: {self.hint}" if self.hint else "")

    def as_dict(self) -> dict[str, Any]:
        """The finding as `--json` shows it."""
        return {"topic": self.topic, "ok": self.ok, "text": self.text, "hint": self.hint, **self.data}


NOT_TRIED = Finding(topic="call", text="not tried: --call MODEL sends one request for one token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A provider that is examined, with what was configured for its models."""

    name: str
    provider: Provider
    environment: Environment
    prices: Mapping[str, Prices]

    @classmethod
    def of(cls, name: str, bench: Bench, environment: Environment, api_key_env: str) -> Patient:
        """The provider of this name or base URL.

        Raises:
            ConfigError: there is no such provider, or it is no URL.
        """
        from engine.models import check_base_url, known_providers
        from engine.presets import AZURE_BASE_URL, PRESETS

        if "://" in name:
            provider = Provider(base_url=check_base_url(name), api_key_env=api_key_env)
        elif name in bench.reachable:
            change = {"api_key_env": api_key_env} if api_key_env else {}
            provider = bench.reachable[name].model_copy(update=change)
        elif name in PRESETS:
            hint = f"add [providers.{name}] with base_url = {AZURE_BASE_URL!r} to bench.toml"
            raise ConfigError(f"provider {name!r} has no address yet", hint=hint)
        else:
            raise ConfigError(f"unknown provider {name!r}", hint=known_providers(name, bench.reachable))
        prices = {model: config.prices for model, config in bench.models.items() if config.prices is not None}
        return cls(name=name, provider=provider, environment=environment, prices=prices)

    def key(self) -> Secret | None:
        """The key that is sent; None where none is named.

        Raises:
            EndpointError: it is not set.
        """
        variable = self.provider.api_key_env
        return self.environment.require_secret(variable, where=f"provider {self.name!r}") if variable else None


async def examine(patient: Patient, call: str) -> list[Finding]:
    """Whether the provider can be used; with `call`, a model, one token is bought of it."""
    provider = patient.provider
    findings = [Finding(topic="address", text=provider.base_url or f"kind {provider.kind}")]
    try:
        key = patient.key()
    except EndpointError as error:
        return [*findings, Finding(topic="key", text=error.message, ok=False, hint=error.hint)]
    if provider.kind == "openai":
        findings += await _listing(patient, key, call)
    if any(finding.ok is False for finding in findings):
        return findings
    from engine.providers import make_endpoint

    findings += _habits(patient)
    endpoint = make_endpoint(provider, key=key, folder=Path.cwd(), max_concurrent=1)
    try:
        if provider.kind != "openai":
            await endpoint.probe()
            findings.append(Finding(topic="reachable", text="yes, on this machine", ok=True))
        return findings + (await _call(endpoint, patient, call) if call else [NOT_TRIED])
    except EngineError as error:
        return [*findings, Finding(topic="reachable", text=error.message, ok=False, hint=error.hint)]
    finally:
        await endpoint.aclose()


def _habits(patient: Patient) -> list[Finding]:
    from engine.presets import PRESETS, preset_at

    preset = PRESETS.get(patient.name) or preset_at(patient.provider.base_url)
    return [Finding(topic="habit", text=habit) for habit in (preset.habits if preset is not None else ())]


async def _listing(patient: Patient, key: Secret | None, call: str) -> list[Finding]:
    """What `GET /models` tells: reached, key accepted, models, limits."""
    from engine.endpoints import faults
    from engine.endpoints.probing import read_listing, refusal
    from engine.endpoints.proxies import proxy_for
    from engine.endpoints.request_heads import Address
    from engine.presets import preset_at

    provider, secret = patient.provider, key.reveal() if key is not None else ""
    began = time.perf_counter()
    try:
        proxy = proxy_for(Address.of(provider.base_url), os.environ)
        status, headers, body = await _get(f"{provider.base_url}/models", provider.headers, secret, proxy)
        if status >= 300:
            raise faults.fault_of_status(status, headers, body, secret=secret)
    except AttemptError as failed:
        why = refusal(failed, base_url=provider.base_url, key_name=provider.api_key_env, has_key=bool(secret))
        data = {"status": failed.status}
        if why is not None:
            topic = "key" if failed.status else "reachable"
            return [Finding(topic=topic, text=why.message, ok=False, hint=why.hint, data=data)]
        known = preset_at(provider.base_url)
        wants_other = known is not None and not known.lists_models
        why_not = "it takes the key in another way for that" if wants_other else failed.message
        return [Finding(topic="reachable", text=f"yes, but it lists no models: {why_not}", ok=True, data=data)]
    seconds = time.perf_counter() - began
    preset, models = preset_at(provider.base_url), read_listing(body, secret=secret)
    reached = {"status": status, "seconds": round(seconds, 3)}
    findings = [Finding(topic="reachable", text=f"yes, status {status} in {seconds:.2f} s", ok=True, data=reached)]
    if provider.api_key_env and (preset is None or preset.lists_models):
        findings.append(Finding(topic="key", text=f"the key in {provider.api_key_env} is accepted", ok=True))
    elif not provider.api_key_env:
        findings.append(Finding(topic="key", text="none was sent", data={"api_key_env": ""}))
    return [*findings, *_models(models, call), *_limits(headers, secret)]


async def _get(
    url: str, own_headers: Mapping[str, str], secret: str, proxy: Proxy | None
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers in lower case and body of one request that follows nothing and is bounded.

    Raises:
        AttemptError: no reply.
    """
    import httpx

    from engine.endpoints import faults
    from engine.endpoints.probing import LISTING_LIMIT_BYTES, PROBE_TIMEOUT_S

    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **own_headers}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    body = bytearray()
    how: dict[str, Any] = {"timeout": PROBE_TIMEOUT_S, "trust_env": False, "follow_redirects": False}
    if url.startswith("https:"):
        how["verify"] = ssl.create_default_context()  # trusts whom calls trust, SSL_CERT_FILE too
    if proxy is not None:
        told = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else None
        how["proxy"] = httpx.Proxy(f"http://{proxy.shown}", headers=told)
    try:
        with anyio.fail_after(PROBE_TIMEOUT_S):
            async with (
                httpx.AsyncClient(**how) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > LISTING_LIMIT_BYTES:
                        break
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise faults.fault_of_exception(error, secret=secret) from error
    return response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body)


def _models(models: Sequence[str], call: str) -> list[Finding]:
    import difflib

    first = ", ".join(models[:SHOWN_MODELS]) + (" ..." if len(models) > SHOWN_MODELS else "")
    text = f"{len(models)}: {first}" if models else "none are listed"
    findings = [Finding(topic="models", text=text, data={"models": list(models)})]
    if call and models and call not in models:
        near = ", ".join(difflib.get_close_matches(call, models, n=3))
        hint = f"near are {near}" if near else ""
        findings.append(Finding(topic="models", text=f"{call!r} is not among them", hint=hint))
    return findings


def _limits(headers: Mapping[str, str], secret: str) -> list[Finding]:
    from engine.endpoints.scrubbing import scrub

    told = {name: value for name, value in headers.items() if name.startswith(LIMIT_HEADERS)}
    seen = {scrub(name, secret): scrub(value, secret) for name, value in told.items()}
    text = ", ".join(f"{name} {value}" for name, value in seen.items()) or "no header tells any"
    return [Finding(topic="limits", text=text, data={"headers": seen})]


async def _call(endpoint: Endpoint, patient: Patient, model: str) -> list[Finding]:
    """One completion of one token, asked for as runs ask, and what the endpoint refuses of it."""
    from engine.endpoints.quirks import adapt, apply, known_adaptations

    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "1 + 1 = ?"}],
        "temperature": 0,
        "max_tokens": 1,
        "seed": 1,
        "stop": ["###"],
    }
    found: list[Adaptation] = list(known_adaptations(patient.provider.base_url))
    findings = [_quirk(each) for each in found if each.name in asked]
    for sent in range(MOST_ROUNDS):
        body = apply(found, asked)
        try:
            reply = await endpoint.send(encoding.dumps(body).encode(), timeout_s=CALL_TIMEOUT_S)
        except AttemptError as error:
            quirk = adapt(body, error, found=found) if sent < MOST_ROUNDS - 1 else None
            if quirk is None or quirk in found:
                return [*findings, Finding(topic="call", text=f"{model}: {error.message}", ok=False)]
            found.append(quirk)
            findings.append(_quirk(quirk))
            if not quirk.harmless:  # a run would stop here; the request of ours goes on without it
                asked.pop(quirk.name, None)
        else:
            key = patient.key()
            secret = key.reveal() if key is not None else ""
            return [*findings, *_answered(model, reply, secret), _price(patient, model)]
    raise AssertionError


def _quirk(adaptation: Adaptation) -> Finding:
    stops = "" if adaptation.harmless else "a run that asks for it stops: "
    data = {"quirk": adaptation.as_dict()}
    return Finding(topic="quirk", text=f"{stops}{adaptation.says}", hint=adaptation.hint, data=data)


def _answered(model: str, reply: Reply, secret: str) -> list[Finding]:
    from engine.endpoints.scrubbing import scrub

    usage, reason = reply.usage, scrub(reply.finish_reason, secret)
    tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    told = None not in tokens.values()
    counted = f"{usage.input_tokens} + {usage.output_tokens} tokens" if told else "tokens not told"
    text = f"{model}: finish_reason {reason!r}, {counted}, {reply.latency_s:.2f} s"
    data = {"finish_reason": reason, "usage": tokens, "latency_s": round(reply.latency_s, 4)}
    findings = [Finding(topic="call", text=text, ok=True, data={**data, "model": scrub(reply.model, secret)})]
    if not told:
        findings.append(Finding(topic="usage", text="the reply does not tell its tokens: costs stay unknown"))
    return findings


def _price(patient: Patient, model: str) -> Finding:
    from datetime import UTC, datetime

    from engine.pricing import find_price

    full = f"{patient.name}::{model}"
    day = datetime.now(UTC).date()
    found = find_price(model, patient.provider.base_url, configured=patient.prices.get(full), day=day)
    if found is None:
        hint = f'write [models."{full}"] prices = {{ input = ..., output = ... }} in bench.toml'
        return Finding(topic="price", text="unknown", hint=hint, data={"price": None})
    price, source, _ = found
    text = f"${price.input:g} + ${price.output:g} per million tokens, by {source}"
    return Finding(topic="price", text=text, data={"price": [price.input, price.output], "source": source})
