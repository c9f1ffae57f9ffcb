"""The budget of a batch: money, tokens and time, reserved before a call and settled after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from engine.calls.prices import Price
from engine.errors import BudgetError
from engine.records import Reply, Usage

SEEN_ENOUGH = 20
"""Completions after which the tokens of a call are judged by those before."""
MARGIN = 1.2
UNBOUNDED_OUTPUT_TOKENS = 4096
"""What is set aside for a reply without a limit, until replies have been seen."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What is set aside for one call."""

    cost_usd: float
    tokens: int


class Budget:
    """Money and tokens of one batch in this process; a call that does not fit is never started.

    A call that does not fit waits for those in flight, which mostly cost less than was set aside for them.
    When none is in flight and it still does not fit, the budget is used up. A reply without usage counts as the
    most that it can have been: see `most_used`.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        uncounted: Callable[[str, str], None] | None = None,
    ) -> None:
        """Nothing is spent yet.

        Args:
            max_cost_usd: the limit of money; none without.
            max_tokens: the limit of input and output tokens; none without.
            uncounted: hears once of each provider and model whose replies do not tell their tokens.
        """
        self.max_cost_usd = max_cost_usd
        self.max_tokens = max_tokens
        self.spent_usd = 0.0
        self.used_tokens = 0
        self.halt: BudgetError | None = None
        self._held_usd = 0.0
        self._held_tokens = 0
        self._in_flight = 0
        self._uncounted = uncounted
        self._told: set[tuple[str, str]] = set()
        self._settled = anyio.Event()
        self._seen = 0
        self._tokens_a_byte = 0.0
        self._longest_output = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to reserve."""
        return self.max_cost_usd is not None or self.max_tokens is not None

    def stop(self, error: BudgetError) -> None:
        """Let nothing more be bought, and wake those that wait."""
        self.halt = self.halt or error
        self._wake()

    async def reserve(
        self, body: bytes, max_output_tokens: int | None, price: Price | None, *, choices: int = 1
    ) -> Reserved:
        """Set aside what the call may cost; `choices` replies are each as long as they may be.

        Raises:
            BudgetError: it does not fit, and nothing is in flight that could make room.
        """
        while True:
            if self.halt is not None:
                raise self.halt
            wanted, certain = self._bound(body, max_output_tokens, price, choices)
            if self._fits(wanted) or (not certain and self._in_flight == 0 and not self._seen):
                self._held_usd += wanted.cost_usd
                self._held_tokens += wanted.tokens
                self._in_flight += 1
                return wanted
            if self._in_flight == 0:
                self.stop(self._used_up(wanted))
                continue
            await self._settled.wait()

    def settle(self, reserved: Reserved, *, body: bytes, reply: Reply | None, price: Price | None) -> None:
        """Give back what was set aside, and count what was used: `reply` None where the call failed."""
        self._held_usd -= reserved.cost_usd
        self._held_tokens -= reserved.tokens
        self._in_flight -= 1
        if reply is not None:
            used = most_used(body, reply)
            read, written = used.input_tokens or 0, used.output_tokens or 0
            self.spent_usd += (price.cost_usd(used) if price is not None else None) or 0.0
            self.used_tokens += read + written
            self._seen += 1
            self._tokens_a_byte = max(self._tokens_a_byte, read / max(1, len(body)))
            self._longest_output = max(self._longest_output, written)
        self._wake()

    def hears_nothing_of(self, provider: str, model: str) -> None:
        """A reply of this model did not tell its tokens."""
        if (provider, model) not in self._told:
            self._told.add((provider, model))
            if self._uncounted is not None:
                self._uncounted(provider, model)

    def _wake(self) -> None:
        self._settled.set()
        self._settled = anyio.Event()

    def _bound(
        self, body: bytes, max_output_tokens: int | None, price: Price | None, choices: int
    ) -> tuple[Reserved, bool]:
        """The most that the call can cost, and whether that is certain."""
        ratio = min(1.0, self._tokens_a_byte * MARGIN) if self._seen >= SEEN_ENOUGH else 1.0
        inputs = int(len(body) * ratio) + 1  # a token is a byte at least
        outputs = max_output_tokens
        if outputs is None:
            outputs = int(self._longest_output * MARGIN) + 1 if self._seen else UNBOUNDED_OUTPUT_TOKENS
        outputs *= max(1, choices)
        cost = (price.cost_usd(Usage(inputs, outputs)) if price is not None else None) or 0.0
        return Reserved(cost, inputs + outputs), max_output_tokens is not None

    def _fits(self, wanted: Reserved) -> bool:
        money = self.max_cost_usd is None or self.spent_usd + self._held_usd + wanted.cost_usd <= self.max_cost_usd
        tokens = self.max_tokens is None or self.used_tokens + self._held_tokens + wanted.tokens <= self.max_tokens
        return money and tokens

    def _used_up(self, wanted: Reserved) -> BudgetError:
        most = "at most " if self._told else ""
        if self.max_cost_usd is not None and self.spent_usd + wanted.cost_usd > self.max_cost_usd:
            return BudgetError(
                f"the budget of ${self.max_cost_usd:g} is reached: {most}${self.spent_usd:.4f} is spent, "
                f"the next call may cost ${wanted.cost_usd:.4f}",
                hint="everything bought is kept; the same command goes on with a new budget",
            )
        return BudgetError(
            f"the budget of {self.max_tokens} tokens is reached: {most}{self.used_tokens} are used, "
            f"the next call may need {wanted.tokens}",
            hint="everything bought is kept; the same command goes on with a new budget",
        )


def is_told(usage: Usage) -> bool:
    """Whether the endpoint said how many tokens a call took."""
    return usage.input_tokens is not None and usage.output_tokens is not None


def most_used(body: bytes, reply: Reply) -> Usage:
    """The tokens of a call; where the endpoint does not tell them, the most that they can have been.

    A token is a byte at least, so it is the bytes of the request and of what came back. Thoughts that are not
    shown cannot be counted.
    """
    usage = reply.usage
    if is_told(usage):
        return usage
    texts = [*(reply.choices or (reply.text,)), reply.refusal, reply.reasoning]
    texts += [json.dumps(dict(call), ensure_ascii=False) for call in reply.tool_calls]
    written = sum(len(text.encode(errors="replace")) for text in texts) + 1  # one for its end
    return replace(
        usage,
        input_tokens=len(body) if usage.input_tokens is None else usage.input_tokens,
        output_tokens=written if usage.output_tokens is None else usage.output_tokens,
    )
