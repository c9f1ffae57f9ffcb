"""What the calls of a run did: requests, faults, and how long each part of a call took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import exp, log

from engine.errors import EngineError
from engine.records import Fault

SOME_FAILED = 8
"""Requests that failed one after the other, from which an endpoint may be away."""
ANSWERS = frozenset({Fault.RATE_LIMIT, Fault.CONTEXT_LENGTH, Fault.CONTENT_FILTER, Fault.NO_RECORDING})
"""Faults that only an endpoint that is there can tell of."""
STEP = 0.02
"""Relative width of a bucket: quantiles are right to 2 %."""
LEAST_S = 1e-5


@dataclass(slots=True)
class Histogram:
    """Seconds in buckets that grow by `STEP`: constant memory, whatever is counted."""

    counts: dict[int, int] = field(default_factory=dict)
    n: int = 0
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = int(log(seconds / LEAST_S) / STEP) if seconds > LEAST_S else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.n += 1
        self.total_s += seconds

    def quantile(self, share: float) -> float | None:
        """The seconds below which this share lies, to 2 %; None of nothing."""
        wanted, seen = share * self.n, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted and seen:
                return LEAST_S * exp((bucket + 0.5) * STEP)
        return None

    def summary(self) -> dict[str, float | int | None]:
        """n, mean and percentiles, in seconds."""
        mean = self.total_s / self.n if self.n else None
        quantiles = {f"p{share * 100:g}": self.quantile(share) for share in (0.5, 0.9, 0.95, 0.99)}
        return {"n": self.n, "mean": mean, **quantiles}


@dataclass(slots=True)
class Meter:
    """The calls of one run in this process.

    `queue` is the wait from the intent to call until the request left, back-off included; `service` the attempt
    that succeeded; `first_token` and `between_tokens` where replies were streamed; `total` from intent to end.
    """

    requests: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    last_fault: str = ""
    halt: EngineError | None = None
    postponed: int = 0
    """Tasks that stay to be done because the provider asks to wait longer than a call may take."""
    wait_asked: str = ""
    failed_in_row: int = 0
    """Requests that failed since the last reply; refusals are no failures, for they are answers."""
    failing_since: float = 0.0
    queue: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    first_token: Histogram = field(default_factory=Histogram)
    between_tokens: Histogram = field(default_factory=Histogram)
    total: Histogram = field(default_factory=Histogram)

    @property
    def silent_s(self) -> float:
        """Seconds in which every request failed, where there were some of them; else 0."""
        return time.monotonic() - self.failing_since if self.failed_in_row >= SOME_FAILED else 0.0

    def failed(self, fault: str, message: str) -> None:
        """Count a request that gave no usable reply."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
        self.last_fault = message
        if fault in ANSWERS:
            self.failed_in_row = 0
            return
        if not self.failed_in_row:
            self.failing_since = time.monotonic()
        self.failed_in_row += 1

    def replied(self, *, total_s: float, latency_s: float, ttft_s: float | None, output_tokens: int | None) -> None:
        """Count a call that ended with a reply."""
        self.failed_in_row = 0
        self.queue.add(max(0.0, total_s - latency_s))
        self.service.add(latency_s)
        self.total.add(total_s)
        if ttft_s is not None:
            self.first_token.add(ttft_s)
            if output_tokens and output_tokens > 1:
                self.between_tokens.add(max(0.0, latency_s - ttft_s) / (output_tokens - 1))

    def latency(self) -> dict[str, dict[str, float | int | None]]:
        """Seconds by part of a call; parts that were not seen are left out."""
        names = ("queue", "service", "first_token", "between_tokens", "total")
        return {name: getattr(self, name).summary() for name in names if getattr(self, name).n}
