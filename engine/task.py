"""One task: a datum put to a solver, its calls charged to it, and how it ended."""

from __future__ import annotations

import asyncio
import inspect
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from engine.calls.desk import Served
from engine.calls.keys import draw_key, draws_are_shared, encode_body, request_hash
from engine.calls.sender import Line
from engine.errors import CallError, DrainError, NotStoredError, SolverError, StorageError
from engine.failure import describe
from engine.ports import Solver, current_task, home_loop
from engine.records import Completion, Fault, Outcome, Request, Score, TaskKey, TaskResult
from engine.verdict import verdict

Number = TypeVar("Number", int, float)


class Desk(Protocol):
    """Where a task's calls go: to a provider, or to replies that were kept."""

    @property
    def identity(self) -> str:
        """What request keys hold of the provider."""
        ...

    async def complete(self, request: Request, line: Line) -> Served:
        """The completion of this request; see `engine.calls.desk.CallDesk`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a request says beside its messages, and what follows from it."""

    sampling: Mapping[str, Any]
    draws_shared: bool
    max_output_tokens: int | None
    choices: int

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> Asking:
        """The sampling of these layers, later ones over earlier ones; what is None is not sent."""
        chosen: dict[str, Any] = {}
        for layer in layers:
            chosen.update(layer)
        n = chosen.get("n")
        sampling = {name: _plain(chosen[name]) for name in sorted(chosen) if chosen[name] is not None}
        return cls(
            sampling=sampling,
            draws_shared=draws_are_shared(sampling),
            max_output_tokens=chosen.get("max_tokens") or chosen.get("max_completion_tokens"),
            choices=n if isinstance(n, int) else 1,
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the tasks of a run have in common."""

    run_id: str
    solver: Solver
    solves_async: bool
    """Whether `solve` runs on the loop; looked up once."""
    desk: Desk
    line: Line
    model: str
    provider: str
    scope: str
    generation: int
    defaults: Mapping[str, Any]
    """Sampling that a call may change."""
    fixed: Mapping[str, Any]
    """Sampling that the run's configuration sets; it wins over what a solver asks for."""
    threads: anyio.CapacityLimiter
    """For plain `solve`s: as many as there are open tasks."""
    folders: Path
    others: Mapping[str, Setting] = field(default_factory=dict)
    """The same for the solver's `other_models`, by the names that it gives them."""

    @cached_property
    def usual(self) -> Asking:
        """What a call asks for that has no sampling of its own; most have none."""
        return Asking.of(self.defaults, self.fixed)


@dataclass(slots=True)
class Ledger:
    """What one task used."""

    calls: int = 0
    cached_calls: int = 0
    requests: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: float | None = 0.0
    uncached_cost_usd: float | None = 0.0
    last: Completion | None = None
    cut: bool = False
    filtered: bool = False
    """Whether the last call met a filter before the model saw it."""
    folders: list[Path] = field(default_factory=list)

    def charge(self, served: Served) -> None:
        """Count one call."""
        completion = served.completion
        self.calls += 1
        self.cached_calls += not served.requests
        self.requests += served.requests
        self.input_tokens = _sum(self.input_tokens, completion.usage.input_tokens)
        self.output_tokens = _sum(self.output_tokens, completion.usage.output_tokens)
        self.uncached_cost_usd = _sum(self.uncached_cost_usd, completion.cost_usd)
        if served.requests:
            self.cost_usd = _sum(self.cost_usd, completion.cost_usd)
        self.last = completion
        self.cut = self.cut or completion.finish_reason == "length"


class TaskScope:
    """The door between a task's sessions and the calls: an `engine.ports.Caller`."""

    __slots__ = ("_drawn", "_others", "_setting", "index", "ledger", "repeat")

    def __init__(self, setting: Setting, index: int, repeat: int) -> None:
        self._setting = setting
        self.index = index
        self.repeat = repeat
        self.ledger = Ledger()
        self._drawn: dict[bytes, int] = {}
        self._others: dict[str, TaskScope] = {}

    async def complete(self, messages: Sequence[Mapping[str, Any]], sampling: Mapping[str, Any]) -> Completion:
        """The completion for these messages; see `engine.ports.Caller`."""
        setting = self._setting
        try:
            served = await setting.desk.complete(self._request(messages, sampling), setting.line)
        except CallError as error:
            self.ledger.filtered = error.fault is Fault.CONTENT_FILTER
            raise
        self.ledger.charge(served)
        return served.completion

    def folder(self, label: str) -> Path:
        """A new folder under the run's own; the label is only part of its name."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:40] or "session"
        self._setting.folders.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{self.index}-{name}-", dir=self._setting.folders))
        self.ledger.folders.append(path)
        return path

    def other(self, model: str) -> TaskScope:
        """The task's calls to another model, charged to a ledger of their own.

        Raises:
            SolverError: the solver does not name this model in its `other_models`.
        """
        if model not in self._setting.others:
            known = ", ".join(self._setting.others) or "none"
            raise SolverError(f"model {model!r} is none of the solver's other models", hint=f"it names: {known}")
        if model not in self._others:
            self._others[model] = TaskScope(self._setting.others[model], self.index, self.repeat)
            self._others[model].ledger.folders = self.ledger.folders
        return self._others[model]

    def used_by_others(self) -> dict[str, float]:
        """What other models used, as metrics of the task, whether it was bought now or before."""
        ledgers = [scope.ledger for scope in self._others.values()]
        if not ledgers:
            return {}
        used: dict[str, list[float | None]] = {
            "calls": [ledger.calls for ledger in ledgers],
            "input_tokens": [ledger.input_tokens for ledger in ledgers],
            "output_tokens": [ledger.output_tokens for ledger in ledgers],
            "cost_usd": [ledger.uncached_cost_usd for ledger in ledgers],
        }
        known = {name: [each for each in values if each is not None] for name, values in used.items()}
        return {f"other_models/{name}": float(sum(known[name])) for name in used if len(known[name]) == len(ledgers)}

    def _request(self, messages: Sequence[Mapping[str, Any]], sampling: Mapping[str, Any]) -> Request:
        setting = self._setting
        asking = Asking.of(setting.defaults, sampling, setting.fixed) if sampling else setting.usual
        encoded = encode_body({"model": setting.model, "messages": messages, **asking.sampling})
        request = request_hash(setting.desk.identity, encoded)
        nth = self._drawn.get(request, 0)
        self._drawn[request] = nth + 1
        key = draw_key(request, repeat=self.repeat, nth=nth, scope=self._draw_scope(shared=asking.draws_shared))
        return Request(
            key=key,
            provider=setting.provider,
            model=setting.model,
            body=encoded,
            max_output_tokens=asking.max_output_tokens,
            choices=asking.choices,
        )

    def _draw_scope(self, *, shared: bool) -> str:
        setting = self._setting
        if shared:  # a forced generation buys anew, once for all its tasks
            return f"{setting.scope}/{setting.generation}" if setting.generation else ""
        return f"{setting.scope}/{setting.generation}/{self.index}"


async def do_task(setting: Setting, key: TaskKey, datum_id: str, datum: dict[str, Any]) -> TaskResult | None:
    """How the task ended; None where it could not be done now and stays to be done.

    Raises:
        StorageError: nothing can be kept any more.
    """
    began = time.monotonic()
    scope = TaskScope(setting, key.datum_index, key.repeat)
    token = current_task.set(scope)
    error: Mapping[str, Any] | None = None
    score = Score(value=0.0, outcome=Outcome.ERRORED)
    try:
        given = await (setting.solver.solve(datum) if setting.solves_async else _in_a_thread(setting, datum))
        score = settle(verdict(given), scope.ledger)
        if setting.others:
            score = replace(score, metrics={**score.metrics, **scope.used_by_others()})
    except (NotStoredError, DrainError):
        return None
    except StorageError:
        raise
    except CallError as failure:
        error = describe(failure, type(setting.solver))
        if scope.ledger.filtered and failure.fault is Fault.CONTENT_FILTER:  # a reply that gives no answer
            score = Score(value=0.0, outcome=Outcome.REFUSED)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # a solver may raise anything, and what it waited for may have been cancelled
        if _is_being_cancelled():
            raise
        _stay()
        error = describe(failure, type(setting.solver))
    finally:
        current_task.reset(token)
        for folder in scope.ledger.folders:
            shutil.rmtree(folder, ignore_errors=True)
    return _result(key, datum_id, score, error, scope.ledger, time.monotonic() - began)


async def _in_a_thread(setting: Setting, datum: dict[str, Any]) -> Any:
    solve = setting.solver.solve
    home_loop.set(anyio.lowlevel.current_token())
    given = await anyio.to_thread.run_sync(solve, datum, limiter=setting.threads, abandon_on_cancel=True)
    return await given if inspect.isawaitable(given) else given


def _stay() -> None:
    """Take back a cancellation that the solver asked for itself."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _is_being_cancelled() -> bool:
    """Whether the run wants this task to end; a solver may have cancelled it by itself, which is its own error."""
    return anyio.current_effective_deadline() == -inf


def settle(score: Score, ledger: Ledger) -> Score:
    """The score with its outcome: a verdict without an answer is told by the last reply.

    A reply that was cut and could be read is judged; one that was cut and says nothing is `truncated`.
    """
    if score.outcome not in (None, Outcome.UNPARSED) or score.value > 0:
        return _with(score, score.outcome or (Outcome.PASSED if score.value == 1 else Outcome.SCORED))
    last = ledger.last
    read = score.outcome is None and score.answer is not None
    if last is None or read:
        return _with(score, score.outcome or Outcome.FAILED)
    if last.refusal or last.finish_reason == "content_filter":
        return _with(score, Outcome.REFUSED)
    if last.finish_reason == "length":
        return _with(score, Outcome.TRUNCATED)
    if not last.text.strip() and not last.tool_calls:
        return _with(score, Outcome.EMPTY)
    return _with(score, score.outcome or Outcome.FAILED)


def _result(
    key: TaskKey, datum_id: str, score: Score, error: Mapping[str, Any] | None, ledger: Ledger, duration_s: float
) -> TaskResult:
    outcome = score.outcome or Outcome.FAILED
    return TaskResult(
        key=key,
        datum_id=datum_id,
        outcome=outcome,
        score=score.value if outcome.counted else None,
        answer=score.answer,
        metrics=score.metrics,
        tags=score.tags,
        info=score.info,
        error=error,
        cut=ledger.cut,
        calls=ledger.calls,
        cached_calls=ledger.cached_calls,
        requests=ledger.requests,
        input_tokens=ledger.input_tokens,
        output_tokens=ledger.output_tokens,
        cost_usd=ledger.cost_usd,
        uncached_cost_usd=ledger.uncached_cost_usd,
        duration_s=duration_s,
        ended_at=time.time(),
    )


def _with(score: Score, outcome: Outcome) -> Score:
    value = score.value if outcome.answered else 0.0
    if score.outcome is outcome and score.value == value:
        return score
    return Score(
        value=value,
        outcome=outcome,
        answer=score.answer,
        metrics=score.metrics,
        tags=score.tags,
        info=score.info,
    )


def _plain(value: Any) -> Any:
    """0.0 as 0: two spellings of one number are one request."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sum(total: Number | None, more: Number | None) -> Number | None:
    """Both together; unknown where one is."""
    return None if total is None or more is None else total + more
