"""What a run came to: score, interval, attrition, cost, and why it ended early; as the library and `--json` have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError
from engine.progress import Progress
from engine.records import Outcome, RunRecord, Selection, Tally
from engine.statistics import Interval, score_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run, when nothing of it is open any more.

    The outcomes sum to `n`; tasks without one are `skipped`. `score` is the mean value over n less errored and
    skipped, a fraction. `score_answered` is that over tasks that the model answered; `score_low` and
    `score_high` count every errored and skipped task as 0 and as 1. `cached` counts tasks that needed no
    request in this process, `requests`, `cost_usd` and `duration_s` are of this process, tokens and
    `uncached_cost_usd` of all n tasks as if nothing had been stored. Unknown tokens and costs are None.
    """

    run_id: str
    benchmark: str
    dataset: str
    subset: str
    solver: str
    provider: str
    model: str
    agent: str
    n: int
    outcomes: Mapping[Outcome, int]
    score: float | None
    interval: Interval | None
    score_answered: float | None
    score_low: float
    score_high: float
    points: float
    cut: int
    cached: int
    requests: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    uncached_cost_usd: float | None
    duration_s: float
    made_up: bool = False
    """Whether the provider is simulated or recorded: costs are at its prices, and nothing was paid."""
    latency: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    """Seconds of calls made in this process, by part: n, mean and percentiles."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Requests of this process that gave no usable reply, by class."""
    adapted: Sequence[str] = ()
    """What was left out of or renamed in requests, because the model refuses it; a sentence each."""
    recorded: str = ""
    """The registry entry that the run was recorded as; empty where it was not."""
    behind: str = ""
    """What the table goes on showing where the recorded one is of less, as a sentence; empty where it shows this."""
    renamed: str = ""
    """Which metrics of the solver are recorded under other names, as a sentence; empty where none is."""
    postponed: int = 0
    """Tasks that stay to be done, as `wait_asked` says."""
    wait_asked: str = ""
    halt: EngineError | None = None
    """Why the run ended early, where it did: no key, no quota, no budget."""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counted(self) -> int:
        """Tasks that have a value."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.counted)

    @property
    def name(self) -> str:
        """Which run it is, for people: benchmark and model with its provider."""
        return f"{self.benchmark} × {self.provider}::{self.model}"

    @property
    def complete(self) -> bool:
        """Whether each selected task has an outcome."""
        return not self.outcomes.get(Outcome.SKIPPED, 0)

    @property
    def unscored(self) -> int:
        """Tasks without a score: errored and skipped."""
        return self.n - self.counted

    def as_dict(self) -> dict[str, Any]:
        """The run as `--json` and the library's users see it."""
        return {
            "run_id": self.run_id,
            "benchmark": self.benchmark,
            "dataset": self.dataset,
            "subset": self.subset,
            "solver": self.solver,
            "provider": self.provider,
            "model": self.model,
            "agent": self.agent,
            "n": self.n,
            **{outcome.value: self.outcomes.get(outcome, 0) for outcome in Outcome},
            "score": self.score,
            "ci_low": self.interval.low if self.interval else None,
            "ci_high": self.interval.high if self.interval else None,
            "score_answered": self.score_answered,
            "score_low": self.score_low,
            "score_high": self.score_high,
            "cut": self.cut,
            "cached": self.cached,
            "requests": self.requests,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "uncached_cost_usd": self.uncached_cost_usd,
            "made_up": self.made_up,
            "duration_s": round(self.duration_s, 3),
            "latency": {name: dict(each) for name, each in self.latency.items()},
            "faults": dict(self.faults),
            "recorded": self.recorded or None,
            "adapted": list(self.adapted),
            "postponed": self.postponed,
            "halted": self.halt.message if self.halt else None,
            "metrics": dict(self.metrics),
        }


def report(
    record: RunRecord,
    selection: Selection,
    tally: Tally,
    progress: Progress,
    *,
    metrics: Mapping[str, Any],
    adapted: Sequence[str] = (),
    made_up: bool = False,
) -> RunReport:
    """The report of a run from what the store holds of it."""
    n = selection.size
    outcomes = dict(tally.outcomes)
    outcomes[Outcome.SKIPPED] = outcomes.get(Outcome.SKIPPED, 0) + max(0, n - tally.finished)
    answered = sum(count for outcome, count in outcomes.items() if outcome.answered)
    return RunReport(
        run_id=record.run_id,
        benchmark=record.benchmark,
        dataset=record.dataset,
        subset=record.subset,
        solver=record.solver,
        provider=record.provider,
        model=record.model,
        agent=record.agent,
        n=n,
        outcomes=outcomes,
        score=tally.score,
        interval=score_interval(tally, selection.repeats),
        score_answered=tally.values / answered if answered else None,
        score_low=tally.values / n,
        score_high=(tally.values + n - tally.counted) / n,
        points=tally.values,
        cut=tally.cut,
        cached=progress.reused + progress.without_request,
        requests=progress.requests,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        cost_usd=progress.cost_usd,
        uncached_cost_usd=tally.uncached_cost_usd,
        made_up=made_up,
        duration_s=progress.elapsed_s,
        latency=progress.meter.latency(),
        faults=dict(progress.meter.faults),
        adapted=adapted,
        postponed=progress.meter.postponed,
        wait_asked=progress.meter.wait_asked,
        halt=progress.meter.halt,
        metrics=metrics,
    )
