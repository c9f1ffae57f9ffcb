"""A warm, confined interpreter that forks a worker and a judge for each job, and ends both when their time is up.

It holds neither tests nor solutions, so a worker, its child, finds none in its memory: the judge reads the job
from a descriptor of its own. Jobs come one at a time over a socket; the end of that socket ends everything.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.sandbox.inside import confine, judge, packages, worker

LONGEST_ORDER = 4096
TICK_S = 0.25
CONTROL, JOB = 0, 3
FREE = 100
"""Descriptors from here on are in nobody's way."""
MOST_DESCRIPTORS = 65536
JUDGE_MEMORY_BYTES = 2 << 30
WARM = """
abc array bisect calendar cmath collections copy dataclasses datetime decimal enum fractions functools hashlib heapq
inspect itertools json math numbers operator queue random re statistics string struct textwrap threading time
traceback types typing unicodedata
""".split()  # noqa: SIM905 - a paragraph of names reads better than forty strings
"""Imported once, so that no job pays for it."""


@dataclass
class Child:
    """A process of a job, and how it ended."""

    pid: int
    status: int | None = None
    cpu_s: float = 0.0

    def look(self, *, wait: bool = False) -> None:
        """See whether it has ended, and how much CPU it has used."""
        if self.status is not None:
            return
        pid, status, usage = os.wait4(self.pid, 0 if wait else os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
            self.cpu_s = usage.ru_utime + usage.ru_stime
        elif sys.platform == "linux":
            self.cpu_s = time.clock_gettime((~self.pid << 3) | 2)

    def end(self) -> None:
        """Kill it where it is still there, and reap it."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.look(wait=True)


@dataclass
class Watch:
    """The two processes of a job, and the limits they are held to."""

    solution: Child
    tests: Child
    cpu_s: float
    judge_cpu_s: float
    idle_s: float
    wall_s: float
    began: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)
    _idle: float = 0.0

    def over(self) -> str:
        """Which limit has been reached: `cpu`, `judge_cpu`, `wall`; empty for none.

        The wall limit counts time in which neither process used any CPU, so that a busy machine fails nobody;
        time all in all has a limit too, which is far beyond.
        """
        before = self.solution.cpu_s + self.tests.cpu_s
        self.solution.look()
        self.tests.look()
        now = time.monotonic()
        if self.solution.cpu_s + self.tests.cpu_s > before:
            self._idle = 0.0
        else:
            self._idle += min(now - self._looked, 2 * TICK_S)
        self._looked = now
        if self.solution.cpu_s >= self.cpu_s:
            return "cpu"
        if self.tests.cpu_s >= self.judge_cpu_s:
            return "judge_cpu"
        return "wall" if self._idle >= self.idle_s or now - self.began >= self.wall_s else ""

    def patience_s(self) -> float:
        """Until when no limit can be reached, a tick at most."""
        return max(0.01, min(TICK_S, (self.cpu_s - self.solution.cpu_s) / (os.cpu_count() or 1)))


class Zygote:
    """Carries out jobs until its socket ends."""

    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self._control = control
        self._settings = settings
        self._null = os.open(os.devnull, os.O_RDWR)
        self._pid = os.getpid()
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Carry out one job after the other."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._control, LONGEST_ORDER, 1)
            if not message:
                return
            report = self._carry_out(json.loads(message), descriptors[0])
            if report is None:
                return
            self._control.send(json.dumps(report).encode())

    def _carry_out(self, order: dict[str, Any], channel: int) -> dict[str, Any] | None:
        """What became of the job; None where the engine went away meanwhile."""
        ours, theirs = socket.socketpair()
        limits = confine.Limits(cpu_s=order["cpu_s"], memory_bytes=order["memory_bytes"])
        judging = confine.Limits(cpu_s=order["judge_cpu_s"], memory_bytes=JUDGE_MEMORY_BYTES)
        solution = Child(
            self._fork(lambda: worker.work(JOB, self._settings.get("packages") or {}), limits, (ours.fileno(),))
        )
        try:
            tests = Child(self._fork(lambda: judge.judge(JOB, JOB + 1), judging, (channel, theirs.fileno())))
        except OSError:
            solution.end()
            raise
        for end in (ours, theirs):
            end.close()
        os.close(channel)
        keys = ("cpu_s", "judge_cpu_s", "idle_s", "wall_s")
        watch = Watch(solution, tests, **{key: order[key] for key in keys})
        reached = self._wait(watch)
        tests.end()
        solution.end()
        if reached is None:
            return None
        return {
            "limit": reached,
            "worker": solution.status,
            "judge": tests.status,
            "cpu_s": solution.cpu_s,
            "wall_s": time.monotonic() - watch.began,
        }

    def _wait(self, watch: Watch) -> str | None:
        """Until the judge has ended: the limit that was reached, empty for none, None where the engine went away."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        while True:
            reached = watch.over()
            if reached or watch.tests.status is not None:
                return reached
            for descriptor, _ in poll.poll(watch.patience_s() * 1000):
                if descriptor == self._control.fileno():
                    return None  # an order out of turn, or the end
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 512)

    def _fork(self, task: Callable[[], None], limits: confine.Limits, descriptors: tuple[int, ...]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            self._become(limits, descriptors)
            code = 71
            task()
            code = 0
        finally:
            os._exit(code)

    def _become(self, limits: confine.Limits, descriptors: tuple[int, ...]) -> None:
        """Be a confined child that has these descriptors, from `JOB` on, and no other."""
        confine.die_with_parent(self._pid)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        above = [fcntl.fcntl(each, fcntl.F_DUPFD, FREE) for each in descriptors]
        for standard in (0, 1, 2):
            os.dup2(self._null, standard)
        for place, each in enumerate(above):
            os.dup2(each, JOB + place)
        os.closerange(JOB + len(above), MOST_DESCRIPTORS)
        random.seed(0)  # a fork is seeded anew by chance, and a verdict must not be chance
        confine.limit(limits, cpu_s=int(limits.cpu_s) + 2)
        if self._settings["seccomp"]:
            confine.seccomp()


def main() -> None:
    """Settings from the command line, orders from standard input."""
    become(json.loads(sys.argv[1]), socket.socket(fileno=os.dup(CONTROL)))


def become(settings: dict[str, Any], control: socket.socket) -> None:
    """Be a zygote for the rest of this process, with orders from `control` and no other descriptor."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    if null > max(control.fileno(), 2):
        os.close(null)
    os.closerange(3, control.fileno())
    os.closerange(max(control.fileno(), 2) + 1, MOST_DESCRIPTORS)
    confine.die_with_parent(settings["parent"] or os.getppid())
    for name in WARM:
        __import__(name)
    if settings["seccomp"]:
        confine.prepare_seccomp()
    zygote = Zygote(control, settings)
    _shut_in(settings)
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"pid": os.getpid()}).encode())
    zygote.serve()


def _shut_in(settings: dict[str, Any]) -> None:
    """What children inherit is done once."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as first_to_go:  # noqa: PTH123 - stdlib only
        first_to_go.write("1000")
    if sys.platform == "linux":
        confine.drop_privileges()
    if settings["landlock"]:
        confine.landlock(settings["landlock"], also=packages.files_of(settings.get("packages") or {}))
