"""One attempt: may it leave at all, can it be paid, is it its turn; then the endpoint, and what is learned from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from engine.calls.breaker import REFUSALS, Breaker
from engine.calls.budget import Budget, Reserved, is_told
from engine.calls.gate import Gate
from engine.calls.meter import Meter
from engine.calls.outage import USELESS_AFTER, Outage
from engine.calls.prices import Price
from engine.calls.rates import pause_asked
from engine.endpoints.refusals import Refusals
from engine.errors import AttemptError, BudgetError, CallError, DrainError, EndpointError, EngineError, HaltError
from engine.ports import Endpoint
from engine.records import Attempt, Fault, Reply, Request

ITS_OWN = frozenset({Fault.CONTEXT_LENGTH, Fault.CONTENT_FILTER, Fault.NO_RECORDING})
"""Faults of one request, which say nothing of the next one's."""
PATIENCE_S = 600.0
BYTES_A_TOKEN = 4
"""About; for limits by the minute, where usage corrects it afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a run's calls have in common: its queue, its price, whether it may call at all.

    `run_id` names the queue: a judge has one of its own, so that it is served in turn with what it judges. `meter`
    counts them; `run` is the meter of the run where that is another one, as for the calls of a judge.
    """

    run_id: str
    price: Price | None = None
    offline: bool = False
    meter: Meter = field(default_factory=Meter)
    run: Meter | None = None

    @property
    def ends(self) -> Meter:
        """Where it is noted why tasks could not be done."""
        return self.run or self.meter


