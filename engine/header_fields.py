"""What may stand in the headers of a request: names and values that no line can be smuggled into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from engine.errors import ConfigError

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset({"content-length", "transfer-encoding", "upgrade"})
_Fields = TypeVar("_Fields", bound=Mapping[str, str])


def check_header_fields(fields: _Fields) -> _Fields:
    """The headers, when they can be sent; no message holds a value, which may be a key.

    Raises:
        ConfigError: a name or value has a character that no header can carry, or a name is not for users to set.
    """
    for name, value in fields.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is no name of a header", hint="use letters, digits and hyphens")
        if name.lower() in _OURS:
            raise ConfigError(f"the header {name} is the engine's to set", hint="leave it out")
        if _CONTROL.search(value):
            raise ConfigError(
                f"the value of the header {name} holds a line break or another control character",
                hint="write it on one line",
            )
    return fields
