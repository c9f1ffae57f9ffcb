"""What a model's tokens cost: bench.toml over the list of genai-prices over unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from engine.calls.prices import Price
from engine.config import Prices
from engine.records import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

CONFIGURED = "bench.toml"
_NOT_BY_THE_TOKEN = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredPrice(Price):
    """A price that depends on how long the prompt is; `input`, `output` and `cached_input` are the highest.

    `tiers` are `(start, price)`, ascending: a completion with more than `start` input tokens costs that price for
    all of its tokens. So a budget that looks at the highest is never overrun, and a completion is charged what the
    provider charges.
    """

    tiers: tuple[tuple[int, Price], ...] = ()

    def cost_usd(self, usage: Usage) -> float | None:
        """What the tokens of one completion cost; sums over completions would fall into too high a tier."""
        applying = [price for start, price in self.tiers if usage.input_tokens is None or usage.input_tokens > start]
        return (applying[-1] if applying else self.tiers[0][1]).cost_usd(usage)


def find_price(model: str, base_url: str, *, configured: Prices | None, day: date) -> tuple[Price, str, date] | None:
    """The price, where it is from, and the day whose price it is; None where nobody knows one.

    Prices that change within a day (off-peak hours) are the highest of that day. A model for which more is charged
    than input and output tokens has no price here: half a price would be a wrong one.

    Args:
        model: as the provider calls it.
        base_url: of the provider; models of made-up and recorded endpoints have none, and no price.
        configured: `prices` of the model in bench.toml, which are before any list.
        day: of the calls, by UTC; old runs keep the price of their day.

    Source: genai-prices, https://github.com/pydantic/genai-prices: found by base URL, then by model.
    """
    if configured is not None:
        price = Price(input=configured.input, output=configured.output, cached_input=configured.cached_input)
        return price, CONFIGURED, day
    if not base_url:
        return None
    from genai_prices import __version__
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider, info = get_snapshot().find_provider_model(model, None, None, base_url)
    except LookupError:
        return None
    prices = [_price(listed) for listed in _listed_on(info, day)]
    known = [price for price in prices if price is not None]
    if not known or len(known) < len(prices):
        return None
    source = f"genai-prices {__version__}: {provider.id}/{info.id}"
    return max(known, key=lambda price: price.input + price.output), source, day


def _listed_on(info: ModelInfo, day: date) -> list[ModelPrice]:
    """Every price that holds in some hour of the day."""
    hours = (datetime.combine(day, time(hour), tzinfo=UTC) for hour in range(24))
    listed = {id(price): price for price in map(info.get_prices, hours)}
    return list(listed.values())


def _price(listed: ModelPrice) -> Price | None:
    parts: Mapping[str, Any] = vars(listed)
    if any(parts.get(name) for name in _NOT_BY_THE_TOKEN):
        return None
    given = {"input": parts.get("input_mtok"), "output": parts.get("output_mtok")}
    if any(value is None for value in given.values()):
        return None
    if (cached := parts.get("cache_read_mtok")) is not None:
        given["cached_input"] = cached
    starts = sorted({0, *(tier.start for value in given.values() for tier in getattr(value, "tiers", ()))})
    tiers = tuple((start, Price(**{name: _at(value, start) for name, value in given.items()})) for start in starts)
    if len(tiers) == 1:
        return tiers[0][1]
    highest = {name: max(_at(value, start) for start in starts) for name, value in given.items()}
    return TieredPrice(**highest, tiers=tiers)


def _at(value: Any, start: int) -> float:
    """The price just above `start` input tokens, of one that may have tiers."""
    if not hasattr(value, "tiers"):
        return float(value)
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return float(reached[-1] if reached else value.base)
