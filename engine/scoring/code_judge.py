"""Scores a program by its tests, in the sandbox, which opens when the first program comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import TaskError
from engine.records import Score

if TYPE_CHECKING:
    from engine.sandbox import Sandbox

VERSION = 2
CPU_LIMIT_S = 10.0


class CodeJudge:
    """One sandbox for all tasks of a solver.

    Its processes end when `close` is called, when nobody holds the judge any more, or with this process.
    """

    def __init__(self, *, unsafe_exec: bool = False, container: str = "", cpu_limit_s: float = CPU_LIMIT_S) -> None:
        """A judge whose sandbox is not open yet.

        Args:
            unsafe_exec: run programs also where they cannot be shut in.
            container: a command that runs what is appended to it in a container, in place of this machine's sandbox.
            cpu_limit_s: CPU seconds for a program, all its tests together.
        """
        self._container = container
        self._unsafe_exec = unsafe_exec
        self._cpu_limit_s = cpu_limit_s
        self._sandbox: Sandbox | None = None

    async def open(self) -> str:
        """The level of the sandbox, `strong`, `fast`, `container` or `unsafe`; to be asked before a reply is paid for.

        Raises:
            SolverError: programs cannot be shut in here, and `unsafe_exec` is not set.
        """
        return (await self._opened().open()).value

    async def score(
        self, program: str, *, tests: Sequence[str], entry_points: Sequence[str], setup: str = "", answer: str = ""
    ) -> Score:
        """1 where the program passes all tests, else 0; `info` says why, and how well it was shut in.

        Args:
            program: the source to try.
            tests: trusted source, run one after the other in one namespace until one raises.
            entry_points: names that the tests use and the program defines.
            setup: trusted source that is run before them.
            answer: what is kept as the answer; the program itself where this is empty.

        Raises:
            TaskError: the sandbox or the tests failed; nothing is known about the program.
            SolverError: programs cannot be shut in here, and `unsafe_exec` is not set.
        """
        verdict = await self._opened().judge(
            solution=program, tests=tests, entry_points=entry_points, setup=setup, cpu_limit_s=self._cpu_limit_s
        )
        if verdict.result.ours:
            raise TaskError(
                f"sandbox ({verdict.level}): {verdict.result}: {verdict.detail}",
                hint="the program was not judged; --retry-errors tries again without a call",
            )
        return Score(
            value=float(verdict.passed),
            answer=answer or program,
            info={
                "result": verdict.result.value,
                "detail": verdict.detail,
                "sandbox": verdict.level.value,
                "cpu_s": verdict.cpu_s,
            },
        )

    def close(self) -> None:
        """End the sandbox's processes; the next program starts new ones."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def _opened(self) -> Sandbox:
        if self._sandbox is None:
            from engine.sandbox import Sandbox

            self._sandbox = Sandbox(unsafe_exec=self._unsafe_exec, container=self._container)
        return self._sandbox
