"""Every metric of a finished run, each with its interval, its standard error and what it is made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.evaluations.evaluation import ATTRITION, COST, COUNT, FRACTION, SECONDS, TIME, TOKENS, USD, Metric
from engine.records import Outcome, Tally, TaskResult
from engine.report import RunReport
from engine.reserved import FIGURES, OWN, own_names
from engine.statistics import ClusteredMean, clustered_error, quantile_interval, wilson

REPLIED_WITHOUT_ANSWER = (Outcome.REFUSED, Outcome.TRUNCATED, Outcome.EMPTY, Outcome.UNPARSED)
QUANTILES = (("p50", 0.5), ("p95", 0.95))


@dataclass(slots=True)
class Figures:
    """Sums over the tasks of a run, filled datum by datum in the order of the data."""

    means: dict[str, ClusteredMean] = field(default_factory=dict)
    """By what tasks measured and by the groups that they count for."""
    shares: set[str] = field(default_factory=set)
    """Those of the means that are scores of a group, or measures that stay within 0-1."""
    answered: ClusteredMean = field(default_factory=ClusteredMean)
    """The scores of tasks that the model answered."""
    costs: ClusteredMean = field(default_factory=ClusteredMean)
    output_tokens: ClusteredMean = field(default_factory=ClusteredMean)
    durations_s: list[float] = field(default_factory=list)

    def add(self, results: Sequence[TaskResult]) -> None:
        """Count all tasks of one datum."""
        found: dict[str, list[float]] = {}
        for result in results:
            if result.score is not None:
                for name, value in {**result.metrics, **dict.fromkeys(result.tags, result.score)}.items():
                    found.setdefault(name, []).append(float(value))
            if result.requests and not result.cached_calls:
                self.durations_s.append(result.duration_s)
        for name, values in found.items():
            fits = all(0.0 <= value <= 1.0 for value in values)
            if name not in self.means:
                self.means[name] = ClusteredMean()
                self.shares.add(name)
            if not fits:
                self.shares.discard(name)
            self.means[name].add(values)
        self._add_totals(results)

    def _add_totals(self, results: Sequence[TaskResult]) -> None:
        if answered := [result.score for result in results if result.outcome.answered and result.score is not None]:
            self.answered.add(answered)
        counted = [result for result in results if result.outcome.counted]
        if counted:
            written = [float(result.output_tokens) for result in counted if result.output_tokens is not None]
            if len(written) == len(counted):
                self.output_tokens.add(written)
        costs = [result.uncached_cost_usd for result in counted]
        known = [cost for cost in costs if cost is not None]
        if known and len(known) == len(costs):
            self.costs.add(known)


def run_figures(name: str, report: RunReport, tally: Tally, figures: Figures) -> list[Metric]:
    """The metrics of a run, the score first; all names begin with `name`.

    Units: `fraction` for scores and shares, `usd`, `s`, `tokens`; empty for what a solver computed itself.
    """
    return [
        *_scores(name, report, tally, figures),
        *_attrition(name, report),
        *_costs(name, report, tally, figures),
        *_times(name, report, figures),
    ]


def _scores(name: str, report: RunReport, tally: Tally, figures: Figures) -> Iterator[Metric]:
    """The score, the means of what tasks measured, and what the solver computed itself.

    Of the last nobody knows what they are made from: they have no n and no interval. Where all of them are in 0-1
    they are fractions; a solver that counts in percent, as the seed's do, has some beyond.
    """
    if report.score is not None and not isinstance(report.metrics.get(name), int | float):
        yield _score(name, report, tally)
    called = recorded_names(name, report.metrics)
    numbers = {m: float(v) for m, v in report.metrics.items() if isinstance(v, int | float) and math.isfinite(v)}
    means = {m: _made_here(m.removeprefix(f"{name}/"), figures) for m in numbers}
    known = {m: made for m, made in means.items() if made and math.isclose(made[0].mean, numbers[m], rel_tol=1e-9)}
    own = [value for m, value in numbers.items() if m not in known and m != name]
    unit = FRACTION if all(0.0 <= value <= 1.0 for value in own) else ""
    for metric, value in numbers.items():
        if metric == name and value == tally.score:
            yield _score(name, report, tally)
        elif metric in known:
            mean, share = known[metric]
            yield _mean(called.get(metric, metric), mean, share=share)
        else:
            yield Metric(name=called.get(metric, metric), value=value, unit=unit, higher_is_better=True)
    if figures.answered.counted:
        answered = _mean(f"{name}/score_answered", figures.answered, share=True)
        yield replace(answered, tags=ATTRITION)


def recorded_names(name: str, metrics: Iterable[str]) -> dict[str, str]:
    """What each metric of a run is recorded as: one with the name of a figure of ours as `gsm8k/own_n`."""
    head = f"{name}/"
    called = own_names([metric.removeprefix(head) for metric in metrics if metric.startswith(head)], FIGURES)
    return {head + old: head + new for old, new in called.items()}


def renaming(name: str, metrics: Iterable[str]) -> str:
    """A sentence about metrics that are recorded under another name than their solver's; empty where none is."""
    pairs = [f"{old!r} is recorded as {new!r}" for old, new in recorded_names(name, metrics).items() if old != new]
    if not pairs:
        return ""
    return f"{', '.join(pairs)}: the engine records a figure of that name itself; call yours otherwise in the solver"


