"""One connection of HTTP/1.1: a request goes out whole, its reply comes in, nothing that came before is taken for it.

llhttp reads the replies. What it has no limits for is limited here: the head, the trailers, the number of headers,
and what is kept of a body that nobody takes. A connection can be used again only where both sides
are clean: request and reply are whole, the server keeps the connection, and not one byte came that nobody asked for.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
import ssl
from collections.abc import Callable
from math import inf
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

ENOUGH_BYTES = 2**17
"""Of a body, what is kept while nobody takes it; a reply that is no longer comes at once."""
OVERHEAD_BYTES = 2**16
"""The longest head, and the most that may come after it without any of the body."""
MOST_HEADERS = 256
_COPIED_BYTES = 2**16
_KEPT = re.compile(r"\btimeout\s*=\s*(\d{1,6})", re.IGNORECASE)
_MARGIN_S = 1.0
_MOST_PIECES = 64
_LISTS = frozenset({"content-encoding", "transfer-encoding", "connection"})
"""Headers whose values add up; of any other that comes twice, the first stands."""


class ConnectFailedError(ConnectionError):
    """There is no connection: no address, nobody who listens, no trust."""


class DisconnectedError(ConnectionError):
    """The connection ended before the reply did."""


class StaleError(DisconnectedError):
    """A connection that had served before ended without one byte of this reply."""


class BadReplyError(ValueError):
    """What came is no reply of HTTP/1.1, or one that goes beyond a limit."""


class Connection(asyncio.Protocol):
    """Asks one request at a time; `lost` is told when the connection has ended.

    After `ask`, `status` and `headers` (names in lower case) are those of the reply, `complete` says whether all of
    it has come, and `read` gives the body. `deadline` is when its owner lets the exchange `expire`, `since_s`
    is since when it is idle or in use, both on the loop's clock.
    """

    __slots__ = (
        "_early", "_error", "_heard", "_is_large", "_keeps", "_loop", "_lost", "_named", "_named_bytes",
        "_parser", "_paused", "_pieces", "_quiet_bytes", "_reading", "_size_bytes", "_to_the_end", "_transport",
        "_unread", "_used", "_waiter", "_whole", "complete", "deadline", "headers", "since_s", "stale_at_s",
        "status",
    )  # fmt: skip

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._transport: Any = None
        self._parser: HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._pieces: list[bytes] = []
        self._used = self._paused = self._keeps = self._is_large = False
        self._unread: Any = None
        self.deadline = inf
        self.since_s = 0.0
        self.stale_at_s = inf
        self._begin(whole=True)

    def _begin(self, *, whole: bool) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self._whole = whole
        self._heard = self._reading = self._early = self._to_the_end = False
        self._size_bytes = self._quiet_bytes = self._named = self._named_bytes = 0

    def ask(self, head: bytes, body: bytes | None, *, whole: bool) -> asyncio.Future[None]:
        """Send a request; `head` are its lines up to the header that tells the length of the body.

        The future is done when the reply is complete or, where that may take a while, as soon as it is worth a look:
        its head tells of an error or of a long body, more than `ENOUGH_BYTES` are there, or it was not wanted `whole`.
        """
        self._begin(whole=whole)
        self._parser = parser = HttpResponseParser(self)
        # A lone LF ends a line, a header goes on in a line that begins with a space (as clients must take it), and
        # spaces may follow the size of a chunk: servers do it, and it hides nothing.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._waiter = waiter = self._loop.create_future()
        self._is_large = body is not None and len(body) >= _COPIED_BYTES
        if body is None:
            self._transport.write(b"%b\r\n" % head)
        elif not self._is_large:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        else:
            self._transport.writelines((b"%bContent-Length: %d\r\n\r\n" % (head, len(body)), body))
        return waiter

    async def read(self) -> bytes:
        """What has come of the body and was not read before, as soon as there is any; empty at its end.

        Raises:
            OSError: the connection ended, or the time is over.
            BadReplyError: what came is no reply.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            self._resume()
            self._reading = True
            self._waiter = self._loop.create_future()
            await self._waiter
        pieces, self._pieces, self._size_bytes = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come: the reply is complete, or it failed."""
        return self._parser is None

    @property
    def at_end(self) -> bool:
        """Whether the whole body has come and was read."""
        return self.complete and not self._pieces

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent over it, and nothing has come that nobody asked for."""
        return not self._transport.is_closing() and not (self._unread is not None and self._unread.poll(0))

    def free(self, now_s: float) -> bool:
        """Note that the exchange is over; whether the connection can be used for another one."""
        self.deadline = inf
        if (
            self.complete
            and self._keeps
            and not self._paused
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
            and not (self._is_large and self.status >= 300)  # TLS does not tell what is not sent yet
        ):
            self._pieces = []
            self._used, self.since_s = True, now_s
            told = self.headers.get("keep-alive")
            self.stale_at_s = inf if told is None else now_s + kept_s(told)
            return True
        self.close()
        self._error = None  # it keeps the frames it went through, and they keep this
        return False

    def expire(self) -> None:
        """End the exchange, because its time is over."""
        self._pieces = []
        self._fail(TimeoutError())

    def close(self) -> None:
        """Close: gently where nothing is going on, else at once; who waits for a reply hears of it."""
        self._pieces = []
        if self.complete or not self._parser:
            self._parser = None
            self._transport.close()
        else:
            self._fail(DisconnectedError("the connection was closed on this side"))

    def abort(self) -> None:
        """Close at once, whatever the other side does."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport
        self._unread = _watch(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        parser = self._parser
        if parser is None:  # nobody asked: whatever it is, it is never the reply to the next request
            self._keeps = False
            self._transport.close()
            return
        self._heard = True
        self._quiet_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._keeps = False
            if not self.complete:
                self._fail(error.__context__ if isinstance(error.__context__, BadReplyError) else _bad(error))
                return
        if self.complete:
            self._end()
        elif self._quiet_bytes > OVERHEAD_BYTES:
            self._fail(BadReplyError(f"more than {OVERHEAD_BYTES} bytes came that are none of its body"))
        else:
            if self._size_bytes > ENOUGH_BYTES:
                self._early = True
                if not self._paused:
                    self._paused = True
                    self._transport.pause_reading()
            if self._pieces if self._reading else self._early:
                self._wake()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; a body without a length ends here."""
        if self._parser is not None and self._to_the_end:
            self.complete = True
            self._keeps = False
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._keeps = False
        if self._parser is not None:
            self._fail(self._disconnected(exc))
        self._lost(self)

    def on_message_begin(self) -> None:
        """From llhttp."""
        if self.complete:
            raise BadReplyError("it is followed by what nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """From llhttp; after the head these are trailers, which tell nothing that is needed."""
        self._named += 1
        self._named_bytes += len(name) + len(value)
        if self._named > MOST_HEADERS or self._named_bytes > OVERHEAD_BYTES:
            raise BadReplyError(f"its headers are more than {MOST_HEADERS}, or more than {OVERHEAD_BYTES} bytes")
        if self.status:
            return
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
        if not text.isprintable():
            text = "".join(mark if mark.isprintable() else " " for mark in text)
        known = self.headers.setdefault(key, text)
        if known is not text and key in _LISTS:
            self.headers[key] = f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """From llhttp."""
        assert self._parser is not None
        status, headers = self._parser.get_status_code(), self.headers
        if status < 100:
            raise BadReplyError(f"its status is {status:03d}")
        if status < 200:
            return
        self.status = status
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None and coding.strip().lower() not in ("chunked", "identity"):
            raise BadReplyError(f"its Transfer-Encoding is {coding[:60]!r}, though that was not asked for")
        self._to_the_end = length is None and (coding is None or coding.strip().lower() != "chunked")
        self._early = (
            not self._whole
            or status >= 300
            or (length is not None and int(length) > ENOUGH_BYTES)
            or "content-encoding" in headers
        )

    def on_body(self, body: bytes) -> None:
        """From llhttp."""
        if not self.status:
            raise BadReplyError("an interim reply has a body")
        self._pieces.append(body)
        if len(self._pieces) > _MOST_PIECES:
            self._pieces = [b"".join(self._pieces)]  # a chunk of a byte takes the room of thirty
        self._size_bytes += len(body)
        self._quiet_bytes = 0

    def on_message_complete(self) -> None:
        """From llhttp; an interim reply is passed over."""
        assert self._parser is not None
        if self.status:
            self.complete = True
            self._keeps = self._parser.should_keep_alive()
            return
        if self._parser.get_status_code() == 101:
            raise BadReplyError("it changes to another protocol, though that was not asked for")
        self.headers = {}

    def _end(self) -> None:
        self._parser = None
        self.deadline = inf
        self._resume()
        self._wake()

    def _fail(self, error: BaseException) -> None:
        self._parser = None
        self.deadline = inf
        self._keeps = False
        self._error = error
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        self._transport.abort()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _disconnected(self, error: Exception | None) -> DisconnectedError:
        reason = f": {reason_of(error)}" if isinstance(error, OSError) else ""
        if self._heard:
            return DisconnectedError(f"the server closed the connection in the middle of its reply{reason}")
        kind = StaleError if self._used else DisconnectedError
        return kind(f"the server closed the connection without a reply{reason}")


def kept_s(told: str) -> float:
    """How long a connection can be idle that a server says it keeps: less a margin, so that it does not close first."""
    seconds = _KEPT.search(told)
    return inf if seconds is None else max(int(seconds[1]) - _MARGIN_S, int(seconds[1]) / 2)


def _watch(sock: Any) -> Any:
    """Tells in a microsecond whether bytes wait in a socket that the loop has not read; None where nothing can."""
    if sock is None or not hasattr(select, "poll"):
        return None
    unread = select.poll()
    unread.register(sock.fileno(), select.POLLIN)
    return unread


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message or error.reason}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _bad(error: BaseException) -> BadReplyError:
    said = "it changes to another protocol" if isinstance(error, HttpParserUpgrade) else str(error)
    return BadReplyError(f"it is no reply of HTTP/1.1: {said}")
