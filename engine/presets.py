"""Providers that are there without being configured: where each is, the variable of its key, and its habits.

A `[providers.NAME]` table of the same name lays its keys over the preset. A key variable belongs to the address of
its preset: a table that names another address names its own `api_key_env`, or sends no key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import ConfigError
from engine.models import normalise_base_url

AZURE_BASE_URL = "https://RESOURCE.openai.azure.com/openai/v1"
_AZURE = re.compile(
    r"https://[^/]+\.(?:openai\.azure\.com|services\.ai\.azure\.com|cognitiveservices\.azure\.com)(?:/.*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What is known of a provider before anybody asked it.

    `base_url` is empty where each customer has an address of their own; `api_key_env` where no key is needed.
    `renames` are parameters of ours that it calls by another name, for all its models. `lists_models` is whether
    `GET /models` takes the key in the way in which calls do. `habits` are what it does without saying so.
    """

    base_url: str = ""
    api_key_env: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    lists_models: bool = True
    habits: tuple[str, ...] = ()

    @property
    def keys(self) -> dict[str, str]:
        """The keys that a table of this name need not set."""
        given = {"base_url": self.base_url, "api_key_env": self.api_key_env}
        return {name: value for name, value in given.items() if value}


_NEWER_LIMIT = {"max_tokens": "max_completion_tokens"}
_LOCAL_DEFAULTS = "sampling that is not asked for comes from the model's own files, and not from the API's defaults"

PRESETS: Mapping[str, Preset] = {
    "openai": Preset(base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY", renames=_NEWER_LIMIT),
    "azure": Preset(api_key_env="AZURE_OPENAI_API_KEY", habits=("a model's name is that of your deployment",)),
    "anthropic": Preset(
        base_url="https://api.anthropic.com/v1",
        api_key_env="ANTHROPIC_API_KEY",
        lists_models=False,
        habits=(
            "seed, response_format, logprobs, the penalties and reasoning_effort are ignored without a word",
            "all system messages are joined and put first",
            "a temperature above 1 is taken as 1",
        ),
    ),
    "google": Preset(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        api_key_env="GEMINI_API_KEY",
        habits=("hidden reasoning counts towards max_tokens, so that a short limit gives empty replies",),
    ),
    "fireworks": Preset(
        base_url="https://api.fireworks.ai/inference/v1",
        api_key_env="FIREWORKS_API_KEY",
        habits=("models are named in full: accounts/fireworks/models/NAME",),
    ),
    "together": Preset(base_url="https://api.together.xyz/v1", api_key_env="TOGETHER_API_KEY"),
    "groq": Preset(base_url="https://api.groq.com/openai/v1", api_key_env="GROQ_API_KEY"),
    "mistral": Preset(
        base_url="https://api.mistral.ai/v1", api_key_env="MISTRAL_API_KEY", renames={"seed": "random_seed"}
    ),
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1",
        api_key_env="OPENROUTER_API_KEY",
        habits=(
            "a host drops parameters that it does not know: extra_body.provider.require_parameters = true forbids it",
            "hosts of one model differ in precision: extra_body.provider = { order = [...], allow_fallbacks = false }",
        ),
    ),
    "xai": Preset(base_url="https://api.x.ai/v1", api_key_env="XAI_API_KEY"),
    "cerebras": Preset(base_url="https://api.cerebras.ai/v1", api_key_env="CEREBRAS_API_KEY"),
    "huggingface": Preset(
        base_url="https://router.huggingface.co/v1",
        api_key_env="HF_TOKEN",
        habits=("a model goes to whichever host is fastest: pin one as NAME:HOST",),
    ),
    "deepseek": Preset(base_url="https://api.deepseek.com", api_key_env="DEEPSEEK_API_KEY"),
    "ollama": Preset(
        base_url="http://localhost:11434/v1",
        habits=(
            "a prompt longer than the context length is cut without a word: set OLLAMA_CONTEXT_LENGTH on the server",
            "n and unknown parameters are ignored without a word",
        ),
    ),
    "vllm": Preset(
        base_url="http://localhost:8000/v1",
        habits=(f"{_LOCAL_DEFAULTS}, unless it was started with --generation-config vllm",),
    ),
    "llamacpp": Preset(
        base_url="http://localhost:8080/v1",
        habits=("the name of the model is not looked at: it answers with the one that is loaded", _LOCAL_DEFAULTS),
    ),
    "lmstudio": Preset(base_url="http://localhost:1234/v1", habits=(_LOCAL_DEFAULTS,)),
}


def reachable_presets() -> Iterator[tuple[str, Preset]]:
    """Names and presets of those that can be used as they are; Azure needs an address first."""
    return ((name, preset) for name, preset in PRESETS.items() if preset.base_url)


def laid_over_preset(name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys of a `[providers.NAME]` table over those of the preset of this name; unchecked, as they came."""
    preset = PRESETS.get(name)
    if preset is None or table.get("kind", "openai") != "openai":
        return table
    keys = preset.keys
    if preset.base_url and not _is_at(table.get("base_url", preset.base_url), preset.base_url):
        del keys["base_url"]
        keys.pop("api_key_env", None)
    return {**keys, **table}


def preset_at(base_url: str) -> Preset | None:
    """The preset of a base URL, however the provider is called; None where there is none."""
    if _AZURE.fullmatch(base_url):
        return PRESETS["azure"]
    return next((preset for _, preset in reachable_presets() if _is_at(base_url, preset.base_url)), None)


def _is_at(base_url: object, address: str) -> bool:
    if not isinstance(base_url, str) or not base_url:
        return False
    try:
        return normalise_base_url(base_url) == address
    except ConfigError:
        return False
