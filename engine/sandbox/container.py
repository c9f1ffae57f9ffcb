"""One zygote in a container, started by a command of the user's: the same as `process`, over standard streams."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import anyio

from engine.sandbox import command
from engine.sandbox.process import GoneError, reap, receive_part, verdict_of

START_S = 120.0
"""An image may have to be fetched."""
LARGEST_REPLY = 1 << 20
STRANGE = "it answers something else than a sandbox does"
LENGTH = struct.Struct("!I")


class ContainerProcess:
    """A running container; `end` it, or let go of it: its standard input ends, and with it everything inside."""

    def __init__(self, arguments: Sequence[str]) -> None:
        with ExitStack() as opened:
            try:
                ours, theirs = socket.socketpair()
                opened.enter_context(ours)
                with theirs:
                    complaints = opened.enter_context(tempfile.TemporaryFile())
                    pid = _spawn(arguments, theirs.fileno(), complaints.fileno())
            except OSError as error:
                raise GoneError(f"{arguments[0]!r} could not be started: {error.strerror}") from error
            opened.pop_all()  # closed by `end` from here on
        ours.setblocking(False)
        self.pid = pid
        self._line = ours
        self._complaints = complaints
        self.end = weakref.finalize(self, _end, os.getpid(), pid, ours, complaints)

    @property
    def running(self) -> bool:
        """Whether nobody has ended it."""
        return self.end.alive

    async def started(self) -> None:
        """Return when it is ready for jobs.

        Raises:
            GoneError: it ended, or took too long; with what it wrote to its standard error.
        """
        try:
            with anyio.fail_after(START_S):
                await self._say(json.dumps(command.sources()).encode())
                hello = await self._hear()
        except TimeoutError as error:
            raise GoneError(f"it was not ready after {START_S:.0f} s; {self._complaint()}") from error
        if set(hello) != {"up", "python"}:
            raise GoneError(STRANGE)

    async def carry_out(self, job: bytes, order: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """The judge's verdict (None where it gave none) and the zygote's report on one job.

        Raises:
            GoneError: the container is gone.
        """
        try:
            await self._say(json.dumps({"order": order, "job": job.decode()}).encode())
            reply = await self._hear()
            return verdict_of(bytes.fromhex(reply["said"])), dict(reply["report"])
        except (KeyError, TypeError, ValueError) as error:
            self.end()
            raise GoneError(f"{STRANGE}: {error}") from error
        except BaseException:
            self.end()
            raise

    async def _say(self, message: bytes) -> None:
        view = memoryview(LENGTH.pack(len(message)) + message)
        while view:
            try:
                view = view[self._line.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._line)
            except OSError:
                return  # it is gone; what it said before is heard next

    async def _hear(self) -> dict[str, Any]:
        heard = bytearray()
        while len(heard) < LENGTH.size or len(heard) < LENGTH.size + LENGTH.unpack_from(heard)[0]:
            try:
                part = await receive_part(self._line)
            except OSError as error:
                raise GoneError(self._complaint()) from error
            heard += part
            if len(heard) >= LENGTH.size and LENGTH.unpack_from(heard)[0] > LARGEST_REPLY:
                raise GoneError(STRANGE)
            if not part:
                raise GoneError(self._complaint())
        try:
            reply = json.loads(heard[LENGTH.size :])
        except ValueError as error:
            raise GoneError(STRANGE) from error
        return reply if isinstance(reply, dict) else {}

    def _complaint(self) -> str:
        """The last line that the container wrote to its standard error."""
        if self._complaints.closed:
            return "it is gone"
        self._complaints.seek(0)
        said = self._complaints.read(4096).decode("utf-8", "replace").strip().splitlines()
        self.end()
        return said[-1][:300] if said else "it ended without a word"


def _spawn(arguments: Sequence[str], line: int, complaints: int) -> int:
    """Start it in a session of its own, with this process's environment: a container's client needs it."""
    return os.posix_spawnp(
        arguments[0],
        list(arguments),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, line, 0),
            (os.POSIX_SPAWN_DUP2, line, 1),
            (os.POSIX_SPAWN_DUP2, complaints, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD),
    )


def _end(owner: int, pid: int, line: socket.socket, complaints: Any) -> None:
    """Close its standard streams, at which everything inside ends; then kill the client."""
    if os.getpid() != owner:
        return
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
    complaints.close()
    reap(pid, patience_s=2.0)
