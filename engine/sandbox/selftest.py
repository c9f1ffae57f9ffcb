"""Attacks that a sandbox must hold before it is trusted: what is really achieved, not what is installed."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ENTRY_POINTS = ("read", "show", "write", "change", "connect", "multiply", "replace", "reach", "see")
ATTACKS = """
import os, socket

def held(attack):
    def tried(target):
        try:
            attack(target)
        except (OSError, MemoryError):
            return True
        return False
    return tried

@held
def read(path):
    with open(path, "rb") as file:
        file.read(1)

@held
def show(folder):
    os.listdir(folder)

@held
def write(folder):
    with open(folder + "/written", "wb") as file:
        file.write(b"x")

@held
def change(path):
    os.chmod(path, 0o777)

@held
def connect(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass

@held
def multiply(_):
    if os.fork() == 0:
        os._exit(0)

@held
def replace(program):
    os.execv(program, [program])

@held
def reach(pid):
    os.kill(pid, 0)

@held
def see(path):
    os.stat(path)
"""
FORGERY = """
class Equal:
    def __eq__(self, other):
        return True

def right(_):
    return Equal()
"""
FORGERY_TESTS = ("assert right(1) == 2",)


@contextmanager
def attack_tests(*, hidden: bool, contained: bool = False) -> Iterator[list[str]]:
    """Tests that hold where every attack is held; what they attack is there as long as the context.

    Args:
        hidden: whether not even the existence of files may be seen.
        contained: only what reaches out of a container, which may hold further processes and programs.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-sandbox-")))
        canary = folder / "canary"
        canary.write_text("canary")
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        targets = [
            *(("read", str(path)) for path in (canary, f"/proc/{os.getpid()}/environ")),
            ("show", str(folder)),
            ("write", str(folder)),
            ("change", str(canary)),
            ("connect", listener.getsockname()[1]),
            ("multiply", 0),
            ("replace", "/bin/true"),
            ("reach", os.getpid()),
            *((("see", str(canary)),) if hidden else ()),
        ]
        if contained:
            targets = [(name, target) for name, target in targets if name not in ("multiply", "replace", "change")]
        yield [f"assert {name}({target!r}), {name!r}" for name, target in targets]
