"""What a run has done so far, as counters that whoever shows them may read at any time."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from engine.calls.meter import Meter
from engine.errors import CallError, DatasetError, StorageError
from engine.records import Outcome, Tally, TaskResult

FEW_TASKS = 10
AWAY_AFTER_S = 5.0
"""So long must every request have failed, for the endpoint to be called away."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts of one run: `before` from earlier processes, the rest from this one."""

    run_id: str
    benchmark: str
    model: str
    tasks: int
    before: Tally = field(default_factory=Tally)
    reused: int = 0
    """Tasks that had their outcome when the run was opened."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    values: float = 0.0
    squares: float = 0.0
    fractional: int = 0
    meter: Meter = field(default_factory=Meter)
    """Requests sent and faults met, counted where they are sent."""
    without_request: int = 0
    """Tasks judged now that needed no request."""
    cost_usd: float | None = 0.0
    passed_over: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def begin(self) -> None:
        """Start the clock: the run's turn has come."""
        self.started = time.monotonic()

    def end(self) -> None:
        """Stop the clock: nothing of the run is open any more."""
        self.ended = time.monotonic()

    def add(self, result: TaskResult) -> None:
        """Count a task that has just been kept."""
        self.outcomes[result.outcome] += 1
        self.without_request += _needed_no_request(result)
        if self.cost_usd is not None:
            self.cost_usd = None if result.cost_usd is None else self.cost_usd + result.cost_usd
        if result.score is not None:
            self.values += result.score
            self.squares += result.score * result.score
            self.fractional += 0.0 < result.score < 1.0

    def broke(self, error: DatasetError) -> bool:
        """The dataset can be read no further; whether that ends a run that has sent something, and is kept."""
        if not self.requests:
            return False
        hint = f"what was done is kept; with the rows as they were, the same command goes on ({error.hint})"
        self.meter.halt = StorageError(f"the dataset can be read no further: {error.message}", hint=hint)
        return True

    @property
    def requests(self) -> int:
        """HTTP requests sent for this run in this process, failed ones too."""
        return self.meter.requests

    @property
    def in_flight(self) -> int:
        """Requests of this run that are with the provider now: sent, and neither kept nor failed."""
        meter = self.meter
        return max(0, meter.requests - meter.service.n - sum(meter.faults.values()))

    @property
    def done(self) -> int:
        """Tasks that have an outcome, from now and before."""
        return self.reused + sum(self.outcomes.values())

    @property
    def halted(self) -> bool:
        """Whether no request may leave for this run any more."""
        return self.meter.halt is not None

    @property
    def away_s(self) -> float:
        """Seconds since which the endpoint has been away; 0 where it is not known to be."""
        silent_s = self.meter.silent_s if self.ended is None else 0.0
        return silent_s if silent_s >= AWAY_AFTER_S else 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds from the run's turn in this process to the end of its last task, or until now."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def rate(self) -> float:
        """Tasks done here, a second."""
        elapsed = self.elapsed_s
        return sum(self.outcomes.values()) / elapsed if elapsed > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds to go at this rate; None while there is none."""
        return (self.tasks - self.done) / self.rate if self.rate > 0 else None

    @property
    def cost_forecast(self) -> float | None:
        """About what this process will have paid when the run is done, in USD; None while a few tasks say little."""
        done = sum(self.outcomes.values())
        if not self.cost_usd or done < FEW_TASKS:
            return None
        return self.cost_usd * (self.tasks - self.reused) / done

    def tally(self) -> Tally:
        """The score so far: what was done before and now."""
        outcomes = Counter(self.before.outcomes)
        outcomes.update(self.outcomes)
        return Tally(
            outcomes=outcomes,
            values=self.before.values + self.values,
            squares=self.before.squares + self.squares,
            fractional=self.before.fractional + self.fractional,
        )


def _needed_no_request(result: TaskResult) -> bool:
    """Whether all its replies were stored; a call that failed was asked for, and leaves no count of its requests."""
    if result.requests or (result.error is not None and result.error.get("code") == CallError.code):
        return False
    return result.score is not None or result.cached_calls > 0
