"""Keys and passwords that stand in a configuration in plain text: finding them, and keeping them out of messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.toml_lines import KeyPath

KEY_NAMES = frozenset({"api_key", "apikey", "api_token", "access_token", "auth_token", "secret_key"})
KEY_HEADERS = frozenset({"authorization", "proxy_authorization", "x_api_key", "api_key", "x_goog_api_key", "cookie"})
SETTINGS_OF_PROVIDERS = frozenset({"providers", "models"})

USE_API_KEY_ENV = (
    "a key must not stand here: put it into an environment variable or .env, "
    "and name that variable in the provider's api_key_env"
)
NOT_A_VARIABLE = "must be the name of an environment variable that holds the key, as OPENAI_API_KEY, and not the key"

_PREFIX = r"(?:sk-|hf_|gsk_|fw_|xai-|pplx-|nvapi-|csk-|ghp_|github_pat_|AIza|AKIA)"
_SURE = re.compile(rf"\s*(?:{_PREFIX}[\w.-]+|(?:bearer|basic)\s+\S+)\s*", re.IGNORECASE)
_LIKELY = re.compile(
    r"\s*(?:sk-(?=[\w-]*[0-9])[\w-]{5,}"
    rf"|{_PREFIX}(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{{10,}}|{_PREFIX}[A-Za-z0-9-]{{16,}}"
    r"|bearer\s+[\w.~+/=-]{8,})\s*",
    re.IGNORECASE,
)
"""Outside of providers, where a text that begins like a key may be anything: `sk-SK`, `hf_data_2024`."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST_WORD = 24
"""A variable's name of more characters has an underscore in it; a key need not."""

_IN_TEXT = (
    (re.compile(r"(?<=://)[^\s/@\"']*@"), "…@"),
    (re.compile(rf"(?<![\w-]){_PREFIX}[\w.-]{{3,}}"), "…"),
    (re.compile(r"(?i)([?&][\w-]*(?:key|token)=)[^&\s\"']+"), r"\1…"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{3,}"), r"\1 …"),
    (
        re.compile(
            r"""(?ix)\b((?:api[_-]?key|api[_-]?token|access[_-]?token|auth[_-]?token|secret[_-]?key|
            (?:proxy-)?authorization|x-goog-api-key|cookie)["']?\s*[=:]\s*).*"""
        ),
        r"\1…",
    ),
)


def literal_keys(table: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """The path of each value that is a key, by its name or its look, and what to do about it."""
    for path, text in _texts(table, ()):
        name = str(path[-1]).lower().replace("-", "_")
        if name == "api_key_env" and text:
            if not is_variable_name(text):
                yield path, NOT_A_VARIABLE
        elif name in KEY_NAMES or ("headers" in path[-2:-1] and name in KEY_HEADERS) or _looks_like_key(path, text):
            yield path, USE_API_KEY_ENV


def is_variable_name(text: str) -> bool:
    """Whether this can be the name of an environment variable and is not a key put in its place."""
    long_word = len(text) > _LONGEST_WORD and "_" not in text
    return bool(_VARIABLE.fullmatch(text)) and not long_word and not _LIKELY.fullmatch(text)


def masked(text: str) -> str:
    """The text with everything that looks like a key or a password replaced."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _looks_like_key(path: KeyPath, text: str) -> bool:
    pattern = _SURE if path[0] in SETTINGS_OF_PROVIDERS else _LIKELY
    return bool(pattern.fullmatch(text))


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text below a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
