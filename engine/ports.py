"""The seams of the engine: what an endpoint, a store, a dataset source and a solver must be able to do.

A part that keeps to one of these protocols is one file in its folder, found by name; nothing else is edited
to add one. `tests/contract` holds the battery that every implementation must pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from anyio.lowlevel import EventLoopToken

from engine.records import Attempt, Completion, Reply, RunRecord, Selection, Tally, TaskKey, TaskResult


class Endpoint(Protocol):
    """One way to reach a model: sends one request once, and retries nothing."""

    identity: str
    """What request keys hold: the normalised base URL, or the hash of what a made-up endpoint answers from."""

    async def send(self, body: bytes, *, timeout_s: float) -> Reply:
        """The reply to one chat completion request, checked.

        Raises:
            AttemptError: anything else than a usable reply; see `engine.endpoints.faults`.
        """
        ...

    async def probe(self) -> None:
        """Check, at no cost, that the endpoint can be reached and takes the key.

        A connection and `GET /models`, where a 404 is fine.

        Raises:
            EndpointError: it cannot be reached, or refuses the key.
        """
        ...

    async def aclose(self) -> None:
        """Close connections, and end what was started for it."""
        ...


class Store(Protocol):
    """Where runs, tasks and completions are kept, and the queue that hands them out.

    Every method that changes something returns when the change is durable. What one live node has claimed no
    other gets; what a dead node had claimed can be claimed again.
    """

    async def open_run(self, run: RunRecord) -> tuple[str, str]:
        """Make the run, or find the one with this identity and generation: `(run_id, status before)`.

        The status is `new`, `open` (it was interrupted, or is being worked on) or `ended`.
        """
        ...

    async def end_run(self, run_id: str) -> None:
        """Mark the run as ended: each selected task has an outcome."""
        ...

    async def newest_run(self, scope: str) -> Mapping[str, Any] | None:
        """The newest run of the highest generation with this scope, as a row of `runs`; None where there is none."""
        ...

    async def find_runs(self, *, benchmark: str = "", model: str = "", limit: int = 20) -> list[Mapping[str, Any]]:
        """Rows of `runs`, newest first."""
        ...

    def finished(self, run_id: str) -> AsyncIterator[list[tuple[int, int, str]]]:
        """Chunks of `(datum_index, repeat, outcome)` of the run's tasks that have ended, in task order."""
        ...

    async def tally(self, run_id: str, selection: Selection) -> Tally:
        """Counts over the finished tasks of the selection."""
        ...

    def results(self, run_id: str) -> AsyncIterator[list[TaskResult]]:
        """Chunks of finished tasks in the order of datum index, then repeat."""
        ...

    async def claim_tasks(self, keys: Sequence[TaskKey], *, again: frozenset[str] = frozenset()) -> list[TaskKey]:
        """Those of `keys` that are now ours: neither finished nor claimed by a live node.

        A task whose outcome is in `again` counts as not finished.
        """
        ...

    async def release_tasks(self, keys: Sequence[TaskKey]) -> None:
        """Give back tasks that were claimed and not finished."""
        ...

    def finish_task(self, result: TaskResult) -> Awaitable[None]:
        """Keep the result (in place of an earlier one) and end the claim; durable when awaited.

        A future is on its way at once, so that the next task can begin meanwhile.
        """
        ...

    async def lookup(self, key: str) -> Completion | None:
        """The stored completion of this request key; None where there is none."""
        ...

    async def claim_call(self, key: str) -> Completion | bool:
        """The stored completion; else True where the call is now ours to make, False where a live node makes it."""
        ...

    async def finish_call(self, completion: Completion, attempts: Sequence[Attempt]) -> None:
        """Keep the completion (the first one wins) and its attempts, and end the claim."""
        ...

    async def release_call(self, key: str, attempts: Sequence[Attempt]) -> None:
        """Keep the failed attempts and give the claim back."""
        ...

    async def prunable(self, *, before: float, model: str = "") -> Mapping[str, Any]:
        """What `prune` would take away: `completions`, about how many `bytes`, and what they cost in `cost_usd`."""
        ...

    async def prune(self, *, before: float, model: str = "") -> int:
        """Take away completions bought before this second since 1970, of this model or all; how many there were.

        Runs, tasks and evaluations stay. A run that needs one of these completions again buys it again.
        """
        ...

    async def stats(self) -> Mapping[str, Any]:
        """Counts, tokens, cost and bytes of what is stored, by name."""
        ...

    async def verify(self) -> Sequence[str]:
        """Request keys whose stored body does not match its hash."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Rows with a fixed order and a fingerprint; a split of it is what a run walks through."""

    @property
    def name(self) -> str:
        """How it was asked for, as the seed's `near.ai/mbpp/1.0.0` or a path."""
        ...

    @property
    def path(self) -> Path | None:
        """The resolved file or folder; None for hub and generated datasets."""
        ...

    @property
    def fingerprint(self) -> str:
        """Covers the content and order of all rows of the chosen split."""
        ...

    def __len__(self) -> int:
        """Rows of the chosen split."""
        ...

    def read(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """`(index, row)` for the ascending `indices`, or for all rows; blocking, reads as it goes."""
        ...

    def datum_id(self, row: Mapping[str, Any]) -> str:
        """How the dataset names this row; empty where it does not."""
        ...


class Caller(Protocol):
    """What a session needs of the engine: one call, made or served from the store, charged to the task."""

    async def complete(self, messages: Sequence[Mapping[str, Any]], sampling: Mapping[str, Any]) -> Completion:
        """The completion for these messages.

        Raises:
            CallError: no usable reply after all attempts.
            NotStoredError: the run is offline and the completion is not stored.
        """
        ...

    def folder(self, label: str) -> Path:
        """A working folder of its own for a session of this task; removed when the task has ended."""
        ...


current_task: ContextVar[Caller] = ContextVar("current_task")
"""The task that the running code belongs to; it travels into worker threads, so every call finds its task."""


home_loop: ContextVar[EventLoopToken] = ContextVar("home_loop")
"""The loop behind a plain `solve`, for threads of the solver's own: those that anyio starts know it."""


class Solver(Protocol):
    """The part of a `SolverStrategy` that the run loop uses."""

    def solve(self, datum: dict[str, Any]) -> Any:
        """The verdict on one datum, or an awaitable of it: bool, `(bool, info)` or `Score`."""
        ...

    def evaluation_name(self) -> str:
        """What results are recorded under; unique for benchmark and solver options."""
        ...

    def compatible_datasets(self) -> list[str]:
        """Names; one of them must be part of the dataset's name or path."""
        ...


Clock = Callable[[], float]
"""Seconds; a parameter wherever time matters, so that tests can jump."""
