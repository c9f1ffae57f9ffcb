"""Which system calls confined code may make, as a seccomp program; one table for x86_64, one for aarch64.

An allowlist: what is not named is refused with EPERM, so a call that a newer kernel brings is refused too.
None of the calls here starts a process, opens a connection, changes a file's metadata or reaches another process.
"""

from __future__ import annotations

import errno
import os
import struct
from functools import cache

X86_64 = 0xC000003E
AARCH64 = 0xC00000B7

# Name, then the number on x86_64 and on aarch64; `-` where an architecture has no such call.
ALLOWED = """
read 0 63         write 1 64        readv 19 65       writev 20 66      pread64 17 67     pwrite64 18 68
close 3 57        close_range 436 436  lseek 8 62     fstat 5 80        newfstatat 262 79 statx 332 291
stat 4 -          lstat 6 -         access 21 -       faccessat 269 48  faccessat2 439 439  getcwd 79 17
getdents64 217 61 statfs 137 43     fstatfs 138 44    dup 32 23         dup2 33 -         dup3 292 24
pipe 22 -         pipe2 293 59      poll 7 -          ppoll 271 73      select 23 -       pselect6 270 72
epoll_create1 291 20  epoll_ctl 233 21  epoll_wait 232 -  epoll_pwait 281 22  eventfd2 290 19
recvfrom 45 207   shutdown 48 210   getsockopt 55 209 getsockname 51 204
mmap 9 222        mprotect 10 226   munmap 11 215     mremap 25 216     madvise 28 233    brk 12 214
rt_sigaction 13 134  rt_sigprocmask 14 135  rt_sigreturn 15 139  rt_sigpending 127 136  sigaltstack 131 132
futex 202 98      set_robust_list 273 99  get_robust_list 274 100  rseq 334 293  set_tid_address 218 96
membarrier 324 283  sched_yield 24 124  sched_getaffinity 204 123  getcpu 309 168
exit 60 93        exit_group 231 94 restart_syscall 219 128
getpid 39 172     gettid 186 178    getppid 110 173   getuid 102 174    geteuid 107 175   getgid 104 176
getegid 108 177   getgroups 115 158 getpgrp 111 -     getpgid 121 155   getsid 124 156
getrandom 318 278 clock_gettime 228 113  clock_getres 229 114  gettimeofday 96 169  time 201 -  times 100 153
nanosleep 35 101  clock_nanosleep 230 115  getitimer 36 102  setitimer 38 103  alarm 37 -  pause 34 -
getrusage 98 165  getrlimit 97 163  uname 63 160      sysinfo 99 179
"""
NUMBERS = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "fcntl": (72, 25),
    "clone": (56, 220),
    "clone3": (435, 435),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "ioctl": (16, 29),
}
"""Calls that are looked at more closely."""

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
LOAD, JUMP, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x54, 0x06
LONGEST_JUMP = 256
SOME_PID = 0x5E5A4D3C
"""No process has it, and no other number in the filter is like it."""
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
X32 = 0x40000000
CLONE_THREAD = 0x00010000
AF_UNIX = 1
O_ACCMODE, O_TRUNC = 0o3, 0o1000
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""Duplicate, descriptor flags, status flags: not F_SETOWN and F_SETSIG, which send signals to other processes."""

Instruction = tuple[int, int, int, int]
ALLOWED_BODY: Instruction = (RETURN, 0, 0, ALLOW)


def architecture(machine: str = "") -> int | None:
    """The AUDIT_ARCH of this machine; None where there is no table for it."""
    return {"x86_64": X86_64, "amd64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}.get(
        (machine or os.uname().machine).lower()
    )


def allowed_numbers(arch: int) -> list[int]:
    """Numbers of the calls that are allowed whatever their arguments are."""
    words = ALLOWED.split()
    column = words[1::3] if arch == X86_64 else words[2::3]
    return [int(number) for number in column if number != "-"]


def program(arch: int, pid: int) -> bytes:
    """The filter for process `pid`, as an array of `struct sock_filter`.

    Signals may be sent to `pid` alone, so it is the number that the process itself sees.
    """
    return _program(arch).replace(struct.pack("=I", SOME_PID), struct.pack("=I", pid))


@cache
def _program(arch: int) -> bytes:
    """The same with a mark in place of the process.

    The number of the call is searched for by halves: the kernel walks a new filter once for every call there is.
    """
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
    ]
    if arch == X86_64:
        code += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, KILL_PROCESS)]
    decisions: dict[int, tuple[Instruction, ...]] = dict.fromkeys(allowed_numbers(arch), (ALLOWED_BODY,))
    for name, body in _closer().items():
        number = NUMBERS[name][arch == AARCH64]
        if number is not None:
            decisions[number] = tuple(body)
    starts: list[tuple[int, tuple[Instruction, ...]]] = [(0, (_refuse(errno.EPERM),))]
    for number in range(max(decisions) + 2):
        decided = decisions.get(number, (_refuse(errno.EPERM),))
        if decided != starts[-1][1]:
            starts.append((number, decided))
    code += _search(starts)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _search(starts: list[tuple[int, tuple[Instruction, ...]]]) -> list[Instruction]:
    """What finds the range that the number is in; each range goes from its start to the next one's."""
    if len(starts) == 1:
        return list(starts[0][1])
    middle = len(starts) // 2
    below, above = _search(starts[:middle]), _search(starts[middle:])
    if len(below) < LONGEST_JUMP:
        return [(AT_LEAST, len(below), 0, starts[middle][0]), *below, *above]
    return [(AT_LEAST, 0, 1, starts[middle][0]), (JUMP, 0, 0, len(below)), *below, *above]


