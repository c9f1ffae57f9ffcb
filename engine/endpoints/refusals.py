"""What each model of an endpoint refuses, as found so far; one for each provider, shared by its runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.endpoints.quirks import Adaptation, adapt, apply, known_adaptations
from engine.errors import AttemptError, EndpointError


class Refusals:
    """Remembers adaptations by model, so that each is found once.

    Requests that were in flight when an adaptation was found are refused too; they are sent again as adapted.
    """

    def __init__(self, base_url: str = "", *, told: Callable[[str, Adaptation], None] | None = None) -> None:
        """Nothing but what is known of the address.

        Args:
            base_url: of the provider; empty where it has none.
            told: hears of each model and adaptation once, when it is found.
        """
        self.base_url = base_url
        self._known = known_adaptations(base_url) if base_url else ()
        self._found: dict[str, tuple[Adaptation, ...]] = {}
        self._told = told

    def found(self, model: str) -> tuple[Adaptation, ...]:
        """What is done to requests for this model, in the order in which it was found; for the run's record."""
        return self._found.get(model, self._known)

    def adapted(self, model: str, body: bytes) -> bytes:
        """The request as this model takes it; the very bytes where nothing is to be done."""
        adaptations = self.found(model)
        if not adaptations:
            return body
        asked = json.loads(body)
        sent = apply(adaptations, asked)
        return body if sent == asked else _encoded(sent)

    def learn(self, model: str, sent: bytes, error: AttemptError) -> bool:
        """Whether the request, adapted anew, can be sent again at once; False where the error is another one.

        Args:
            model: the model that was asked.
            sent: the body that was refused, as it was sent.
            error: what came back.

        Raises:
            EndpointError: it refuses what cannot be left out without changing answers; the runs of this model end.
        """
        try:
            body = json.loads(sent)
        except ValueError:
            return False
        before = self.found(model)
        adaptation = adapt(body, error, found=before)
        if adaptation is None:
            return False
        if not adaptation.harmless:
            raise EndpointError(adaptation.says, hint=adaptation.hint)
        if adaptation in before:
            return bool(apply(before, body) != body)  # it was found while this request was in flight
        self._found[model] = (*before, adaptation)
        if self._told is not None:
            self._told(model, adaptation)
        return True


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
