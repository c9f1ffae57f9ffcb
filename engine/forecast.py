"""What a run would still do, and about what it would cost, judged by stored tasks of the same benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.calls.prices import Price
from engine.records import RunRecord, Tally, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier generation of a run, in which `tasks` of those that are still to do have their outcome."""

    run_id: str
    generation: int
    tasks: int

    def sentence(self, name: str) -> str:
        """What a run is about to buy again, and how not to."""
        those = "1 task" if self.tasks == 1 else f"{self.tasks} tasks"
        return (
            f"{name}: {those} to do were done before --force, in run {self.run_id}, and will be bought again; "
            f"--generation {self.generation} goes on with that run"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Tasks of a run, of which `remaining` are to be done; calls, cost and duration are estimates for those.

    The estimates are means of `basis` stored tasks of this benchmark; None where there are none or the price
    is unknown.
    """

    record: RunRecord
    model: str
    tasks: int
    remaining: int
    earlier: Earlier | None = None
    """The earlier generation that has most of what remains, where one has some of it."""
    sends: bool = True
    """Whether calls may be made; without them, what is stored is scored."""
    basis: int = 0
    score: float | None = None
    """That of the stored tasks, a fraction; None where there are none."""
    calls: float | None = None
    cost_usd: float | None = None
    duration_s: float | None = None

    @property
    def data(self) -> int:
        """Data of the run: tasks less their repeats."""
        return self.tasks // self.record.repeats

    def as_dict(self) -> dict[str, Any]:
        """The forecast as `--json` shows it."""
        return {
            "run_id": self.record.run_id,
            "benchmark": self.record.benchmark,
            "model": self.model,
            "tasks": self.tasks,
            "stored": self.tasks - self.remaining,
            "remaining": self.remaining,
            "stored_earlier": self.earlier.tasks if self.earlier else 0,
            "calls": self.calls,
            "cost_usd": self.cost_usd,
            "duration_s": self.duration_s,
            "basis": self.basis,
        }

    def sentence(self) -> str:
        """The forecast as a person reads it."""
        name = f"{self.record.benchmark} × {self.model}"
        stored = self.tasks - self.remaining
        share = f"{self.tasks} tasks, {stored} stored ({100 * stored / self.tasks:.0f} %), {self.remaining} to do"
        if not self.sends:
            return f"{name}: {share} from what is stored, no call is made"
        if not self.remaining:
            return f"{name}: {share}, costs nothing"
        calls = f"about {self.calls:.0f} calls" if self.calls is not None else f"at least {self.remaining} calls"
        cost = "cost unknown" if self.cost_usd is None else f"about ${self.cost_usd:.4f}"
        takes = "" if self.duration_s is None else f", about {clock(self.duration_s)}"
        return f"{name}: {share}, {calls}, {cost}{takes}"


def clock(seconds: float) -> str:
    """`1:05` minutes, or `2:00:00` hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def forecast(  # noqa: PLR0913 - keyword-only facts about one run
    record: RunRecord,
    model: str,
    *,
    tasks: int,
    remaining: int,
    before: Tally | None,
    price: Price | None,
    sends: bool = True,
    task_s: float | None = None,
    open_tasks: int = 1,
) -> Forecast:
    """The forecast by means over `before`, the finished tasks of the nearest stored run.

    `task_s` is how long a task of it was open on average, `open_tasks` how many are open at a time.
    """
    if not sends:
        return Forecast(
            record=record, model=model, tasks=tasks, remaining=remaining, sends=False, calls=0.0, cost_usd=0.0
        )
    if before is None or not before.counted or not before.calls:
        return Forecast(record=record, model=model, tasks=tasks, remaining=remaining)
    scale = remaining / before.finished
    cost = None
    if price is not None and before.input_tokens is not None and before.output_tokens is not None:
        usage = Usage(round(before.input_tokens * scale), round(before.output_tokens * scale))
        cost = price.cost_usd(usage)
    return Forecast(
        record=record,
        model=model,
        tasks=tasks,
        remaining=remaining,
        basis=before.finished,
        score=before.score,
        calls=before.calls * scale,
        cost_usd=cost,
        duration_s=None if task_s is None else task_s * remaining / max(1, min(open_tasks, remaining)),
    )
