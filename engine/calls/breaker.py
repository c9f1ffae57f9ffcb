"""When a provider cannot be used for a model at all: told once, and no more requests leave for it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from urllib.parse import urlsplit

from engine.errors import AttemptError, EndpointError
from engine.records import Fault

HOPELESS = frozenset({Fault.AUTH, Fault.PERMISSION, Fault.QUOTA, Fault.NOT_FOUND, Fault.REDIRECT})
REFUSALS = frozenset({Fault.RATE_LIMIT, Fault.OVERLOADED})
IN_A_ROW = 3
"""Hopeless faults in a row that open the breaker once something has worked; before that, one is enough."""


UNLIKE_REPLIES = 20
"""Replies that are no completions, where nothing has ever worked, before which the breaker stays as it is."""
TRIES = 4
"""So often a call was tried when they open it: what fails at first may be answered yet."""


class Breaker:
    """Opens for a model on faults that no retry mends: a bad key, no quota, no such model, "come back tomorrow".

    `patience_s` is how long a call may take; a provider that asks to wait longer cannot be used now.
    """

    def __init__(self, provider: str, *, base_url: str = "", patience_s: float = inf) -> None:
        self._provider = provider
        self._has_no_path = bool(base_url) and not urlsplit(base_url).path.strip("/")
        self._patience_s = patience_s
        self._all: EndpointError | None = None
        self._open: dict[str, EndpointError] = {}
        self._row: dict[str, list[float]] = {}
        self._worked: set[str] = set()
        self._unlike: dict[str, list[str]] = {}

    def halt(self, model: str) -> EndpointError | None:
        """Why no request may leave for this model; None where it may."""
        return self._all or self._open.get(model)

    def is_hopeless(self, error: AttemptError) -> bool:
        """Whether no retry of this call mends the fault."""
        return error.fault in HOPELESS or self._comes_too_late(error)

    def worked(self, model: str, *, sent_at: float) -> None:
        """A request that left at `sent_at` was answered.

        It ends the row of faults before it. One that left earlier than they did tells nothing of them: where an
        account runs out while many requests are in flight, replies of before come in between the refusals.
        """
        if self._row or model not in self._worked:
            self._worked.add(model)
            self._unlike.pop(model, None)
            later = [at for at in self._row.pop(model, ()) if at > sent_at]
            if later:
                self._row[model] = later

    def failed(self, model: str, error: AttemptError, *, sent_at: float) -> None:
        """A request that left at `sent_at` failed; hopeless faults count."""
        if not self.is_hopeless(error):
            return
        row = self._row.setdefault(model, [])
        row.append(sent_at)
        if len(row) >= (IN_A_ROW if model in self._worked else 1) and model not in self._open:
            what = f"{self._provider} cannot be used for {model!r}: {error.message}"
            hint = _later(error.retry_after_s or 0.0) if error.fault in REFUSALS else _CURES[error.fault]
            if error.fault is Fault.NOT_FOUND and self._has_no_path:
                hint = f"the base URL has no path; most end in /v1: {hint}"
            self.trip(model, EndpointError(what, hint=hint))

    def has_worked(self, model: str) -> bool:
        """Whether this model was ever answered for."""
        return model in self._worked

    def unlike(self, model: str, call: str, error: AttemptError, *, tries: int) -> None:
        """A call got a reply that is no completion, its `tries`-th; where nothing ever worked, many of them open it."""
        if model in self._worked or model in self._open:
            return
        calls = self._unlike.setdefault(model, [])
        calls.append(call)
        if tries >= TRIES and len(calls) >= UNLIKE_REPLIES and len(set(calls)) > 1:
            what = f"{self._provider} cannot be used for {model!r}: every reply so far is no completion"
            self.trip(model, EndpointError(f"{what}: {error.message}", hint=_ADDRESS))

    def trip(self, model: str, why: EndpointError) -> None:
        """Open for this model."""
        self._open.setdefault(model, why)

    def trip_all(self, why: EndpointError) -> None:
        """Open for every model."""
        self._all = self._all or why

    def _comes_too_late(self, error: AttemptError) -> bool:
        return error.fault in REFUSALS and (error.retry_after_s or 0.0) > self._patience_s


def _later(seconds: float) -> str:
    wait = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} minutes"
    return f"it asks to wait {wait}, longer than engine.call_deadline_s: run the same command again then"


_ADDRESS = "check the base URL: it is the part before /chat/completions, as in https://host/v1"
_CURES: Mapping[Fault, str] = {
    Fault.AUTH: "check the key; everything bought so far is kept, and the same command goes on",
    Fault.PERMISSION: "the key may not use this model; ask for access or choose another model",
    Fault.QUOTA: "the account has no credit left; add some and run the same command again",
    Fault.NOT_FOUND: "check the model's name and the base URL; `GET /models` lists what there is",
    Fault.REDIRECT: "if that address is right, write it as base_url; prompts are sent nowhere else",
}
