"""What the sandbox says about one solution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How well untrusted code is shut in; what was achieved, not what was asked for."""

    STRONG = "strong"
    """Namespaces (bubblewrap) around all that `fast` has."""
    FAST = "fast"
    """Limits, no capabilities, Landlock and a seccomp allowlist."""
    CONTAINER = "container"
    """The split judge in a container that the user named, and of `fast` what its kernel has."""
    UNSAFE = "unsafe"
    """The split judge and limits alone: verdicts cannot be forged from within Python, the machine is open."""


class Result(StrEnum):
    """How a solution fared."""

    PASS = "pass"  # noqa: S105 - not a password
    WRONG = "wrong"
    """A test's assertion did not hold."""
    EXCEPTION = "exception"
    """It raised, or what it returned made the tests raise."""
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    """It slept."""
    MEMORY = "memory"
    DIED = "died"
    """Its process ended, or broke the protocol."""
    FORBIDDEN = "forbidden"
    """It was stopped by a refusal of the sandbox."""
    JUDGE_ERROR = "judge_error"
    """The tests themselves are at fault, or their process is."""
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"

    @property
    def ours(self) -> bool:
        """Whether this says nothing about the solution: it must not be scored."""
        return self in (Result.JUDGE_ERROR, Result.SANDBOX_UNAVAILABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVerdict:
    """The judgement of one solution.

    `detail` names the test and what it raised, for people; `calls` is how often the tests called the
    solution, `cpu_s` what its process used, `wall_s` from its start to its end.
    """

    result: Result
    level: Level
    detail: str = ""
    calls: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether all tests held."""
        return self.result is Result.PASS