def _made_here(name: str, figures: Figures) -> tuple[ClusteredMean, bool] | None:
    """The mean that the engine made itself of what tasks gave this name, and whether it is one of shares."""
    given = name if name in figures.means else name.removeprefix(OWN)
    return (figures.means[given], given in figures.shares) if given in figures.means else None


def _score(name: str, report: RunReport, tally: Tally) -> Metric:
    return Metric(
        name=name,
        value=report.score,
        ci_low=report.interval.low if report.interval else None,
        ci_high=report.interval.high if report.interval else None,
        stderr=clustered_error(tally),
        n=report.counted,
        unit=FRACTION,
        higher_is_better=True,
    )


def _mean(name: str, mean: ClusteredMean, *, share: bool, unit: str = "", better: bool | None = True) -> Metric:
    interval = mean.interval(share=share)
    return Metric(
        name=name,
        value=mean.mean,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        stderr=mean.error,
        n=mean.counted,
        unit=FRACTION if share else unit,
        higher_is_better=better,
    )


def _attrition(name: str, report: RunReport) -> Iterator[Metric]:
    groups: Mapping[str, Sequence[Outcome]] = {
        "unscored": (Outcome.ERRORED, Outcome.SKIPPED),
        "unanswered": REPLIED_WITHOUT_ANSWER,
        **{outcome.value: (outcome,) for outcome in (*REPLIED_WITHOUT_ANSWER, Outcome.ERRORED, Outcome.SKIPPED)},
    }
    for part, outcomes in groups.items():
        count = sum(report.outcomes.get(outcome, 0) for outcome in outcomes)
        bounds = wilson(count, report.n)
        assert bounds is not None
        yield Metric(
            name=f"{name}/{part}",
            value=count / report.n,
            ci_low=bounds.low,
            ci_high=bounds.high,
            n=report.n,
            unit=FRACTION,
            higher_is_better=False,
            tags=ATTRITION,
        )
    yield Metric(name=f"{name}/n", value=float(report.n), n=report.n, unit=COUNT, tags=ATTRITION)


def _costs(name: str, report: RunReport, tally: Tally, figures: Figures) -> Iterator[Metric]:
    def total(part: str, value: float | None, unit: str) -> Metric:
        return Metric(
            name=f"{name}/{part}",
            value=None if value is None else float(value),
            n=tally.finished,
            unit=unit,
            higher_is_better=False,
            tags=COST,
        )

    yield total("cost_usd", tally.uncached_cost_usd, USD)
    yield total("paid_usd", tally.cost_usd, USD)
    yield total("input_tokens", tally.input_tokens, TOKENS)
    yield total("output_tokens", tally.output_tokens, TOKENS)
    for part, mean, unit in (
        ("cost_per_task_usd", figures.costs, USD),
        ("output_tokens_per_task", figures.output_tokens, TOKENS),
    ):
        if mean.counted == report.counted > 0:
            found = _mean(f"{name}/{part}", mean, share=False, unit=unit, better=False)
            yield replace(found, tags=COST)
    if tally.uncached_cost_usd is not None and tally.values > 0:
        yield total("cost_per_correct_usd", tally.uncached_cost_usd / tally.values, USD)


def _times(name: str, report: RunReport, figures: Figures) -> Iterator[Metric]:
    service = report.latency.get("service", {})
    for part, share in QUANTILES:
        if figures.durations_s:
            middle, bounds = quantile_interval(figures.durations_s, share)
            yield Metric(
                name=f"{name}/duration_{part}_s",
                value=middle,
                ci_low=bounds.low,
                ci_high=bounds.high,
                n=len(figures.durations_s),
                unit=SECONDS,
                higher_is_better=False,
                tags=TIME,
            )
        value, n = service.get(part), service.get("n")
        if value is not None and n:
            yield Metric(
                name=f"{name}/latency_{part}_s",
                value=float(value),
                n=int(n),
                unit=SECONDS,
                higher_is_better=False,
                tags=TIME,
            )
