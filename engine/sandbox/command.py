"""The command lines that start a zygote: plain, or within bubblewrap."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.sandbox.inside import confine, packages

INSIDE = Path(__file__).resolve().parent / "inside"
RECEIVER = """
import importlib.abc, importlib.util, json, os, struct, sys

def take(length):
    parts = b""
    while len(parts) < length:
        part = os.read(0, length - len(parts))
        if not part:
            os._exit(1)
        parts += part
    return parts

if sys.version_info < (3, 11):
    sys.exit("the container's python3 is older than 3.11")
sources = json.loads(take(struct.unpack("!I", take(4))[0]))

class Sent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name in sources:
            return importlib.util.spec_from_loader(name, self, is_package=name.count(".") < 3)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(sources[module.__name__], module.__name__, "exec"), module.__dict__)

sys.meta_path.insert(0, Sent())
from engine.sandbox.inside import relay
relay.main()
"""
"""What a container's interpreter is started with; the files of `inside` come to it over standard input."""
BOOTSTRAP = f"""
import sys, types
for name, path in (("engine", []), ("engine.sandbox", [{str(INSIDE.parent)!r}])):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = path
from engine.sandbox.inside import zygote
zygote.main()
"""
"""Imports the files of `inside` and nothing else of the engine."""
FLAGS = ("-s", "-P", "-S", "-B", "-X", "utf8")
"""What `-I` does, less ignoring PYTHONHASHSEED: the environment is ours."""
NAMESPACES = "user pid net ipc uts".split()  # noqa: SIM905


def environment() -> dict[str, str]:
    """All that a zygote knows of the engine's environment."""
    known = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"}
    if libraries := os.environ.get("LD_LIBRARY_PATH"):  # an interpreter may need it to start at all
        known["LD_LIBRARY_PATH"] = libraries
    return known


def interpreter() -> str:
    """The real interpreter behind a virtual environment's."""
    return os.path.realpath(sys.executable)


def plain(settings: Mapping[str, Any]) -> list[str]:
    """A zygote in the machine's own namespaces."""
    return [interpreter(), *FLAGS, "-c", BOOTSTRAP, json.dumps(settings)]


def wrapped(settings: Mapping[str, Any]) -> list[str] | None:
    """The same in namespaces of its own, which hold the interpreter and libraries; None without bubblewrap."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    shown = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(INSIDE), interpreter()}
    shown |= {str(path) for path in Path(sys.base_prefix, "lib").glob("lib*.so*")}
    shown |= set(packages.files_of(settings.get("packages") or {}))
    optional = [*confine.LIBRARIES, "/etc/ld.so.cache", confine.TIME_ZONES]
    arguments = [f"--unshare-{name}" for name in NAMESPACES]
    arguments += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for name, value in environment().items():
        arguments += ["--setenv", name, value]
    for path in optional:
        arguments += ["--ro-bind-try", path, path]
    for path in sorted(shown):
        arguments += ["--ro-bind", path, path]
    arguments += ["--dev", "/dev", "--remount-ro", "/", "--chdir", "/", "--"]
    return [program, *arguments, *plain({**settings, "parent": 0})]


def contained(container: str) -> list[str]:
    """A zygote in a container: the user's command, which ends in an image, with the interpreter's behind it.

    Raises:
        ValueError: quotes in the command do not match.
    """
    words = shlex.split(container)
    found = shutil.which(words[0]) if words else None
    return [found or (words[0] if words else ""), *words[1:], "python3", "-s", "-S", "-B", "-X", "utf8", "-c", RECEIVER]


def sources() -> dict[str, str]:
    """The modules that a container is sent, by name."""
    modules = {f"engine.sandbox.inside.{path.stem}": path.read_text(encoding="utf-8") for path in INSIDE.glob("*.py")}
    modules["engine.sandbox.inside"] = modules.pop("engine.sandbox.inside.__init__")
    return {"engine": "", "engine.sandbox": "", **modules}
