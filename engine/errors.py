"""Every error that a user can meet, as one tree.

    EngineError            code, message, hint, exit_code
    ├── UsageError         flags that do not fit together; nothing was sent        exit 2
    ├── ConfigError        bench.toml or the environment; nothing was sent         exit 2
    ├── DatasetError       a dataset cannot be found or read; nothing was sent     exit 2
    ├── SolverError        a solver file breaks its contract; nothing was sent     exit 2
    ├── EndpointError      an endpoint or key is unusable                          exit 3
    ├── BudgetError        the money, token or time limit is reached               exit 4
    ├── StorageError       results cannot be read or written                       exit 5
    │   └── OlderSchemaError   of an older engine, and was to be read alone
    ├── ProofError         a bundle is damaged, or was changed                     exit 1
    ├── TaskError          this task has no score; it is recorded, the run goes on
    │   ├── CallError      the endpoint gave nothing usable, after all attempts
    │   ├── NotStoredError an offline run asked for a completion that is not stored
    │   └── DrainError     the run is being stopped; the task stays to be done
    │       └── HaltError  ... because of `reason`: no key, no quota, no budget
    └── AttemptError       one request failed; the retry policy decides what follows

`code` is stable and stored with the outcome; the words of a message may change.
No message holds a key, a header or the value of an environment variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

from engine.records import Fault


class EngineError(Exception):
    """The root of the tree: what went wrong, where, and what to do about it."""

    code: ClassVar[str] = "engine"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(EngineError):
    """Flags that do not fit together."""

    code = "usage"
    exit_code = 2


class ConfigError(EngineError):
    """bench.toml or the environment is not right."""

    code = "config"
    exit_code = 2


class DatasetError(EngineError):
    """A dataset cannot be found or read."""

    code = "dataset"
    exit_code = 2


class SolverError(EngineError):
    """A solver cannot be found, or its file breaks the contract."""

    code = "solver"
    exit_code = 2


class EndpointError(EngineError):
    """An endpoint or its key is unusable."""

    code = "endpoint"
    exit_code = 3


class BudgetError(EngineError):
    """The limit of money, tokens or time is reached; what was bought is kept."""

    code = "budget"
    exit_code = 4


class StorageError(EngineError):
    """Results cannot be read or written."""

    code = "storage"
    exit_code = 5


class OlderSchemaError(StorageError):
    """The store is of an older engine: opened for writing it is brought up to date, and it cannot be only read."""


class ProofError(EngineError):
    """A bundle is damaged, was changed, or cannot be replayed."""

    code = "proof"


class TaskError(EngineError):
    """One task ends without a score."""

    code = "task"


class CallError(TaskError):
    """A call ended without a usable reply, after all its attempts.

    `fault` is the class of the last attempt (`rate_limit`, `timeout`, ...), as in `attempts.class`.
    """

    code = "call"

    def __init__(self, message: str, *, fault: Fault, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.fault = fault
        self.status = status


class NotStoredError(TaskError):
    """An offline run asked for a completion that is not in the store."""

    code = "not_stored"


class DrainError(TaskError):
    """The task would need another request, and the run is being stopped."""

    code = "drain"


class HaltError(DrainError):
    """The task would need another request, and none may leave for `reason`."""

    code = "halt"

    def __init__(self, reason: EngineError) -> None:
        super().__init__(reason.message, hint=reason.hint)
        self.reason = reason


class AttemptError(EngineError):
    """One request gave no usable reply; `fault` says which kind, `retry_after_s` what the endpoint asked for.

    `reason` is the endpoint's own code or type of the error, in lower case, and `param` the part of the request
    that it complains of, as `temperature` or `messages[0].role`; both are empty where it does not say.
    """

    code = "attempt"

    def __init__(
        self,
        message: str,
        *,
        fault: Fault,
        status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.headers = headers or {}
        self.reason = ""
        self.param = ""


def together(errors: Sequence[EngineError]) -> EngineError:
    """One error that tells of all, a line each; one that is not about the endpoint decides the exit code."""
    if len({(error.message, error.hint) for error in errors}) == 1:
        return errors[0]
    kind = EndpointError if all(isinstance(error, EndpointError) for error in errors) else ConfigError
    return kind(told_of(errors), hint="mend these, and try again")


def told_of(errors: Sequence[EngineError]) -> str:
    """What each says and hints at, a line each, and none twice."""
    return "\n".join(dict.fromkeys("; ".join(filter(None, (error.message, error.hint))) for error in errors))


@contextmanager
def one_error() -> Iterator[None]:
    """Raise the first error of a task group by itself, so that callers never meet an exception group."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        ours = [inner for inner in error.exceptions if isinstance(inner, EngineError)]
        error = ours[0] if ours else error.exceptions[0]
    return error
