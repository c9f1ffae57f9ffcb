"""A made-up model behind a real loopback server: it answers sums and multiple choice, as well and as fast as told.

The same seed and request give the same answer, whatever the order and concurrency, so a run against it can be
repeated exactly; faults hit attempts, not requests, so that every request can be answered in the end.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import NormalDist
from typing import Any

from engine.config import Provider
from engine.endpoints.loopback import LoopbackEndpoint
from engine.endpoints.server import Answer, ChatRequest, count_tokens
from engine.endpoints.sums import choose, last_sum, wants_only
from engine.environment import Secret
from engine.errors import ConfigError

_RULES = 1
"""Raised when the same parameters begin to give other answers."""

_FAULTS = frozenset({"reset", "hang", "truncate", "malformed"})
_FILLER = "Let me think about this step by step. "
_OTHER = ("I cannot tell from this.", "I do not know that.", "There is not enough here to say.", "I am not sure.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a made-up model is like.

    `accuracy` is the share of sums that it gets right; latency is lognormal with the median `latency_s` and the
    `latency_sigma` of its logarithm; `output_tokens` is about how long an answer is at least; `fault_rates` is
    the share of attempts that fail, by status in digits or `reset`, `hang`, `truncate`, `malformed`.

    Raises:
        ConfigError: a value is out of its range, or a fault has an unknown name.
    """

    seed: int = 0
    accuracy: float = 1.0
    latency_s: float = 0.0
    latency_sigma: float = 0.0
    output_tokens: int = 0
    fault_rates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("accuracy", self.accuracy, 0.0, 1.0)
        _check("latency_s", self.latency_s, 0.0, 86_400.0)
        _check("latency_sigma", self.latency_sigma, 0.0, 10.0)
        _check("output_tokens", self.output_tokens, 0, 1_000_000)
        for name, rate in self.fault_rates.items():
            if name not in _FAULTS and not (name.isdecimal() and 400 <= int(name) <= 599):
                raise ConfigError(
                    f"fault {name!r} of a simulated endpoint is unknown",
                    hint=f"use a status from 400 to 599, or one of {', '.join(sorted(_FAULTS))}",
                )
            _check(f"the rate of fault {name!r}", rate, 0.0, 1.0)
        _check("the sum of all fault rates", sum(self.fault_rates.values()), 0.0, 1.0)

    @property
    def identity(self) -> str:
        """A hash of the parameters and of the rules that make answers from them."""
        text = json.dumps([_RULES, asdict(self)], sort_keys=True)
        return f"simulated:{blake2b(text.encode(), digest_size=12).hexdigest()}"


class Simulated:
    """The made-up model."""

    def __init__(self, simulation: Simulation, *, model: str = "simulated") -> None:
        self.identity = simulation.identity
        self.model = model
        self._is = simulation
        self._answered: dict[bytes, int] = {}

    def respond(self, request: ChatRequest) -> Answer:
        """The answer, or the fault that hits this attempt.

        Equal requests get equal answers at temperature 0 and where they carry a seed; else the n-th answered one
        gets the n-th of a fixed row of answers, so that faults between them change nothing.
        """
        attempt = self._random(request, f"attempt {request.arrival}")
        delay_s = self._delay_s(attempt.random())
        if fault := self._fault(attempt.random()):
            return Answer(fault=fault, delay_s=delay_s)
        choices = request.body.get("n")
        choices = choices if isinstance(choices, int) and 1 <= choices <= 128 else 1
        draw = self._draw(request)
        texts = [self._text(request, draw * choices + index if draw >= 0 else 0) for index in range(choices)]
        cut = [_cut(text, request.body) for text in texts]
        return Answer(texts=[text for text, _ in cut], finish_reasons=[reason for _, reason in cut], delay_s=delay_s)

    def _random(self, request: ChatRequest, purpose: str) -> random.Random:
        text = f"{self._is.seed}|{request.digest.hex()}|{purpose}"
        return random.Random(int.from_bytes(blake2b(text.encode(), digest_size=8).digest()))

    def _draw(self, request: ChatRequest) -> int:
        temperature = request.body.get("temperature", 1)
        if temperature == 0 or request.body.get("seed") is not None:
            return -1
        draw = self._answered.get(request.digest, 0)
        self._answered[request.digest] = draw + 1
        return draw

    def _delay_s(self, chance: float) -> float:
        if not self._is.latency_s or not self._is.latency_sigma:
            return self._is.latency_s
        deviation = NormalDist().inv_cdf(min(max(chance, 1e-9), 1 - 1e-9))
        return self._is.latency_s * math.exp(self._is.latency_sigma * deviation)

    def _fault(self, chance: float) -> str:
        for name, rate in self._is.fault_rates.items():
            if chance < rate:
                return name
            chance -= rate
        return ""

    def _text(self, request: ChatRequest, draw: int) -> str:
        texts = request.texts
        question = next((text for role, text in reversed(texts) if role == "user"), texts[-1][1])
        chance = self._random(request, f"answer {draw}")
        answer = choose(question, chance, self._is.accuracy)
        if answer is None:
            result = last_sum(question)
            if result is None:
                answer = chance.choice(_OTHER)
            else:
                answer = result.right if chance.random() < self._is.accuracy else result.wrong(chance)
        if answer not in _OTHER and not any(wants_only(text) for _, text in texts):
            answer = f"The answer is {answer}."
        missing = self._is.output_tokens - count_tokens(answer)
        if missing <= 0:
            return answer
        return (_FILLER * (missing * 4 // len(_FILLER) + 1))[: missing * 4 - 1].rstrip() + "\n" + answer


class SimulatedEndpoint(LoopbackEndpoint):
    """A made-up model as an endpoint."""

    def __init__(self, simulation: Simulation | None = None, *, stream: bool = False) -> None:
        super().__init__(Simulated(simulation or Simulation()), stream=stream)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(
            f"{name} of a simulated endpoint is {value!r}", hint=f"it must be a number from {low:g} to {high:g}"
        )


def _cut(text: str, body: Mapping[str, Any]) -> tuple[str, str]:
    stop = body.get("stop")
    for mark in [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []:
        if isinstance(mark, str) and mark:
            text = text.partition(mark)[0]
    limits = [body.get("max_tokens"), body.get("max_completion_tokens")]
    limit = min((limit for limit in limits if isinstance(limit, int)), default=None)
    if limit is not None and count_tokens(text) > limit:
        return text[: max(0, limit) * 4], "length"
    return text, "stop"


def make(provider: Provider, *, key: Secret | None, folder: Path, max_concurrent: int) -> SimulatedEndpoint:
    """The endpoint that a provider of bench.toml with `kind = "simulated"` describes."""
    del key, folder, max_concurrent
    simulation = Simulation(
        seed=provider.seed,
        accuracy=provider.accuracy,
        latency_s=provider.latency_s,
        latency_sigma=provider.latency_sigma,
        output_tokens=provider.output_tokens or 0,
        fault_rates=provider.fault_rates,
    )
    return SimulatedEndpoint(simulation, stream=provider.stream)
