"""The seccomp filter, run by a small interpreter of its language: what is allowed on each architecture."""

from __future__ import annotations

import errno
import struct

import pytest

from engine.sandbox.inside import syscalls
from engine.sandbox.inside.syscalls import AARCH64, ALLOW, ERRNO, KILL_PROCESS, X86_64

PID = 4321
EPERM, ENOSYS, ENOTTY = (ERRNO | code for code in (errno.EPERM, errno.ENOSYS, errno.ENOTTY))
DANGEROUS = {
    "fork vfork execve execveat ptrace": ([57, 58, 59, 322, 101], [221, 281, 117]),
    "socket connect bind sendmsg accept": ([41, 42, 49, 46, 43], [198, 203, 200, 211, 202]),
    "mount umount unshare setns chroot pivot_root": ([165, 166, 272, 308, 161, 155], [40, 39, 97, 268, 51, 41]),
    "io_uring bpf keyctl perf userfaultfd": ([425, 321, 250, 298, 323], [425, 280, 219, 241, 282]),
    "chmod fchmod fchmodat chown utimensat setxattr": ([90, 91, 268, 92, 280, 188], [52, 53, 54, 88, 5]),
    "truncate ftruncate creat unlink rename mkdir link symlink": ([76, 77, 85, 87, 82, 83, 86, 88], [45, 46, 35, 38]),
    "process_vm pidfd kcmp": ([310, 311, 434, 438, 312, 424], [270, 271, 434, 438, 272, 424]),
    "seccomp prctl setuid capset personality": ([317, 157, 105, 126, 135], [277, 167, 146, 91, 92]),
    "setrlimit tkill rt_sigqueueinfo readlink": ([160, 200, 129, 89, 267], [164, 130, 138, 78]),
    "memfd shmget msgget semget mq_open": ([319, 29, 68, 64, 240], [279, 194, 186, 190, 180]),
}


def decision(arch: int, number: int, *arguments: int, of: int | None = None) -> int:
    """What the filter says to this call."""
    data = struct.pack("=iIQ6Q", number, of or arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = list(struct.iter_unpack("=HBBI", syscalls.program(arch, PID)))
    at, value = 0, 0
    while True:
        operation, yes, no, operand = code[at]
        at += 1
        if operation == syscalls.RETURN:
            return operand
        if operation == syscalls.LOAD:
            (value,) = struct.unpack_from("=I", data, operand)
        elif operation == syscalls.AND:
            value &= operand
        elif operation == syscalls.JUMP:
            at += operand
        else:
            holds = {
                syscalls.EQUAL: value == operand,
                syscalls.AT_LEAST: value >= operand,
                syscalls.ANY_BIT: bool(value & operand),
            }[operation]
            at += yes if holds else no


@pytest.fixture(params=[X86_64, AARCH64], ids=["x86_64", "aarch64"])
def arch(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def number(arch: int, name: str) -> int:
    found = syscalls.NUMBERS[name][arch == AARCH64]
    assert found is not None
    return found


def test_every_call_gets_the_decision_that_its_table_says(arch: int) -> None:
    allowed = set(syscalls.allowed_numbers(arch))
    closer = {numbers[arch == AARCH64] for numbers in syscalls.NUMBERS.values()}
    assert not allowed & closer
    for each in range(600):
        if each not in closer:
            assert decision(arch, each) == (ALLOW if each in allowed else EPERM), each


@pytest.mark.parametrize("names", DANGEROUS)
def test_what_reaches_beyond_the_process_is_refused(arch: int, names: str) -> None:
    assert {decision(arch, each) for each in DANGEROUS[names][arch == AARCH64]} == {EPERM}


def test_another_architecture_and_the_x32_numbers_end_the_process(arch: int) -> None:
    assert decision(arch, 0, of=0x40000003) == KILL_PROCESS
    assert decision(X86_64, 0x40000000 + 1) == KILL_PROCESS


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("kill", (PID, 9), ALLOW),
        ("kill", (PID + 1, 0), EPERM),
        ("kill", (0, 0), EPERM),
        ("kill", ((1 << 64) - 1, 9), EPERM),
        ("tgkill", (PID, 77, 6), ALLOW),
        ("tgkill", (1, 1, 6), EPERM),
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (0x01200011,), EPERM),
        ("clone", (0x10000011,), EPERM),
        ("clone3", (0,), ENOSYS),
        ("openat2", (0,), ENOSYS),
        ("ioctl", (0, 0x5412), ENOTTY),
        ("prlimit64", (0, 7, 0), ALLOW),
        ("prlimit64", (0, 7, 1 << 40), EPERM),
        ("prlimit64", (0, 7, 8), EPERM),
        ("sendto", (3, 8, 1, 0, 0), ALLOW),
        ("sendto", (3, 8, 1, 0, 1 << 40), EPERM),
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (2, 1, 0), EPERM),
        ("fcntl", (3, 1030), ALLOW),
        ("fcntl", (3, 8), EPERM),
        ("fcntl", (3, 10), EPERM),
        ("openat", (0, 0, 0o2000000), ALLOW),
        ("openat", (0, 0, 0o1101), ALLOW),
        ("openat", (0, 0, 0o1002), ALLOW),
        ("openat", (0, 0, 0o1000), EPERM),
        ("openat", (0, 0, 0o1003), EPERM),
        ("openat", (0, 0, 0o2001000), EPERM),
    ],
)
def test_arguments_decide(arch: int, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert decision(arch, number(arch, name), *arguments) == expected


def test_the_process_is_the_one_that_was_named(arch: int) -> None:
    assert struct.pack("=I", syscalls.SOME_PID) not in syscalls.program(arch, PID)


@pytest.mark.parametrize(
    ("machine", "found"), [("x86_64", X86_64), ("aarch64", AARCH64), ("arm64", AARCH64), ("riscv64", None)]
)
def test_a_machine_without_a_table_is_known(machine: str, found: int | None) -> None:
    assert syscalls.architecture(machine) == found
