"""Where requests go, and what their first bytes are: checked and encoded once, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from engine import __version__
from engine.errors import ConfigError, EndpointError
from engine.header_fields import check_header_fields
from engine.models import DEFAULT_PORTS, normalise_base_url

_IN_A_PATH = "/:@!$&'()*+,;=~%"
"""Characters that stay as they are, beside letters, digits and `_.-`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is: `host` in ASCII, and whether the connection is `secure`, by TLS."""

    host: str
    port: int
    secure: bool
    path: str = ""

    @classmethod
    def of(cls, base_url: str) -> Self:
        """The address in a base URL; a user, a query and a fragment are no part of it.

        Raises:
            ConfigError: no http or https URL, or a host that no name can be.
        """
        parts = urlsplit(normalise_base_url(base_url))
        try:
            host = _in_ascii(parts.hostname or "")
        except UnicodeError:
            raise ConfigError(f"{parts.hostname!r} is no name of a host", hint="write it as https://host/v1") from None
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        path = quote(parts.path, safe=_IN_A_PATH)
        return cls(host=host, port=port, secure=parts.scheme == "https", path=path)

    @property
    def named(self) -> str:
        """As the header Host has it: with the port where that is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = DEFAULT_PORTS["https" if self.secure else "http"]
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """As people are told: with its port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def fields_of(headers: Mapping[str, str], *, key: str, key_name: str) -> dict[str, str]:
    """The headers of every request: the engine's own, the key as a bearer token, and `headers` over them.

    Raises:
        ConfigError: a header cannot be sent.
        EndpointError: the key holds what no header can carry.
    """
    fields = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"engine/{__version__}",
    }
    if key:
        try:
            fields |= check_header_fields({"Authorization": f"Bearer {key}"})
        except ConfigError:
            where = f"the key in {key_name}" if key_name else "the key"
            hint = "copy the key again: one line of plain letters, digits and marks"
            raise EndpointError(f"{where} holds a character that no HTTP header can carry", hint=hint) from None
    check_header_fields(headers)
    own = {name.lower() for name in headers}
    return {**{name: value for name, value in fields.items() if name.lower() not in own}, **headers}


def encode_head(method: str, target: str, address: Address, fields: Mapping[str, str]) -> bytes:
    """The lines of a request before the one that tells the length of its body."""
    host = {} if any(name.lower() == "host" for name in fields) else {"Host": address.named}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**host, **fields}.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _in_ascii(host: str) -> str:
    if host.isascii():
        host.encode("idna")  # no part of a name is empty or longer than 63 characters
        return host
    import idna  # as httpx, aiohttp and anyio have it; names that are all ASCII do without

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:
        return host.encode("idna").decode("ascii")
