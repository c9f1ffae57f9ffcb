"""What happens in an engine, as typed events for whoever listens."""

from __future__ import annotations

from dataclasses import dataclass

from engine.calls.gate import Change
from engine.forecast import Earlier
from engine.providers import Adapted, Uncounted
from engine.records import RunRecord, TaskResult
from engine.report import RunReport


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run is open: `tasks` are selected, `reused` of them have their outcome already."""

    record: RunRecord
    tasks: int
    reused: int


@dataclass(frozen=True, slots=True)
class BuysAgain:
    """A run is about to buy what an earlier generation of it has; see `engine.opening.Mode.generation`."""

    record: RunRecord
    earlier: Earlier


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task has an outcome, and it is durable."""

    result: TaskResult


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Nothing of the run is open any more."""

    report: RunReport


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing has ended for `seconds`; `waits_for` says what the engine waits for."""

    seconds: float
    waits_for: str


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """The store cannot be written for now; runs wait for it."""

    message: str


Event = RunStarted | BuysAgain | TaskEnded | RunEnded | Change | Adapted | Uncounted | Stalled | StoreTrouble
