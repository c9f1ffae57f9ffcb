"""The connections to one address: used again while they are fresh, opened where none is free, closed together.

One timer serves all exchanges and one all idle connections: a timer for each request costs more than its parsing.
Idle connections are closed early while a new one waits in vain: a server with one thread, or with few, reads from those
that it has before it takes another.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from engine.endpoints.http1 import ConnectFailedError, Connection, reason_of
from engine.endpoints.proxies import Proxy, open_tunnel
from engine.endpoints.request_heads import Address

if TYPE_CHECKING:
    import ssl

    from aiohappyeyeballs import AddrInfoType

KEEPALIVE_S = 15.0
"""How long a connection may be idle."""
CONNECT_S = 30.0
DNS_S = 300.0
_NEXT_ADDRESS_S = 0.25
_CLOSE_S = 1.0
_EARLY_S = 0.002
"""Timers of loops are as fine as milliseconds, and may be early by one."""
_STARVED_S = 1.0
"""Beyond twice the slowest exchange: how long a new connection waits for its first reply, before it seems that the
server takes no more connections than it has."""
_SPARE_S = 0.1
"""How long a connection may be idle while another one starves."""


class Pool:
    """Keeps connections to an address, by way of a `proxy` if any; belongs to the loop that it was made on."""

    def __init__(self, address: Address, *, proxy: Proxy | None = None) -> None:
        self._address = address
        self._proxy = proxy
        self._shown = f"{address.shown} by the proxy {proxy.shown}" if proxy else address.shown
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._closed = False
        self._empty: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = inf
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_s = inf
        self._unheard: dict[Connection, float] = {}  # new, asked and not yet answered, the oldest first
        self._slowest_s = 0.0  # of exchanges over connections that had served before
        self._resolving = asyncio.Lock()
        self._found: list[AddrInfoType] = []
        self._found_until_s = 0.0
        self._tls: ssl.SSLContext | None = None

    def take(self, *, timeout_s: float) -> Connection | None:
        """The connection that was used last, for an exchange of `timeout_s` at most; None where none is free."""
        now_s = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            idle_s = now_s - connection.since_s
            if connection.is_open and idle_s < KEEPALIVE_S and now_s < connection.stale_at_s:
                self._watch(connection, now_s + timeout_s)
                connection.since_s = now_s
                return connection
            connection.close()
        return None

    async def connect(self, *, timeout_s: float) -> Connection:
        """A new connection; connecting, which may take `CONNECT_S`, is part of the time of the exchange.

        Raises:
            ConnectFailedError: there is none.
            TimeoutError: there is none in time.
        """
        deadline_s = self._loop.time() + timeout_s
        limit = asyncio.timeout(min(CONNECT_S, timeout_s))
        try:
            async with limit:
                connection = await self._open()
        except (OSError, RuntimeError) as error:
            self._found = []  # another server may have the name by now
            if limit.expired():
                raise TimeoutError(f"no connection to {self._shown} in time") from None
            said = f"cannot connect to {self._shown}: {reason_of(error)}"
            raise (TimeoutError if isinstance(error, TimeoutError) else ConnectFailedError)(said) from None
        if self._closed:
            connection.abort()
            raise ConnectFailedError("the endpoint was closed")
        self._watch(connection, deadline_s)
        self._unheard[connection] = self._loop.time()
        return connection

    def give_back(self, connection: Connection) -> None:
        """End an exchange: the connection is kept where it is clean, and closed where it is not."""
        now_s = self._loop.time()
        if self._unheard.pop(connection, None) is None and now_s - connection.since_s > self._slowest_s:
            self._slowest_s = now_s - connection.since_s
        if not connection.free(now_s):
            return
        if self._closed:
            connection.close()
            return
        self._idle.append(connection)
        self._look_again(now_s, self._patience_s(now_s))

    async def aclose(self) -> None:
        """Close all connections; those that do not go in a second are cut."""
        self._closed = True
        for timer in (self._alarm, self._sweep):
            if timer is not None:
                timer.cancel()
        self._idle.clear()
        for connection in list(self._all):
            connection.close()
        if not await self._is_empty():
            for connection in list(self._all):
                connection.abort()
            await self._is_empty()

    async def _is_empty(self) -> bool:
        if self._all:
            self._empty = self._loop.create_future()
            await asyncio.wait([self._empty], timeout=_CLOSE_S)
        return not self._all

    async def _open(self) -> Connection:
        from aiohappyeyeballs import start_connection

        address = self._address
        infos = await self._addresses()
        sock = await start_connection(infos, happy_eyeballs_delay=_NEXT_ADDRESS_S, loop=self._loop)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._proxy is not None and address.secure:
                await open_tunnel(sock, self._proxy, address)
            if not address.secure:
                _, connection = await self._loop.create_connection(self._make, sock=sock)
            else:
                _, connection = await self._loop.create_connection(
                    self._make,
                    sock=sock,
                    ssl=self._trust(),
                    server_hostname=address.host.rstrip("."),
                    ssl_handshake_timeout=CONNECT_S,
                    ssl_shutdown_timeout=_CLOSE_S,
                )
        except BaseException:
            sock.close()
            raise
        self._all.add(connection)
        return connection

    def _make(self) -> Connection:
        return Connection(self._lost)

    async def _addresses(self) -> list[AddrInfoType]:
        async with self._resolving:
            if not self._found or self._loop.time() >= self._found_until_s:
                there = self._proxy or self._address
                self._found = await self._look_up(there.host, there.port)
                self._found_until_s = self._loop.time() + DNS_S
            found = self._found
            self._found = [*found[1:], *found[:1]]  # the next connection begins with the next address
            return found

    async def _look_up(self, host: str, port: int) -> list[AddrInfoType]:
        if _is_number(host):  # which needs nobody who knows names, nor the thread that the loop would then keep
            return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
        return list(await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._unheard.pop(connection, None)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._all and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _watch(self, connection: Connection, deadline_s: float) -> None:
        connection.deadline = deadline_s
        if deadline_s < self._alarm_s:
            self._set_alarm(deadline_s)

    def _set_alarm(self, at_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_s = self._loop.call_at(at_s, self._end_late), at_s

    def _end_late(self) -> None:
        self._alarm, self._alarm_s = None, inf
        due_s, next_s = self._loop.time() + _EARLY_S, inf
        for connection in list(self._all):
            if connection.deadline <= due_s:
                connection.expire()
            elif connection.deadline < next_s:
                next_s = connection.deadline
        if next_s < inf:
            self._set_alarm(next_s)

    def _look_again(self, now_s: float, wait_s: float) -> None:
        if self._sweep is None or now_s + wait_s < self._sweep_s:
            if self._sweep is not None:
                self._sweep.cancel()
            self._sweep, self._sweep_s = self._loop.call_later(wait_s, self._close_old), now_s + wait_s

    def _close_old(self) -> None:
        self._sweep = None
        now_s = self._loop.time()
        kept_s = _SPARE_S if self._starves(now_s) else KEEPALIVE_S
        old = [each for each in self._idle if now_s - each.since_s >= kept_s - _EARLY_S]
        del self._idle[: len(old)]  # the one that was idle longest comes first
        for connection in old:
            connection.close()
        if self._idle:
            left_s = self._idle[0].since_s + kept_s - now_s
            self._look_again(now_s, min(left_s, self._patience_s(now_s)))

    def _patience_s(self, now_s: float) -> float:
        """When to look at idle connections again."""
        if not self._unheard:
            return KEEPALIVE_S
        return _SPARE_S if self._starves(now_s) else _STARVED_S

    def _starves(self, now_s: float) -> bool:
        """Whether a server seems to serve only the connections it has, as one with few threads, while another waits."""
        oldest_s = next(iter(self._unheard.values()), inf)
        return now_s - oldest_s > 2 * self._slowest_s + _STARVED_S


def _is_number(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False
