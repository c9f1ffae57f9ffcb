"""The one retry policy: what may pass is tried again, after a wait, within a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import tenacity

from engine.errors import AttemptError
from engine.records import Fault

Result = TypeVar("Result")

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
LEAST_JITTER_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Limits of one call; all are finite.

    `attempt_timeout_s` ends one request in all, body included; `call_deadline_s` ends the call with its waits.
    """

    max_attempts: int = 8
    attempt_timeout_s: float = 60.0
    call_deadline_s: float = 600.0

    async def run(
        self,
        attempt: Callable[..., Awaitable[Result]],
        *arguments: Any,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        rng: random.Random | None = None,
    ) -> Result:
        """What the first good attempt gives.

        Args:
            attempt: one request, given the arguments and then the seconds it may take; raises `AttemptError`.
            *arguments: what each attempt is given.
            sleep: waits between attempts; nothing is held meanwhile.
            rng: where jitter comes from.

        Raises:
            AttemptError: the last one, where it may not pass, attempts ran out, or the wait that is due would
                end past the deadline.
        """
        deadline = time.monotonic() + self.call_deadline_s
        try:  # almost every call ends here, and owes nothing to the machinery below
            return await attempt(*arguments, self.attempt_timeout_s)
        except AttemptError as error:
            if not error.fault.may_pass:
                raise
            first: AttemptError | None = error

        async def again() -> Result:
            nonlocal first
            if first is not None:
                error, first = first, None
                raise error
            return await attempt(*arguments, min(self.attempt_timeout_s, deadline - time.monotonic()))

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=_Wait(rng or random.Random(random.getrandbits(64))),
            stop=tenacity.stop_after_attempt(self.max_attempts) | _Past(deadline),
            sleep=sleep,
            reraise=True,
        )
        return await retrying(again)


class _Wait(tenacity.wait.wait_base):
    """Seconds before the next attempt: Retry-After as a floor with jitter on top, else full jitter."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = _failure(retry_state)
        if error.fault is Fault.STALE and retry_state.attempt_number == 1:
            return 0.0  # the server had closed an idle connection; nothing is wrong with it
        if error.retry_after_s is not None:
            floor = error.retry_after_s
            return floor + self.rng.uniform(0, max(LEAST_JITTER_S, LEAST_JITTER_S * floor))
        longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(retry_state.attempt_number, 16))
        return self.rng.uniform(0, longest)


class _Past(tenacity.stop.stop_base):
    """Whether the wait that is due would end past the deadline."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return time.monotonic() + retry_state.upcoming_sleep >= self.deadline


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.fault.may_pass


def _failure(retry_state: tenacity.RetryCallState) -> AttemptError:
    error = retry_state.outcome.exception() if retry_state.outcome else None
    assert isinstance(error, AttemptError)
    return error
