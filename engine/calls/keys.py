"""What makes two calls the same: request bodies, and the keys that stand for them (see ARCHITECTURE.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

KEY_BYTES = 16
ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_body(body: Mapping[str, Any]) -> bytes:
    """The request as sent, as UTF-8 JSON.

    Nested keys stay in the order they came in: a provider may show the properties of a schema to the model in
    that order, so another order is another request.
    """
    try:
        return ENCODE(body).encode()
    except UnicodeEncodeError:  # a lone surrogate in a datum; escaped it is JSON all the same
        return json.dumps(body, separators=(",", ":")).encode()


def request_hash(provider_identity: str, body: bytes) -> bytes:
    """The effective request at this provider, without its draw."""
    return blake2b(body, digest_size=KEY_BYTES, key=_prefix(provider_identity)).digest()


def draw_key(request: bytes, *, repeat: int, nth: int, scope: str) -> str:
    """The request key of one draw: hexadecimal, 32 characters.

    Args:
        request: what `request_hash` gave.
        repeat: which repeat of the datum.
        nth: how many equal requests this task made before.
        scope: empty where draws are shared between tasks and runs; else whose they are.
    """
    return blake2b(b"%b%d:%d:%b" % (request, repeat, nth, scope.encode()), digest_size=KEY_BYTES).hexdigest()


def draws_are_shared(body: Mapping[str, Any]) -> bool:
    """Whether equal requests of different tasks and runs are one draw: at an effective temperature of 0."""
    return body.get("temperature") == 0


def _prefix(identity: str) -> bytes:
    encoded = identity.encode()
    return encoded if len(encoded) <= blake2b.MAX_KEY_SIZE else blake2b(encoded).digest()
