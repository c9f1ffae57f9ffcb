"""Names of models: their forms, which of them are the same, and how providers are told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Provider
from engine.errors import ConfigError
from engine.models import ModelName, canonical_name, check_base_url, find_model, normalise_base_url, parse_model

PROVIDERS = {
    "fireworks": Provider(base_url="https://api.fireworks.ai/inference/v1/"),
    "local": Provider(kind="simulated"),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fireworks::llama", ModelName("fireworks", "llama", "https://api.fireworks.ai/inference/v1")),
        (
            "fireworks::accounts/x/models/y:z",
            ModelName("fireworks", "accounts/x/models/y:z", PROVIDERS["fireworks"].base_url),
        ),
        ("local::m", ModelName("local", "m", "")),
        ("simulated::calculator", ModelName("simulated", "calculator", "")),
        ("llama3.2:latest", ModelName("", "llama3.2:latest", "")),
        ("meta-llama/Llama-3.1-8B", ModelName("", "meta-llama/Llama-3.1-8B", "")),
        ("https://Host/v1/::m", ModelName("", "m", "https://host/v1")),
        ("http://localhost:8000/v1::a/b:c", ModelName("", "a/b:c", "http://localhost:8000/v1")),
        ("http://[::1]:8000/v1::m", ModelName("", "m", "http://[::1]:8000/v1")),
        ("https://host::m", ModelName("", "m", "https://host")),
    ],
)
def test_a_name_is_read_in_all_its_forms(name: str, expected: ModelName) -> None:
    assert parse_model(name, providers=PROVIDERS) == expected


@pytest.mark.parametrize("name", ["fireworks::llama", "llama", "https://host/v1::m", "http://[::1]:80/v1::m"])
def test_a_name_that_was_read_can_be_written_and_read_again(name: str) -> None:
    parsed = parse_model(name, providers=PROVIDERS)
    assert parse_model(str(parsed), providers=PROVIDERS) == parsed


def test_an_unknown_provider_is_told_with_the_nearest_and_all_others() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model("firework::m", providers=PROVIDERS)
    assert caught.value.message == "unknown provider 'firework' in the model 'firework::m'"
    assert caught.value.hint == "did you mean 'fireworks'? configured are: fireworks, local, simulated"


@pytest.mark.parametrize("name", ["", " ", "fireworks::", "::m", "https://host/v1", "https://::m", "ftp://h/v1::m"])
def test_a_name_without_its_parts_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        parse_model(name, providers=PROVIDERS)


@pytest.mark.parametrize(
    "name", ["https://me:sekret@host/v1::m", "https://host/v1?key=sekret::m", "https://me:sekret@host"]
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(name, providers=PROVIDERS)
    assert "sekret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Meta-Llama-3.1-405B-Instruct", "llama-v3p1-405b-instruct"),
        ("llama-3.1-70b-instruct", "llama-v3p1-70b-instruct"),
        ("Qwen/QwQ-32B", "qwq-32b"),
        ("qwen2.5-72b-instruct", "qwen2p5-72b-instruct"),
        ("example.near", "example"),
        ("mixtral_8x7b", "mixtral-8x7b"),
    ],
)
def test_two_spellings_of_a_model_are_the_same(one: str, other: str) -> None:
    assert canonical_name(one) == canonical_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("llama-3.1-8b", "llama-3-1.8b"), ("llama-3.1-8b", "llama-3.18b"), ("gpt-4.1", "gpt-41"), ("phi-3-v", "phi-3")],
)
def test_two_models_are_not_the_same(one: str, other: str) -> None:
    assert canonical_name(one) != canonical_name(other)


def test_the_published_example_holds() -> None:
    assert canonical_name("llama-3.1-70b-instruct") == "llama3p1_70binstruct"


PIECES = st.sampled_from([*"0123v._-/: ", "meta", "llama", "qwen", "q", ".near", ".ai", "V3", "\u00b2", "\u212a"])


@given(st.text() | st.lists(PIECES).map("".join))
def test_a_canonical_name_is_its_own_canonical_name(name: str) -> None:
    once = canonical_name(name)
    assert canonical_name(once) == once
    assert set(once) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


LISTING = ["accounts/fireworks/models/llama-v3p1-405b-instruct", "accounts/me/models/tuned", "gpt-4.1", "GPT-4.1-mini"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("gpt-4.1-mini", "GPT-4.1-mini"),
        ("llama-v3p1-405b-instruct", LISTING[0]),
        ("Meta-Llama-3.1-405B-Instruct", LISTING[0]),
        ("fireworks/Meta-Llama-3.1-405B-Instruct", LISTING[0]),
        ("near.ai/llama-3.1-405b-instruct", LISTING[0]),
        ("openai/gpt-4.1", "gpt-4.1"),
        ("you/tuned", None),
        ("gpt-5", None),
    ],
)
def test_a_model_is_found_in_a_listing(name: str, found: str | None) -> None:
    assert find_model(name, LISTING) == found


def test_an_exact_name_wins_over_a_canonical_one() -> None:
    assert find_model("llama-3.1", ["Llama-3.1", "llama-3.1"]) == "llama-3.1"


def test_a_name_that_fits_two_models_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        find_model("llama", ["a/llama", "b/llama"])
    assert "'a/llama', 'b/llama'" in caught.value.message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://API.Example.COM:443/V1/", "https://api.example.com/V1"),
        ("http://host:80", "http://host"),
        ("http://host:8080//", "http://host:8080"),
        ("https://host/v1?x=1#y", "https://host/v1"),
        ("http://[::1]:80/v1", "http://[::1]/v1"),
        (" https://host/v1 ", "https://host/v1"),
    ],
)
def test_one_endpoint_has_one_url(url: str, expected: str) -> None:
    assert normalise_base_url(url) == expected
    assert normalise_base_url(expected) == expected


@pytest.mark.parametrize(
    "url", ["", "host/v1", "ftp://host", "https://", "https://host:99999", "https://ho st/v1", "https://[::1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        normalise_base_url(url)


@pytest.mark.parametrize("url", ["https://u:sekret@host/v1", "https://host/v1?key=sekret", "https://host/v1#sekret"])
def test_a_base_url_holds_nothing_secret(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_base_url(url)
    assert "sekret" not in str(caught.value)
