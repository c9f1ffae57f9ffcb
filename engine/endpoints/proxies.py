"""Which proxy the environment names for an address, and how a connection to the address is opened through it.

`https` goes through a tunnel (`CONNECT`), so that the proxy sees names and no keys; plain `http` is asked for at the
proxy itself. This machine is never reached by a proxy.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from engine import __version__
from engine.endpoints.http1 import OVERHEAD_BYTES, ConnectFailedError
from engine.endpoints.request_heads import Address
from engine.errors import ConfigError

_PORT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where a proxy is; `authorization` is what it wants to be told, with a password in it."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """As people are told: with its port, and nobody's name."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_for(address: Address, variables: Mapping[str, str]) -> Proxy | None:
    """The proxy for an address, from `https_proxy` or `http_proxy`, else `all_proxy`, less what `no_proxy` names.

    Each is also read in capitals, where it is not there in small letters, as curl does.

    Raises:
        ConfigError: the variable holds no proxy that can be used; the message shows no password.
    """
    names = ("https_proxy" if address.secure else "http_proxy", "all_proxy")
    spelled = [spelling for name in names for spelling in (name, name.upper())]
    variable = next((name for name in spelled if variables.get(name, "").strip()), "")
    if not variable or is_direct(address, variables.get("no_proxy") or variables.get("NO_PROXY") or ""):
        return None
    return _read(variables[variable].strip(), variable)


def is_direct(address: Address, no_proxy: str) -> bool:
    """Whether an address is this machine, or one that `no_proxy` names: hosts, domains, addresses, networks or `*`."""
    host = address.host.lower().rstrip(".")
    ip = _ip(host)
    if host == "localhost" or host.endswith(".localhost") or (ip is not None and ip.is_loopback):
        return True
    return any(_names(entry.strip().lower(), host, address.port) for entry in no_proxy.replace(" ", ",").split(","))


def _names(entry: str, host: str, port: int) -> bool:
    if not entry or entry == "*":
        return entry == "*"
    ip = _ip(host)
    if ip is not None:
        try:
            return ip in ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".").rstrip(".")
    return bool(entry) and (host == entry or (ip is None and host.endswith(f".{entry}")))


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _read(value: str, variable: str) -> Proxy:
    hint = "write it as http://host:port, or http://name:password@host:port"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError:
        raise ConfigError(f"the proxy in {variable} has no host and port that can be read", hint=hint) from None
    if parts.scheme != "http":
        said = f"the proxy in {variable} is spoken to by {parts.scheme}, which cannot be used"
        raise ConfigError(said, hint=f"{hint}; or name the host of the endpoint in NO_PROXY")
    if not host:
        raise ConfigError(f"the proxy in {variable} has no host", hint=hint)
    return Proxy(host=host, port=port, authorization=_authorization(parts))


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(told.encode()).decode()


async def open_tunnel(sock: socket.socket, proxy: Proxy, address: Address) -> None:
    """Ask a proxy at the other end of a socket for a way to the address; what then goes over it goes there.

    Raises:
        ConnectFailedError: the proxy does not open one.
    """
    loop, goal = asyncio.get_running_loop(), address.shown
    lines = [f"CONNECT {goal} HTTP/1.1", f"Host: {goal}", f"User-Agent: engine/{__version__}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(sock, "".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await loop.sock_recv(sock, OVERHEAD_BYTES)
        head += piece
        if not piece or len(head) > OVERHEAD_BYTES:
            raise ConnectFailedError("the proxy gave no answer that can be read")
    first = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, said = first.partition(" ")
    if not version.startswith("HTTP/1.") or said[:1] != "2":
        raise ConnectFailedError(f"the proxy opens no way there: {(said or first)[:100]!r}")
    if not head.endswith(b"\r\n\r\n"):
        raise ConnectFailedError("the proxy sends what nobody asked for")
