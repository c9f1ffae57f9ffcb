"""What a completion costs: tokens times prices, in USD."""

from __future__ import annotations

from dataclasses import dataclass

from engine.records import Usage

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens; cached input tokens cost `cached_input` where that is given."""

    input: float
    output: float
    cached_input: float | None = None

    def cost_usd(self, usage: Usage) -> float | None:
        """What these tokens cost; None where the endpoint did not say how many there were."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached = usage.cached_tokens or 0 if self.cached_input is not None else 0
        # More cached tokens than input tokens: this gateway counts them apart, and the others are all paid in full.
        rest = usage.input_tokens - cached if cached <= usage.input_tokens else usage.input_tokens
        total = rest * self.input + usage.output_tokens * self.output
        return (total + cached * (self.cached_input or 0.0)) / TOKENS_PER_PRICE
