"""What a probe of `GET /models` tells: whether the endpoint can be used, and the models it lists."""

from __future__ import annotations

import json
from typing import Any

from engine.endpoints.scrubbing import mask, one_line
from engine.errors import AttemptError, EndpointError
from engine.presets import preset_at
from engine.records import Fault

PROBE_TIMEOUT_S = 10.0
LISTING_LIMIT_BYTES = 8 * 2**20


def refusal(error: AttemptError, *, base_url: str, key_name: str, has_key: bool) -> EndpointError | None:
    """The error that ends the run before it began, or None where a failed probe says nothing about the calls."""
    if error.fault in {Fault.AUTH, Fault.PERMISSION} and error.status in {401, 403}:
        preset = preset_at(base_url)
        if preset is not None and not preset.lists_models:
            return None  # it wants the key for its list in another header than for calls
        key = f"the key in {key_name}" if key_name else "the key" if has_key else "a request without a key"
        hint = (
            f"check the value of {key_name}"
            if key_name
            else "name the variable that holds the key: api_key_env in bench.toml, or --api-key-env NAME"
        )
        return EndpointError(f"{base_url} does not accept {key}: {error.message}", hint=hint)
    if error.status == 407:
        return EndpointError(
            f"{base_url} cannot be reached: the proxy wants another name or password (status 407)",
            hint="HTTP_PROXY and its like hold them as http://name:password@host:port",
        )
    if error.status is not None or error.fault is Fault.TOO_LARGE:
        return None
    why = f"no answer within {PROBE_TIMEOUT_S:g} s" if error.fault is Fault.TIMEOUT else error.message
    return EndpointError(
        f"{base_url} cannot be reached: {why}",
        hint="check the address and the network, and that the server runs; it must end in the part before "
        "/chat/completions, as in https://host/v1",
    )


def read_listing(body: bytes, *, secret: str = "") -> tuple[str, ...]:
    """Ids of the models in a reply to `GET /models`, in its order; none where it has another shape.

    They are text of the server: each is on one line, and has `***` in place of the key.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if isinstance(document, dict):
        document = document.get("data") or document.get("models")
    if not isinstance(document, list):
        return ()
    names = (entry if isinstance(entry, str) else _id(entry) for entry in document)
    return tuple(one_line(mask(name, secret)) for name in names if name)


def read_identity(body: bytes) -> str:
    """What one of our own loopback servers says it answers from, in a reply to `GET /models`; else empty."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    identity = document.get("identity") if isinstance(document, dict) else None
    return identity if isinstance(identity, str) else ""


def _id(entry: object) -> str:
    if not isinstance(entry, dict):
        return ""
    name = entry.get("id") or entry.get("name")
    return name if isinstance(name, str) else ""
