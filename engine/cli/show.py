"""How a run is told to a person: the lines at its end."""

from __future__ import annotations

from collections.abc import Sequence

from engine.calls.meter import Histogram
from engine.records import Outcome
from engine.report import RunReport

NOT_JUDGED = (Outcome.REFUSED, Outcome.TRUNCATED, Outcome.EMPTY, Outcome.UNPARSED, Outcome.ERRORED, Outcome.SKIPPED)
SMALLEST_USD = 0.01
SPOILING_S = 0.05
SPOILING_SHARE = 0.1
"""Of the median latency: a loop that is later than this tells of itself and not of the endpoint."""


def final_lines(report: RunReport, *, named: bool) -> list[str]:
    """What a run cost, its interval with its attrition, and the seed's final score, a line each.

    Args:
        report: the run.
        named: whether the last line says which run it is.
    """
    name = report.name
    lines = [f"{name}  {cost_line(report)}"]
    if report.latency or report.faults:
        lines.append(f"  {latency_line(report)}")
    if report.recorded:
        lines.append(f"  recorded as {report.recorded}")
    return [*lines, f"  {interval_line(report)}", final_score(report, name if named else "")]


def latency_line(report: RunReport) -> str:
    """Median and 99th percentile of each part of the calls made now, and what went wrong on the way."""
    parts = []
    for name, summary in report.latency.items():
        p50, p99 = summary["p50"], summary["p99"]
        if p50 is not None and p99 is not None and name in ("queue", "first_token", "service"):
            parts.append(f"{name.replace('_', ' ')} {seconds(p50)} (p99 {seconds(p99)})")
    faults = ", ".join(f"{count} {name}" for name, count in sorted(report.faults.items()))
    return " · ".join([*parts, f"retried or failed: {faults}"] if faults else parts)


def lag_line(lag: Histogram, reports: Sequence[RunReport]) -> str:
    """A warning where the loop was so late that latencies are not those of the endpoint; empty where it was not."""
    late_s = lag.quantile(0.95) or 0.0
    medians = [report.latency["service"]["p50"] or 0.0 for report in reports if "service" in report.latency]
    if not medians or late_s < SPOILING_S or late_s < SPOILING_SHARE * min(medians):
        return ""
    return (
        f"latencies are spoilt: this machine was up to {seconds(late_s)} late in one of 20 looks; "
        "lower max_concurrent, or run where less else runs"
    )


def seconds(value: float) -> str:
    """Seconds, or milliseconds where they are few."""
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def final_score(report: RunReport, name: str = "") -> str:
    """`Final score: 131/500 - 26.20%`: points over the tasks that have a value; of an unfinished run, so far."""
    points = f"{report.points:.2f}".rstrip("0").rstrip(".")
    share = "–" if report.score is None else f"{100 * report.score:.2f}%"
    return f"{'Final score' if report.complete else 'Score so far'}: {points}/{report.counted} - {share}" + (
        f"  {name}" if name else ""
    )


def interval_line(report: RunReport) -> str:
    """The 95 % interval, n (the tasks with a score), and every way in which tasks did not come to a verdict."""
    parts = []
    if report.score is not None and report.interval is not None:
        parts.append(f"{percent(report.score)}  95 % interval {interval(report)}")
    parts.append(f"n {report.n}" if report.counted == report.n else f"n {report.counted} of {report.n} tasks")
    parts += [f"{report.outcomes.get(outcome, 0)} {outcome.value}" for outcome in NOT_JUDGED]
    if report.cut:
        parts.append(
            f"{report.cut} cut but judged" if not report.outcomes.get(Outcome.TRUNCATED) else f"{report.cut} cut"
        )
    if report.score_answered is not None and report.score_answered != report.score:
        parts.append(f"{percent(report.score_answered)} of answered")
    if report.unscored:
        parts.append(f"{percent(report.score_low)} to {percent(report.score_high)} were they wrong or right")
    return " · ".join(parts)


def cost_line(report: RunReport) -> str:
    """What was paid now and as if nothing had been stored, requests, tokens and time."""
    now, whole = usd(report.cost_usd), usd(report.uncached_cost_usd)
    cost = f"{now} paid now, {whole} uncached"
    if report.made_up:
        cost = f"nothing paid (at its prices {now} now, {whole} uncached)"
    return (
        f"{cost} · {counted(report.requests, 'request')} · {report.cached} cached · "
        f"{tokens(report.input_tokens, report.output_tokens)} · {report.duration_s:.1f} s"
    )


def interval(report: RunReport) -> str:
    """`93.69 to 96.36`, in percent."""
    assert report.interval is not None
    return f"{100 * report.interval.low:.2f} to {100 * report.interval.high:.2f}"


def percent(share: float) -> str:
    """A fraction as a person reads it."""
    return f"{100 * share:.2f} %"


def usd(cost: float | None) -> str:
    """A cost, with more digits where it is small; an unknown one is a dash."""
    if cost is None:
        return "$–"
    return f"${cost:.2f}" if cost == 0 or cost >= SMALLEST_USD else f"${cost:.6f}"


def tokens(read: int | None, written: int | None) -> str:
    """`12 tokens in, 3 out`; what the endpoint did not tell is a dash."""
    into = "– tokens" if read is None else counted(read, "token")
    return f"{into} in, {'–' if written is None else written} out"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
