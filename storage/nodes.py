"""Who owns a lease: this process, told apart from every other one, and whether another one is gone.

A lease is held as long as its node lives. Other hosts know that only by its heartbeat; on the same host a
process that is gone is seen at once, so that a resume after `kill -9` does not wait.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

TTL_S = 30.0
"""How long a node lives after its last heartbeat; it gives one each third of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One opened store of one process."""

    node_id: str
    host: str
    boot_id: str
    pid: int
    pid_started: str


def this_node() -> Node:
    """A new node of this process."""
    pid = os.getpid()
    return Node(node_id=uuid.uuid4().hex, host=_host(), boot_id=_boot_id(), pid=pid, pid_started=_started(pid) or "")


def is_gone(other: Node, here: Node) -> bool:
    """Whether the other node's process has certainly ended; False where that cannot be seen from here."""
    if other.host != here.host or sys.platform == "win32":
        return False
    if other.boot_id != here.boot_id:
        return True
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    started = _started(other.pid)
    return started is not None and started != other.pid_started


def _host() -> str:
    # Containers may share a host's name, but then a pid means another process: its name space belongs to the name.
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When the process started, in ticks since the boot; "ended" for one nobody has waited for; None: unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else fields[19]
