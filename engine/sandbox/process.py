"""One zygote as the engine holds it: started, given jobs one at a time, ended when nobody holds it any more."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import anyio

from engine.sandbox import command

START_S = 30.0
LARGEST_REPLY = 1 << 16
LENGTH = struct.Struct("!I")


class GoneError(Exception):
    """The zygote, or the judge it forked, is gone: nothing is known about the solution."""


class ZygoteProcess:
    """A running zygote; `end` it, or let go of it.

    It is started from the thread of the event loop, because it dies with the thread that started it.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        with ExitStack() as opened:
            try:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                opened.enter_context(ours)
                with theirs:
                    complaints = opened.enter_context(tempfile.TemporaryFile())
                    pid = _spawn(arguments, theirs.fileno(), complaints.fileno())
            except OSError as error:
                raise GoneError(f"{arguments[0]!r} could not be started: {error}") from error
            opened.pop_all()  # closed by `end` from here on
        ours.setblocking(False)
        self.pid = pid
        self._control = ours
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
        message = b""
        with anyio.move_on_after(START_S):
            message = await receive_part(self._control)
        if not message:
            self._complaints.seek(0)
            said = self._complaints.read(4096).decode("utf-8", "replace").strip().splitlines()
            self.end()
            raise GoneError(said[-1][:300] if said else "it ended without a word")

    async def carry_out(self, job: bytes, order: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """The judge's verdict (None where it gave none) and the zygote's report on one job.

        Cancelled, it ends the zygote: what runs in there is not waited for.

        Raises:
            GoneError: the zygote is gone.
        """
        channel: socket.socket | None = None
        try:
            channel, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self._control, [json.dumps(order).encode()], [theirs.fileno()])
            channel.setblocking(False)
            said = await _converse(channel, LENGTH.pack(len(job)) + job)
            report = await receive_part(self._control)
        except OSError as error:
            self.end()
            raise GoneError(f"the zygote is gone: {error}") from error
        except BaseException:
            self.end()
            raise
        finally:
            if channel is not None:
                channel.close()
        if not report:
            self.end()
            raise GoneError("the zygote is gone")
        return verdict_of(said), json.loads(report)


def verdict_of(said: bytes) -> dict[str, Any] | None:
    """The judge's message; None where it is none, or not whole."""
    if len(said) < LENGTH.size or len(said) != LENGTH.size + LENGTH.unpack_from(said)[0]:
        return None
    verdict: dict[str, Any] = json.loads(said[LENGTH.size :])
    return verdict


async def _converse(channel: socket.socket, message: bytes) -> bytes:
    """Send the message, then read to the end; a judge that went away early has said what it said."""
    view = memoryview(message)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while view:
            try:
                view = view[channel.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(channel)
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while len(said) < LARGEST_REPLY:
            part = await receive_part(channel)
            if not part:
                break
            said += part
    return bytes(said)


async def receive_part(channel: socket.socket) -> bytes:
    """What has come over a socket that does not block, once something has; nothing where the other side is gone."""
    while True:
        try:
            return channel.recv(LARGEST_REPLY)
        except BlockingIOError:
            await anyio.wait_readable(channel)


def _spawn(arguments: Sequence[str], control: int, complaints: int) -> int:
    """Start it in a session of its own, so that Ctrl-C in a terminal does not reach it."""
    return os.posix_spawn(
        arguments[0],
        list(arguments),
        command.environment(),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, control, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, complaints, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD),
    )


def _end(owner: int, pid: int, control: socket.socket, complaints: Any) -> None:
    """Kill and reap; its children die with it."""
    if os.getpid() != owner:
        return  # a fork of the engine: not its child
    control.close()
    complaints.close()
    reap(pid)


def reap(pid: int, *, patience_s: float = 0.0) -> None:
    """Kill a child that does not end by itself in this time, and reap it."""
    until = time.monotonic() + patience_s
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
