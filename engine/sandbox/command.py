"""The command lines that start a zygote: plain, or within bubblewrap."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.sandbox.inside import confine

INSIDE = Path(__file__).resolve().parent / "inside"
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
    known = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
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
