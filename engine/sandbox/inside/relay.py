"""The first process within a container: starts a zygote there, and carries jobs and verdicts over standard streams.

It is the container that shuts code in; Landlock and the filter of system calls are added where its kernel has them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
from typing import Any

from engine.sandbox.inside import confine, wire, zygote

INPUT, OUTPUT = 0, 1
LENGTH = struct.Struct("!I")
LARGEST_REPLY = 1 << 16


class AwayError(Exception):
    """The engine is gone, or the zygote."""


def main() -> None:
    """Serve jobs until the engine goes away; then nothing is left."""
    settings = {"landlock": confine.landlock_abi(), "seccomp": _filter_works(), "parent": os.getpid()}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            ours.close()
            zygote.become(settings, theirs)
        os._exit(1)
    theirs.close()
    try:
        if ours.recv(LARGEST_REPLY):
            wire.send(OUTPUT, {"up": settings, "python": list(sys.version_info[:2])})
            while True:
                order = wire.receive(INPUT)
                wire.send(OUTPUT, _carried_out(ours, order["order"], order["job"].encode()))
    except (AwayError, EOFError, OSError):
        pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _carried_out(control: socket.socket, order: dict[str, Any], job: bytes) -> dict[str, Any]:
    """The judge's own bytes as text, and the zygote's report.

    Raises:
        AwayError: the engine or the zygote is gone.
    """
    channel, theirs = socket.socketpair()
    with channel:
        with theirs:
            socket.send_fds(control, [json.dumps(order).encode()], [theirs.fileno()])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            channel.sendall(LENGTH.pack(len(job)) + job)
        said = _read_on(channel)
    report = control.recv(LARGEST_REPLY)
    if not report:
        raise AwayError
    return {"said": said.hex(), "report": json.loads(report)}


def _read_on(channel: socket.socket) -> bytes:
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(INPUT, select.POLLIN)
    said = bytearray()
    while len(said) < LARGEST_REPLY:
        for descriptor, _ in poll.poll():
            if descriptor == INPUT:
                raise AwayError  # a job out of turn, or the end
        try:
            part = channel.recv(LARGEST_REPLY)
        except ConnectionResetError:
            break
        if not part:
            break
        said += part
    return bytes(said)


def _filter_works() -> bool:
    """Whether a process of this container can be given the filter; tried in one that ends at once."""
    if not confine.on_linux():
        return False
    pid = os.fork()
    if not pid:
        code = 1
        with contextlib.suppress(BaseException):
            confine.drop_privileges()
            confine.seccomp()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
