"""Shutting a process in: limits, capabilities, Landlock and seccomp, by plain system calls; no way back out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.sandbox.inside import syscalls

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION, RULE_PATH_BENEATH = 1, 1
CAPSET = {syscalls.X86_64: 126, syscalls.AARCH64: 91}
CAPABILITY_VERSION = 0x20080522
LAST_CAPABILITY = 63

WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights over files the kernel knows, by Landlock ABI; from 5 on there are 16."""
NEWEST_ABI = 6
NOT_FOR_SOLUTIONS = frozenset({"site-packages", "dist-packages"})
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
FILES = ("/etc/ld.so.cache", "/dev/urandom", "/dev/random", "/dev/zero")
TIME_ZONES = "/usr/share/zoneinfo"
OPEN_FILES = 64


@dataclass(frozen=True)
class Limits:
    """What one process may use."""

    cpu_s: float
    memory_bytes: int


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    function = _libc().syscall
    function.restype = ctypes.c_long
    plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(function(ctypes.c_long(number), *plain))


def _prctl(option: int, *arguments: int) -> int:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return int(_libc().prctl(option, *(ctypes.c_ulong(each) for each in padded)))


def on_linux() -> bool:
    """Whether this is Linux on a machine that there is a table of system calls for."""
    return sys.platform == "linux" and syscalls.architecture() is not None


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started this process ends."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def drop_privileges() -> None:
    """No capability, no way to gain one, and no reading of this process's memory from outside."""
    _prctl(PR_SET_DUMPABLE, 0)
    for capability in range(LAST_CAPABILITY + 1):
        _prctl(PR_CAPBSET_DROP, capability)
    _prctl(PR_CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL)
    arch = syscalls.architecture()
    if arch is not None:
        header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
        _call(CAPSET[arch], ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))
    if _prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")


def limit(limits: Limits, *, cpu_s: int) -> None:
    """Address space, CPU seconds as the kernel counts them, no core file, no file grows, few descriptors."""
    wanted = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        resource.RLIMIT_AS: (limits.memory_bytes, limits.memory_bytes),
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
    }
    for name, (soft, hard) in wanted.items():
        most = resource.getrlimit(name)[1]
        fits = (soft, hard) if most == resource.RLIM_INFINITY else (min(soft, most), min(hard, most))
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, fits)


def landlock_abi() -> int:
    """The kernel's Landlock ABI; 0 where there is none."""
    if not on_linux():
        return 0
    return max(0, _call(LANDLOCK_CREATE, 0, 0, LANDLOCK_VERSION))


def landlock(abi: int, *, also: Sequence[str] = ()) -> None:
    """From now on, this process and its children read the standard library and the system's, and no other file.

    Args:
        abi: which of the kernel's rights to handle; a lower one than the kernel's acts as an older kernel would.
        also: folders that are read too.

    Raises:
        OSError: the kernel refused.
    """
    abi = min(abi, NEWEST_ABI)
    rights = (1 << FILE_RIGHTS.get(abi, 16)) - 1
    fields = [rights]
    fields += [0b11] if abi >= 4 else []  # binding and connecting TCP
    fields += [0b11] if abi >= 6 else []  # abstract sockets, signals
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _call(LANDLOCK_CREATE, ctypes.c_char_p(attributes), len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset was refused")
    try:
        for path, allowed in _readable():
            _allow(ruleset, path, allowed & rights)
        for folder in also:
            _allow(ruleset, Path(folder), READ_FILE | READ_DIR)
        if _call(LANDLOCK_RESTRICT, ruleset, 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock_restrict_self was refused")
    finally:
        os.close(ruleset)


def _readable() -> Iterator[tuple[Path, int]]:
    """Paths and rights: libraries are read; of the standard library not what was installed into it."""
    for name in LIBRARIES:
        yield Path(name), READ_FILE | READ_DIR
    for name in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        library = Path(name)
        yield library, READ_DIR
        with contextlib.suppress(OSError):
            for child in library.iterdir():
                if child.name not in NOT_FOR_SOLUTIONS:
                    yield child, READ_FILE | READ_DIR
    for shared in Path(sys.base_prefix, "lib").glob("lib*.so*"):
        yield shared, READ_FILE
    for name in FILES:
        yield Path(name), READ_FILE
    yield Path(TIME_ZONES), READ_FILE | READ_DIR
    yield Path("/dev/null"), READ_FILE | WRITE_FILE | TRUNCATE


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    try:
        if not path.is_dir():
            rights &= READ_FILE | WRITE_FILE | TRUNCATE
        rule = struct.pack("=Qi", rights, descriptor)
        if _call(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.c_char_p(rule), 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock_add_rule was refused", str(path))
    finally:
        os.close(descriptor)


def prepare_seccomp() -> None:
    """Put the filter together, for children to find it ready."""
    arch = syscalls.architecture()
    if arch is not None:
        syscalls.program(arch, 0)


def seccomp() -> None:
    """From now on, only the system calls of `syscalls.ALLOWED`; for good.

    Raises:
        OSError: the kernel refused, or this machine has no table.
    """
    arch = syscalls.architecture()
    if arch is None:
        raise OSError(f"there is no table of system calls for {os.uname().machine!r}")
    code = syscalls.program(arch, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    filled = _Program(len(code) // 8, ctypes.addressof(buffer))
    if _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filled)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp was refused")


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