def _closer() -> dict[str, list[Instruction]]:
    """What is asked of the arguments of each call in `NUMBERS`."""
    return {
        "open": _opening(argument=1),
        "openat": _opening(argument=2),
        "openat2": [_refuse(errno.ENOSYS)],  # its flags are behind a pointer; the C library falls back
        "clone3": [_refuse(errno.ENOSYS)],
        "clone": [_low(0), (ANY_BIT, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW), _refuse(errno.EPERM)],
        "kill": _one_of(0, (SOME_PID,)),
        "tgkill": _one_of(0, (SOME_PID,)),
        "fcntl": _one_of(1, FCNTL_COMMANDS),
        "socketpair": _one_of(0, (AF_UNIX,)),
        "sendto": _null(4),
        "prlimit64": _null(2),
        "ioctl": [_refuse(errno.ENOTTY)],
    }


def _one_of(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allowed where the low half of the argument, an int to the kernel, is one of the values."""
    tests = [(EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [_low(argument), *tests, _refuse(errno.EPERM), (RETURN, 0, 0, ALLOW)]


def _null(argument: int) -> list[Instruction]:
    """Allowed where the argument is a null pointer."""
    high = (LOAD, 0, 0, ARGUMENTS + 8 * argument + 4)
    return [_low(argument), (EQUAL, 0, 3, 0), high, (EQUAL, 0, 1, 0), (RETURN, 0, 0, ALLOW), _refuse(errno.EPERM)]


def _opening(argument: int) -> list[Instruction]:
    """Refused where it would truncate without write access being asked for.

    Landlock before ABI 3 does not see that: O_RDONLY|O_TRUNC cuts any file that may be read, and access
    mode 3 asks Landlock for nothing at all.
    """
    return [
        _low(argument),
        (AND, 0, 0, O_ACCMODE | O_TRUNC),
        (EQUAL, 2, 0, O_TRUNC),
        (EQUAL, 1, 0, O_ACCMODE | O_TRUNC),
        (RETURN, 0, 0, ALLOW),
        _refuse(errno.EPERM),
    ]


def _low(argument: int) -> Instruction:
    return (LOAD, 0, 0, ARGUMENTS + 8 * argument)


def _refuse(code: int) -> Instruction:
    return (RETURN, 0, 0, ERRNO | code)