class Sender:
    """Sends requests to one provider, one attempt at a time.

    `patience_s` is how long a call may take: longer is nobody waited for, be it asked for or silent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        gate: Gate,
        budget: Budget | None = None,
        refusals: Refusals | None = None,
        patience_s: float = PATIENCE_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self.gate = gate
        self._name = name
        self.outage = Outage(patience_s=patience_s)
        self.refusals = refusals or Refusals()
        self.breaker = Breaker(name, base_url=self.refusals.base_url, patience_s=patience_s)
        self._budget = budget or Budget()
        self._wall_clock = wall_clock
        self._stopped = anyio.Event()
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether no new request leaves any more."""
        return self._draining

    def drain(self) -> None:
        """Let requests in flight end, start none, and wake those that sleep before a retry."""
        self._draining = True
        self._stop_waiting()
        self.gate.turn_away(DrainError("no more requests leave: the run is being stopped"))

    async def sleep(self, seconds: float, model: str) -> None:
        """Wait before a retry, or until no request for this model leaves any more."""
        until = anyio.current_time() + seconds
        while not self._draining and self._halt(model) is None:
            with anyio.move_on_after(until - anyio.current_time()):
                await self._stopped.wait()
                continue
            return

    def _stop_waiting(self) -> None:
        """Wake those that sleep, so that they see whether it is still worth it."""
        self._stopped.set()
        self._stopped = anyio.Event()

    def _halt(self, model: str) -> EngineError | None:
        return self.breaker.halt(model) or self._budget.halt

    async def attempt(self, request: Request, line: Line, attempts: list[Attempt], timeout_s: float) -> Reply:
        """The reply to one request; what became of it is appended to `attempts`.

        A reply still holds its place in the gate: whoever keeps it calls `gate.leave` when it is durable, so that
        what a crash costs is never more than the ceiling. A failure has given its place back.

        Raises:
            AttemptError: no usable reply.
            DrainError: no more requests leave; for this model (`HaltError`), or at all.
        """
        self._check(request, line)
        reserved = await self._reserve(request, line) if self._budget.is_limited else None
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
                self._budget.settle(reserved, body=request.body, reply=reply, price=line.price)
                if reply is not None and not is_told(reply.usage):
                    self._budget.hears_nothing_of(self._name, request.model)
        return reply

    def _check(self, request: Request, line: Line) -> None:
        halt = self._halt(request.model)
        if halt is not None:
            raise _halted(line, halt)
        if self._draining:
            raise DrainError("no more requests leave: the run is being stopped")

    async def _reserve(self, request: Request, line: Line) -> Reserved:
        try:
            return await self._budget.reserve(
                request.body, request.max_output_tokens, line.price, choices=request.choices
            )
        except BudgetError as error:
            self._stop_waiting()
            raise _halted(line, error) from error

    async def _send(self, request: Request, line: Line, attempts: list[Attempt], timeout_s: float) -> Reply:
        left_s, first = timeout_s, time.monotonic()
        while True:  # a parameter that the model refuses is left out from then on: no retry, and found once
            body = self.refusals.adapted(request.model, request.body)
            started_at, began = self._wall_clock(), time.monotonic()
            line.meter.requests += 1
            try:
                reply = await self.endpoint.send(body, timeout_s=left_s)
                break
            except AttemptError as error:
                if error.retry_after_s is None and error.fault is Fault.RATE_LIMIT:
                    error.retry_after_s = pause_asked(error.headers, refused=True, wall_s=self._wall_clock())
                attempts.append(_failed(error, started_at, time.monotonic() - began))
                line.meter.failed(error.fault, error.message)
                if not self._adapts(request, line, body, error):
                    self._learn(request, error, began, attempts)
                    halt = self.breaker.halt(request.model)
                    if halt is not None and self.breaker.is_hopeless(
                        error
                    ):  # no failure of this task: it stays to be done
                        raise _halted(line, halt) from error
                    raise
                left_s = max(0.001, first + timeout_s - time.monotonic())
        self.breaker.worked(request.model, sent_at=began)
        if self.outage.answered():
            self.gate.let_all("it answers again")
        usage = reply.usage
        self.gate.accepted(
            reply.headers,
            seconds=reply.latency_s,
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
            self._stop_waiting()
            raise _halted(line, refusal) from error

    def _learn(self, request: Request, error: AttemptError, began: float, attempts: list[Attempt]) -> None:
        self.breaker.failed(request.model, error, sent_at=began)
        if error.fault is Fault.MALFORMED:
            tries = sum(attempt.fault == Fault.MALFORMED for attempt in attempts)
            self.breaker.unlike(request.model, request.key, error, tries=tries)
        why = f"{error.fault}: {error.message}"
        if error.fault in REFUSALS and not self.breaker.is_hopeless(error):
            sent_at = self.gate.now() - (time.monotonic() - began)
            self.gate.refused(error.retry_after_s, sent_at=sent_at, why=why)
        if self.outage.is_on and error.fault.may_pass:
            self._look(why, time.monotonic(), began)
        if self.breaker.halt(request.model) is not None:
            self._stop_waiting()

    def _look(self, why: str, now: float, began: float) -> None:
        """The endpoint is away: ask again in a while, or give up."""
        if not self.outage.is_over_patience(now):
            self.gate.one_by_one(self.outage.wait_s(now, sent_at=began), f"no answer any more; {why}")
            return
        what = f"{self._name} has given no reply that can be used for {self.outage.patience_s:.0f} s; {why}"
        hint = "what was done is kept; run the same command again when it answers"
        self.breaker.trip_all(EndpointError(what, hint=hint))
        self.gate.let_all("nobody waits for it any more")

    def gave_up(self, request: Request, line: Line, error: AttemptError, *, attempts: int, was_last: bool) -> Exception:
        """What the task is told of a call without a reply: it has failed, or stays to be done another time."""
        if error.fault in REFUSALS and error.retry_after_s is not None and not was_last:
            asked = f"{self._name} asks to wait {error.retry_after_s:.0f} s, longer than their calls may take"
            line.ends.postponed += 1
            line.ends.wait_asked = asked
            return DrainError(asked)
        if error.fault not in ITS_OWN:
            no_model = error.fault is Fault.MALFORMED and not self.breaker.has_worked(request.model)
            self.outage.gave_up(time.monotonic(), may_pass=error.fault.may_pass and not no_model)
            if self.outage.is_useless:
                what = (
                    f"{self._name} cannot be used for {request.model!r}: {USELESS_AFTER} calls in a row failed, as in: "
                )
                hint = "mend what it complains of, and run the same command again; what was done is kept"
                self.breaker.trip(request.model, EndpointError(what + error.message, hint=hint))
                self._stop_waiting()
        return call_error(error, attempts)

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
    line.ends.halt = reason
    return HaltError(reason)


def call_error(error: AttemptError, attempts: int) -> CallError:
    """What the task is told: the last attempt's fault, and how many attempts there were."""
    times = f"; tried {attempts} times" if attempts > 1 else ""
    hint = "" if error.fault is not Fault.NO_RECORDING else "the recording holds no answer to this question"
    return CallError(f"{error.message}{times}", fault=error.fault, status=error.status, hint=hint)
