"""When a provider cannot be used for a model at all: told once, and no more requests leave for it."""

from __future__ import annotations

from engine.errors import AttemptError, EndpointError
from engine.records import Fault

HOPELESS = frozenset({Fault.AUTH, Fault.PERMISSION, Fault.QUOTA, Fault.NOT_FOUND})
IN_A_ROW = 3
"""Hopeless faults in a row that open the breaker once something has worked; before that, one is enough."""


class Breaker:
    """Opens for a model on faults that no retry mends: a bad key, no quota, no such model."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._open: dict[str, EndpointError] = {}
        self._row: dict[str, list[float]] = {}
        self._worked: set[str] = set()

    def halt(self, model: str) -> EndpointError | None:
        """Why no request may leave for this model; None where it may."""
        return self._open.get(model)

    def worked(self, model: str, *, sent_at: float) -> None:
        """A request that left at `sent_at` was answered.

        It ends the row of faults before it. One that left earlier than they did tells nothing of them: where an
        account runs out while many requests are in flight, replies of before come in between the refusals.
        """
        if self._row or model not in self._worked:
            self._worked.add(model)
            later = [at for at in self._row.pop(model, ()) if at > sent_at]
            if later:
                self._row[model] = later

    def failed(self, model: str, error: AttemptError, *, sent_at: float) -> None:
        """A request that left at `sent_at` failed; hopeless faults count."""
        if error.fault not in HOPELESS:
            return
        row = self._row.setdefault(model, [])
        row.append(sent_at)
        if len(row) >= (IN_A_ROW if model in self._worked else 1) and model not in self._open:
            what = f"{self._provider} cannot be used for {model!r}: {error.message}"
            self.trip(model, EndpointError(what, hint=_cure(error.fault)))

    def trip(self, model: str, why: EndpointError) -> None:
        """Open for this model."""
        self._open.setdefault(model, why)


def _cure(fault: Fault) -> str:
    return {
        Fault.AUTH: "check the key; everything bought so far is kept, and the same command goes on",
        Fault.PERMISSION: "the key may not use this model; ask for access or choose another model",
        Fault.QUOTA: "the account has no credit left; add some and run the same command again",
        Fault.NOT_FOUND: "check the model's name and the base URL; `GET /models` lists what there is",
    }[fault]
