"""Reads a body that came compressed though that was not asked for: some gateways compress whatever a client says.

The answer in it was paid for. gzip and deflate are read, since Python reads them; nothing else is.
"""

from __future__ import annotations

import zlib

from engine.endpoints.http1 import BadReplyError

_READ = {"gzip": 47, "x-gzip": 47, "deflate": 47}
"""Window bits of zlib; 47 is gzip or zlib, whichever the first bytes tell."""
_BARE = -15
"""Deflate without any head, which some servers send under the name of deflate."""
_OTHERS = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})


class Decoder:
    """Takes a body in pieces, and gives what it holds; as it is where `coding` is none of a compression.

    Args:
        coding: the value of the header Content-Encoding.
        limit_bytes: the most that one piece may grow to, plus one byte that tells of more.

    Raises:
        BadReplyError: a compression that cannot be read.
    """

    def __init__(self, coding: str, *, limit_bytes: int) -> None:
        names = [name for name in (part.strip().lower() for part in coding.split(",")) if name not in ("", "identity")]
        if _OTHERS.intersection(names) or (len(names) > 1 and set(names) & set(_READ)):
            raise BadReplyError(f"it is compressed ({coding[:60]}), though that was not asked for")
        self._coding = names[0] if names and names[0] in _READ else ""
        self._most_bytes = limit_bytes + 1
        self._inflater = zlib.decompressobj(_READ[self._coding]) if self._coding else None
        self._begun = False

    def feed(self, piece: bytes) -> bytes:
        """What the next piece holds; no more than a byte above the limit.

        Raises:
            BadReplyError: it is not what its header says.
        """
        if self._inflater is None or not piece:
            return piece
        try:
            told = self._inflated(piece)
        except zlib.error as error:
            raise BadReplyError(f"it is no {self._coding}, though its header says so: {error}") from None
        self._begun = True
        return told

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end of what came."""
        return self._inflater is None or self._inflater.eof

    def _inflated(self, piece: bytes) -> bytes:
        assert self._inflater is not None
        try:
            return self._inflater.decompress(piece, self._most_bytes)
        except zlib.error:
            if self._begun or self._coding != "deflate":
                raise
            self._inflater = zlib.decompressobj(_BARE)
            return self._inflater.decompress(piece, self._most_bytes)


def decoded(body: bytes, coding: str, *, limit_bytes: int) -> bytes:
    """What a whole body holds; where that is more than `limit_bytes`, its beginning, which is a byte longer.

    Raises:
        BadReplyError: it cannot be read, or its end is missing.
    """
    decoder = Decoder(coding, limit_bytes=limit_bytes)
    told = decoder.feed(body)
    if not decoder.is_whole and len(told) <= limit_bytes:
        raise BadReplyError(f"it is compressed ({coding[:60]}), and its end is missing")
    return told


def decoded_beginning(body: bytes, coding: str, *, limit_bytes: int) -> bytes:
    """What can be read of a body that may be cut; empty where it cannot be read."""
    try:
        return Decoder(coding, limit_bytes=limit_bytes).feed(body)[:limit_bytes]
    except BadReplyError:
        return b""
