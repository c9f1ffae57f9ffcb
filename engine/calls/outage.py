"""When an endpoint has stopped answering: calls given up in a row, with no answer in between."""

from __future__ import annotations

SILENT_AFTER = 200
"""Calls given up in a row, after which requests leave one at a time, to see whether the endpoint is back."""
USELESS_AFTER = 100
"""Calls in a row that failed for what no retry mends, after which the rest is taken to fail as well."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0


class Outage:
    """Tells an endpoint that is away from requests that fail for themselves.

    A short failure costs retries and nothing else. Where calls are given up one after the other, more of them would
    only be burnt: so the endpoint is asked now and then, by one request, until it answers or `patience_s` are over.
    """

    def __init__(self, *, patience_s: float) -> None:
        self.patience_s = patience_s
        self._row = 0
        self._useless = 0
        self._since: float | None = None
        self._wait_s = FIRST_WAIT_S
        self._waits_until = 0.0

    @property
    def is_on(self) -> bool:
        """Whether requests should leave one at a time."""
        return self._since is not None

    @property
    def is_useless(self) -> bool:
        """Whether so many calls in a row failed for good that the rest would, too."""
        return self._useless >= USELESS_AFTER

    def is_over_patience(self, now: float) -> bool:
        """Whether it has lasted longer than anybody should wait."""
        return self._since is not None and now - self._since >= self.patience_s

    def answered(self) -> bool:
        """A request was answered; whether that ends an outage."""
        was_on = self.is_on
        if self._row or self._useless or was_on:
            self._row = self._useless = 0
            self._since, self._wait_s = None, FIRST_WAIT_S
        return was_on

    def gave_up(self, now: float, *, may_pass: bool) -> None:
        """A call has ended without an answer."""
        if not may_pass:
            self._useless += 1
            return
        self._row += 1
        if self._row >= SILENT_AFTER and self._since is None:
            self._since = now

    def wait_s(self, now: float, *, sent_at: float) -> float:
        """Seconds until the next request may leave, after one that left at `sent_at` has failed in an outage."""
        if sent_at >= self._waits_until:
            self._waits_until = now + self._wait_s
            self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)
        return max(0.0, self._waits_until - now)
