"""Presets: there without configuration, under what is configured, and no key goes where it was not meant to go."""

from __future__ import annotations

import pytest

from engine.config import Provider, check_bench, parse_bench
from engine.endpoints.probing import refusal
from engine.errors import AttemptError, ConfigError
from engine.models import ModelName, check_base_url, parse_model
from engine.presets import PRESETS, preset_at, reachable_presets
from engine.records import Fault
from engine.settings import Bench, with_presets

BENCHMARK = '[[benchmark]]\ndataset = "d.jsonl"\nsolver = "S"\nmodels = ["{}"]\n'
NAMES = [name for name, _ in reachable_presets()]


def bench(text: str = "", model: str = "simulated::calculator") -> Bench:
    return parse_bench(text + BENCHMARK.format(model))


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_reachable_without_being_configured(name):
    made = bench(model=f"{name}::m")
    provider = made.reachable[name]
    assert provider == Provider(base_url=PRESETS[name].base_url, api_key_env=PRESETS[name].api_key_env)
    assert parse_model(f"{name}::m", providers=made.reachable) == ModelName(name, "m", provider.base_url)
    assert name not in made.providers, "a bare name is looked up only where somebody configured a provider"


@pytest.mark.parametrize("name", NAMES)
def test_an_address_is_written_as_it_identifies_the_provider(name):
    assert check_base_url(PRESETS[name].base_url) == PRESETS[name].base_url


def test_local_servers_need_no_key_and_all_others_name_a_variable():
    local = {name for name, preset in PRESETS.items() if not preset.api_key_env}
    assert local == {"ollama", "vllm", "llamacpp", "lmstudio"}
    assert all("localhost" in PRESETS[name].base_url for name in local)


def test_a_table_of_the_same_name_lays_its_keys_over_the_preset():
    made = bench("[providers.openai]\nrequests_per_minute = 60\n", model="openai::m")
    assert made.providers["openai"] == Provider(
        base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY", requests_per_minute=60
    )
    other = bench('[providers.groq]\napi_key_env = "MY_GROQ"\n')
    assert (other.reachable["groq"].base_url, other.reachable["groq"].api_key_env) == (
        "https://api.groq.com/openai/v1",
        "MY_GROQ",
    )


def test_a_table_may_turn_the_key_off():
    assert bench('[providers.openai]\napi_key_env = ""\n').reachable["openai"].api_key_env == ""


@pytest.mark.parametrize(
    "address", ["https://proxy.example.com/v1", "http://localhost:9/v1", "https://api.openai.com/v2"]
)
def test_a_key_is_not_sent_to_an_address_that_its_preset_does_not_have(address):
    made = bench(f'[providers.openai]\nbase_url = "{address}"\n')
    assert made.reachable["openai"] == Provider(base_url=address)


def test_the_address_of_the_preset_in_another_spelling_keeps_the_key():
    made = bench('[providers.openai]\nbase_url = "https://API.openai.com:443/v1/"\n')
    assert made.reachable["openai"].api_key_env == "OPENAI_API_KEY"


def test_azure_has_a_key_and_needs_an_address():
    made = bench('[providers.azure]\nbase_url = "https://mine.openai.azure.com/openai/v1"\n', model="azure::m")
    assert made.reachable["azure"].api_key_env == "AZURE_OPENAI_API_KEY"
    with pytest.raises(ConfigError, match=r"has no address yet: add \[providers.azure\] with a base_url like"):
        bench(model="azure::m")


def test_a_table_of_another_kind_takes_nothing_from_the_preset():
    made = bench('[providers.openai]\nkind = "simulated"\n', model="openai::m")
    assert made.reachable["openai"] == Provider(kind="simulated")


def test_a_misspelt_preset_is_guessed_and_an_unknown_name_is_told_all_of_them():
    with pytest.raises(ConfigError, match="did you mean 'openrouter'"):
        bench(model="openroute::m")
    with pytest.raises(ConfigError, match="configured are simulated, built in are openai, anthropic, google"):
        bench(model="zzzz::m")


def test_a_preset_may_be_the_default_provider_and_have_settings_for_its_models():
    text = '[engine]\ndefault_provider = "groq"\n[models."groq::m"]\nsampling = { temperature = 0.5 }\n'
    assert bench(text).engine.default_provider == "groq"


def test_laying_over_twice_is_laying_over_once():
    made = bench('[providers.openai]\nstream = true\n[providers.vllm]\nbase_url = "http://gpu:8000/v1"\n')
    again = check_bench(made.model_dump(exclude_unset=True), where="test", allow_empty=True)
    assert again.providers == made.providers
    assert with_presets(again.providers) == made.reachable


@pytest.mark.parametrize(
    ("base_url", "name"),
    [(PRESETS[name].base_url, name) for name in NAMES]
    + [
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://mine.services.ai.azure.com/openai/v1", "azure"),
        ("https://api.openai.com/v1/", "openai"),
    ],
)
def test_a_preset_is_known_by_its_address_too(base_url, name):
    assert preset_at(base_url) is PRESETS[name]


@pytest.mark.parametrize("base_url", ["", "no url", "https://api.openai.com", "https://openai.azure.com.evil.net/v1"])
def test_other_addresses_have_no_preset(base_url):
    assert preset_at(base_url) is None


def test_a_list_of_models_that_wants_another_header_says_nothing_about_the_key():
    error = AttemptError("x-api-key header is required", fault=Fault.AUTH, status=401)
    assert refusal(error, base_url=PRESETS["anthropic"].base_url, key_name="ANTHROPIC_API_KEY", has_key=True) is None
    assert refusal(error, base_url=PRESETS["openai"].base_url, key_name="OPENAI_API_KEY", has_key=True) is not None
