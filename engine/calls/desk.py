"""One call: single flight -> cache -> attempts, retried -> durable completion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from engine.calls.retry import RetryPolicy
from engine.calls.sender import Line, Sender
from engine.errors import AttemptError, CallError, NotStoredError
from engine.ports import Store
from engine.records import Attempt, Completion, Reply, Request

POLL_S = 0.2
"""How often to look whether another node has finished the call that it is making."""


class Flight:
    """A call that is under way, and those who wait for the same one."""

    __slots__ = ("_landed", "completion", "error")

    def __init__(self) -> None:
        self.completion: Completion | None = None
        self.error: Exception | None = None
        self._landed: anyio.Event | None = None  # most calls are waited for by nobody

    async def wait(self) -> None:
        """Wait until the call has ended, one way or another."""
        if self._landed is None:
            self._landed = anyio.Event()
        await self._landed.wait()

    def land(self) -> None:
        """The call has ended."""
        if self._landed is not None:
            self._landed.set()


@dataclass(frozen=True, slots=True)
class Served:
    """A completion, and what it took: `requests` sent for it now, 0 where it was stored or shared."""

    completion: Completion
    requests: int


class CallDesk:
    """Makes the calls to one provider; everything that runs share about it is here.

    The completion is durable before anybody sees it. A call gives its slot back while it sleeps.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        store: Store,
        policy: RetryPolicy,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.sender = sender
        self._store = store
        self._policy = policy
        self._wall_clock = wall_clock
        self._flights: dict[str, Flight] = {}
        self._last_was_stored = False

    @property
    def identity(self) -> str:
        """What request keys hold of the provider."""
        return self.sender.endpoint.identity

    async def complete(self, request: Request, line: Line) -> Served:
        """The completion of this request: stored, shared with an equal call in flight, or bought.

        Raises:
            CallError: no usable reply after all attempts.
            NotStoredError: the line is offline and there is no such completion.
            DrainError: the call would need a request, and no more leave.
        """
        if line.offline:
            return Served(await self._stored(request), 0)
        while (flight := self._flights.get(request.key)) is not None:
            await flight.wait()
            if flight.completion is not None:
                return Served(flight.completion, 0)
            if flight.error is not None:
                raise flight.error
        flight = self._flights[request.key] = Flight()
        try:
            served = await self._claimed(request, line)
            flight.completion = served.completion
        except CallError as error:
            flight.error = error
            raise
        else:
            return served
        finally:
            del self._flights[request.key]
            flight.land()

    async def _stored(self, request: Request) -> Completion:
        completion = await self._store.lookup(request.key)
        if completion is None:
            raise NotStoredError(f"no stored completion for request {request.key}", hint="run without --offline")
        return completion

    async def _claimed(self, request: Request, line: Line) -> Served:
        while True:
            if self._last_was_stored and (found := await self._store.lookup(request.key)) is not None:
                return Served(found, 0)  # a look is cheaper than a claim, and what is stored comes in a row
            claim = await self._store.claim_call(request.key)
            self._last_was_stored = isinstance(claim, Completion)
            if isinstance(claim, Completion):
                return Served(claim, 0)
            if claim:
                return await self._buy(request, line)
            await anyio.sleep(POLL_S)  # another node is making this call

    async def _buy(self, request: Request, line: Line) -> Served:
        attempts: list[Attempt] = []
        intent = time.monotonic()
        sender = self.sender
        try:
            reply = await self._policy.run(
                sender.attempt, request, line, attempts, sleep=lambda seconds: sender.sleep(seconds, request.model)
            )
        except BaseException as error:
            told: Exception | None = None
            if isinstance(error, AttemptError):  # before the store is waited for: others would leave in vain meanwhile
                tried = len(attempts)
                was_last = tried >= self._policy.max_attempts
                told = sender.gave_up(request, line, error, attempts=tried, was_last=was_last)
            with anyio.CancelScope(shield=True):
                await self._store.release_call(request.key, attempts)
            if told is not None:
                raise told from error
            raise
        try:
            return await self._keep(request, line, reply, attempts, time.monotonic() - intent)
        finally:
            self.sender.gate.leave(answered=True)

    async def _keep(
        self, request: Request, line: Line, reply: Reply, attempts: list[Attempt], total_s: float
    ) -> Served:
        completion = self._completion(request, line, reply, len(attempts), max(0.0, total_s - reply.latency_s))
        line.meter.replied(
            total_s=total_s,
            latency_s=reply.latency_s,
            ttft_s=reply.ttft_s,
            output_tokens=reply.usage.output_tokens,
        )
        try:
            await self._store.finish_call(completion, attempts)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):  # it is paid for: keep it, whoever stops us
                await self._store.finish_call(completion, attempts)
            raise
        return Served(completion, len(attempts))

    def _completion(self, request: Request, line: Line, reply: Reply, attempts: int, queue_s: float) -> Completion:
        return Completion(
            request_key=request.key,
            provider=request.provider,
            model=request.model,
            request=request.body.decode(),
            response=reply.raw,
            text=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            choices=reply.choices,
            refusal=reply.refusal,
            reasoning=reply.reasoning,
            tool_calls=reply.tool_calls,
            cost_usd=line.price.cost_usd(reply.usage) if line.price else None,
            queue_s=queue_s,
            ttft_s=reply.ttft_s,
            latency_s=reply.latency_s,
            attempts=attempts,
            created_at=self._wall_clock(),
        )
