"""Prices: what bench.toml says comes first, then the list of the provider's own address, and unknown is never 0."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls.prices import Price
from engine.config import Prices
from engine.presets import reachable_presets
from engine.pricing import CONFIGURED, TieredPrice, find_price
from engine.records import Usage
from tests.support import ROOT

OPENAI = "https://api.openai.com/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
DAY = date(2026, 11, 1)


def test_the_price_in_bench_toml_comes_before_any_list():
    configured = Prices(input=7.0, output=8.0, cached_input=0.5)
    assert find_price("gpt-4o", OPENAI, configured=configured, day=DAY) == (
        Price(input=7.0, output=8.0, cached_input=0.5),
        CONFIGURED,
        DAY,
    )


def test_an_old_run_keeps_the_price_of_its_day():
    then = find_price("o3", OPENAI, configured=None, day=date(2024, 6, 1))
    now = find_price("o3", OPENAI, configured=None, day=DAY)
    assert then is not None
    assert now is not None
    assert (then[0].input, now[0].input) == (10.0, 2.0)
    assert (then[2], now[2]) == (date(2024, 6, 1), DAY)


def test_the_source_names_the_list_its_version_and_the_model_that_was_found():
    found = find_price("gpt-4o-2024-08-06", OPENAI, configured=None, day=DAY)
    assert found is not None
    assert found[1].startswith("genai-prices 0.")
    assert found[1].endswith(": openai/gpt-4o")


def test_a_model_costs_what_its_provider_takes_and_not_what_its_maker_takes():
    own = find_price("gpt-4o", OPENAI, configured=None, day=DAY)
    azure = find_price("gpt-4o", "https://mine.openai.azure.com/openai/v1", configured=None, day=DAY)
    assert own is not None
    assert azure is not None
    assert (own[1], azure[1]) != (azure[1], own[1])
    assert "azure/" in azure[1]


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("gpt-4o", ""),
        ("gpt-4o", "http://localhost:8000/v1"),
        ("gpt-4o", "https://api.example.com/v1"),
        ("no-such-model-9000", OPENAI),
        ("sonar", "https://api.perplexity.ai"),
        ("", OPENAI),
    ],
)
def test_a_price_that_nobody_knows_is_unknown(model, base_url):
    assert find_price(model, base_url, configured=None, day=DAY) is None


def test_a_long_prompt_costs_its_tier_and_a_budget_sees_the_highest():
    found = find_price("gemini-2.5-pro", GOOGLE, configured=None, day=DAY)
    assert found is not None
    price = found[0]
    assert isinstance(price, TieredPrice)
    assert (price.input, price.output) == (2.5, 15.0)
    assert price.cost_usd(Usage(200_000, 0)) == pytest.approx(0.25)
    assert price.cost_usd(Usage(200_001, 0)) == pytest.approx(0.5, rel=1e-4)
    assert price.cost_usd(Usage(1000, 1_000_000)) == pytest.approx(10.0, rel=1e-3)
    assert price.cost_usd(Usage(None, 5)) is None


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**6))
def test_no_completion_costs_more_than_the_highest_tier(tokens, output, cached):
    tiers = ((0, Price(input=1, output=2, cached_input=0.1)), (1000, Price(input=3, output=5, cached_input=0.2)))
    price = TieredPrice(input=3, output=5, cached_input=0.2, tiers=tiers)
    usage = Usage(tokens, output, min(cached, tokens))
    highest = Price(input=3, output=5, cached_input=0.2).cost_usd(usage)
    cost = price.cost_usd(usage)
    assert cost is not None
    assert highest is not None
    assert cost <= highest


def test_the_list_knows_the_paid_presets():
    known = {
        "openai": "gpt-4o",
        "anthropic": "claude-sonnet-4-5",
        "google": "gemini-2.5-pro",
        "fireworks": "accounts/fireworks/models/llama-v3p1-8b-instruct",
        "together": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "groq": "llama-3.1-8b-instant",
        "mistral": "mistral-large-latest",
        "openrouter": "openai/gpt-4o",
        "deepseek": "deepseek-chat",
        "xai": "grok-4",
        "cerebras": "llama-3.3-70b",
    }
    by_host = {"huggingface"}  # a router: the price is that of the host that happens to answer
    paid = {name: preset.base_url for name, preset in reachable_presets() if preset.api_key_env}
    assert set(paid) == set(known) | by_host
    assert [name for name in known if find_price(known[name], paid[name], configured=None, day=DAY) is None] == []


def test_the_list_is_not_read_before_a_price_is_asked_for():
    code = "import sys, engine.pricing; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_cached_tokens_that_a_gateway_counts_apart_never_make_a_call_cheaper_than_nothing():
    price = Price(input=3.0, output=15.0, cached_input=0.3)
    assert price.cost_usd(Usage(10, 100, 100_000)) == pytest.approx((10 * 3 + 100 * 15 + 100_000 * 0.3) / 1e6)
    assert price.cost_usd(Usage(1000, 0, 400)) == pytest.approx((600 * 3 + 400 * 0.3) / 1e6)
