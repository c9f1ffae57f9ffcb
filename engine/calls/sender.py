"""One attempt: may it leave at all, can it be paid, is it its turn; then the endpoint, and what is learned from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from engine.calls.breaker import HOPELESS, Breaker
from engine.calls.budget import Budget, Reserved
from engine.calls.gate import Gate
from engine.calls.meter import Meter
from engine.calls.prices import Price
from engine.endpoints.refusals import Refusals
from engine.errors import AttemptError, BudgetError, DrainError, EndpointError, EngineError, HaltError
from engine.ports import Endpoint
from engine.records import Attempt, Fault, Reply, Request

REFUSALS = frozenset({Fault.RATE_LIMIT, Fault.OVERLOADED})
BYTES_A_TOKEN = 4
"""About; for limits by the minute, where usage corrects it afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a run's calls have in common: its queue, its price, whether it may call at all."""

    run_id: str
    price: Price | None = None
    offline: bool = False
    meter: Meter = field(default_factory=Meter)


class Sender:
    """Sends requests to one provider, one attempt at a time."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        gate: Gate,
        budget: Budget | None = None,
        refusals: Refusals | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self.gate = gate
        self.breaker = Breaker(name)
        self.refusals = refusals or Refusals()
        self._budget = budget or Budget()
        self._wall_clock = wall_clock
        self._drain = anyio.Event()

    @property
    def draining(self) -> bool:
        """Whether no new request leaves any more."""
        return self._drain.is_set()

    def drain(self) -> None:
        """Let requests in flight end, start none, and wake those that sleep before a retry."""
        self._drain.set()
        self.gate.turn_away(DrainError("no more requests leave: the run is being stopped"))

    async def sleep(self, seconds: float) -> None:
        """Wait before a retry, or until requests stop leaving."""
        with anyio.move_on_after(seconds):
            await self._drain.wait()

    async def attempt(self, request: Request, line: Line, attempts: list[Attempt], timeout_s: float) -> Reply:
        """The reply to one request; what became of it is appended to `attempts`.

        A reply still holds its place in the gate: whoever keeps it calls `gate.leave` when it is durable, so that
        what a crash costs is never more than the ceiling. A failure has given its place back.

        Raises:
            AttemptError: no usable reply.
            DrainError: no more requests leave; for this model (`HaltError`), or at all.
        """
        self._check(request, line)
        reserved = await self._reserve(request, line)
        reply: Reply | None = None
        try:
            await self.gate.enter(line.run_id, self._tokens(request))
            try:
                self._check(request, line)
                reply = await self._send(request, line, attempts, timeout_s)
            finally:
                if reply is None:
                    self.gate.leave()
        finally:
            if reserved is not None:
                usage = reply.usage if reply is not None else None
                cost = line.price.cost_usd(usage) if line.price is not None and usage is not None else None
                self._budget.settle(reserved, body=request.body, usage=usage, cost_usd=cost)
        return reply

    def _check(self, request: Request, line: Line) -> None:
        halt = self.breaker.halt(request.model) or self._budget.halt
        if halt is not None:
            raise _halted(line, halt)
        if self._drain.is_set():
            raise DrainError("no more requests leave: the run is being stopped")

    async def _reserve(self, request: Request, line: Line) -> Reserved | None:
        if not self._budget.is_limited:
            return None
        try:
            return await self._budget.reserve(
                request.body, request.max_output_tokens, line.price, choices=request.choices
            )
        except BudgetError as error:
            raise _halted(line, error) from error

    async def _send(self, request: Request, line: Line, attempts: list[Attempt], timeout_s: float) -> Reply:
        deadline = time.monotonic() + timeout_s
        while True:  # a parameter that the model refuses is left out from then on: no retry, and found once
            body = self.refusals.adapted(request.model, request.body)
            started_at, began = self._wall_clock(), time.monotonic()
            line.meter.requests += 1
            try:
                reply = await self.endpoint.send(body, timeout_s=max(0.001, deadline - began))
                break
            except AttemptError as error:
                attempts.append(_failed(error, started_at, time.monotonic() - began))
                line.meter.failed(error.fault, error.message)
                if not self._adapts(request, line, body, error):
                    self._learn(request, error, began)
                    halt = self.breaker.halt(request.model)
                    if halt is not None and error.fault in HOPELESS:  # no failure of this task: it stays to be done
                        raise _halted(line, halt) from error
                    raise
        self.breaker.worked(request.model, sent_at=began)
        usage = reply.usage
        self.gate.accepted(
            reply.headers,
            reserved=self._tokens(request),
            used=(usage.input_tokens or 0) + (usage.output_tokens or 0),
        )
        attempts.append(
            Attempt(
                started_at=started_at,
                fault="ok",
                seconds=reply.latency_s,
                status=reply.status,
                request_id=reply.request_id,
            )
        )
        return reply

    def _adapts(self, request: Request, line: Line, body: bytes, error: AttemptError) -> bool:
        try:
            return self.refusals.learn(request.model, body, error)
        except EndpointError as refusal:
            self.breaker.trip(request.model, refusal)
            raise _halted(line, refusal) from error

    def _learn(self, request: Request, error: AttemptError, began: float) -> None:
        self.breaker.failed(request.model, error, sent_at=began)
        if error.fault in REFUSALS:
            sent_at = self.gate.now() - (time.monotonic() - began)
            self.gate.refused(error.retry_after_s, sent_at=sent_at, why=f"{error.fault}: {error.message}")

    def _tokens(self, request: Request) -> int:
        return len(request.body) // BYTES_A_TOKEN + (request.max_output_tokens or 0)


def _failed(error: AttemptError, started_at: float, seconds: float) -> Attempt:
    return Attempt(
        started_at=started_at,
        fault=error.fault,
        seconds=seconds,
        status=error.status,
        message=error.message,
        request_id=error.request_id,
    )


def _halted(line: Line, reason: EngineError) -> HaltError:
    """What a call is told that no request may leave for; the run's report has the reason."""
    line.meter.halt = reason
    return HaltError(reason)
