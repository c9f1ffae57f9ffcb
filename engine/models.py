"""Names of models and providers: how they are written, compared and found in what a provider lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from engine.errors import ConfigError

SIMULATED = "simulated"
"""The provider that is there without being configured."""

DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_MODEL = re.compile(r"(https?://(?:[^/]*\[[^\]]*\])?.*?)::(.*)", re.IGNORECASE)
"""The brackets are an IPv6 host, whose `::` ends no URL."""


class HasBaseUrl(Protocol):
    """What a model name needs of a provider."""

    @property
    def base_url(self) -> str:
        """Where its API is; empty where it is no URL."""
        ...


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model name in its parts: a bare name has no provider yet, an URL stands for a provider without a name."""

    provider: str
    model: str
    base_url: str

    def __str__(self) -> str:
        host = self.provider or self.base_url
        return f"{host}::{self.model}" if host else self.model


def parse_model(name: str, *, providers: Mapping[str, HasBaseUrl]) -> ModelName:
    """The parts of `provider::name`, `https://host/v1::name` or a bare `name`.

    `base_url` is normalised; it is empty for bare names and for providers that are no URL.

    Raises:
        ConfigError: an unknown provider, an unusable URL, or an empty name.
    """
    parts = split_model(name)
    if not parts.provider:
        return parts
    known = [*providers, *({SIMULATED} - set(providers))]
    if parts.provider not in known:
        message = f"unknown provider {_without_secrets(parts.provider)!r} in the model {_without_secrets(name)!r}"
        raise ConfigError(message, hint=like_a_url(name) or known_providers(parts.provider, known))
    configured = providers.get(parts.provider)
    base_url = configured.base_url if configured else ""
    return ModelName(parts.provider, parts.model, normalise_base_url(base_url) if base_url else "")


def split_model(name: str) -> ModelName:
    """The parts of a name as written, not compared with what is configured.

    Raises:
        ConfigError: an unusable URL, or an empty name.
    """
    url = _URL_MODEL.fullmatch(name)
    if url:
        parts = ModelName("", url[2], check_base_url(url[1]))
    elif re.match(r"https?://", name, re.IGNORECASE):
        raise ConfigError(
            f"the URL {_without_secrets(name)!r} names no model",
            hint="write it as https://host/v1::name",
        )
    else:
        provider, separator, model = name.partition("::")
        if separator and not provider:
            raise ConfigError(f"the model {name!r} names no provider before '::'", hint="write provider::name")
        parts = ModelName(provider, model, "") if separator else ModelName("", name, "")
    if not parts.model.strip():
        raise ConfigError(f"{_without_secrets(name)!r} names no model", hint="write provider::name")
    return parts


def like_a_url(name: str) -> str:
    """A hint, where the provider of a model's name was meant to be a URL; empty where it is a name."""
    found = re.fullmatch(r"(?:\w+:/{0,2})?([^/:@\s]*(?::\d+)?(?:/[^:@?]*)?)::(.+)", name)
    if found is None or not re.search(r"[/:.]", name.partition("::")[0]):
        return ""
    return f"a URL begins with http:// or https://: write http://{found[1]}::{found[2]}"


def near_provider(wrong: str, known: Iterable[str]) -> str:
    """The known name that was probably meant; empty where none is near."""
    cutoff = 0.5 if len(wrong) < 4 else 0.6  # one letter is half of `my`
    return next(iter(get_close_matches(wrong.lower(), list(known), n=1, cutoff=cutoff)), "")


def known_providers(wrong: str, known: Iterable[str]) -> str:
    """A hint: the nearest of the known providers, and all of them."""
    names = list(known)
    guess = near_provider(wrong, names)
    return (f"did you mean {guess!r}? " if guess else "") + "configured are: " + ", ".join(names)


def canonical_name(name: str) -> str:
    """What two spellings of one model have in common: `Meta-Llama-3.1-405B-Instruct` is `llama3p1_405binstruct`.

    Lower case, no `.near` or `.ai` at the end, `3.1` as `3p1`, no `v` before a digit unless a letter stands
    before it, `_` for what stands between two digits and nothing for other marks, `metallama` as `llama`,
    `qwenq` as `q`.

    Source: https://github.com/nearai/nearai, nearai/shared/naming.py, `get_canonical_name`.
    Differs: applied until nothing changes, so that a canonical name is its own canonical name, and neighbouring
    digits may overlap (`1.2.3`); both make no difference to names of models in use. Letters and digits are ASCII.
    """
    before, after = "", name
    while after != before:
        before, after = after, _canonical_once(after)
    return after


_CANONICAL_STEPS = (
    (re.compile(r"\.near\Z"), ""),
    (re.compile(r"\.ai\Z"), ""),
    (re.compile(r"(?<=[0-9])\.(?=[0-9])"), "p"),
    (re.compile(r"(?<=[0-9])v(?=[0-9])"), "_"),
    (re.compile(r"(?<![a-z])v(?=[0-9])"), ""),
    (re.compile(r"(?<=[0-9])[^a-z0-9]+(?=[0-9])"), "_"),
    (re.compile(r"[^a-z0-9_]"), ""),
    (re.compile(r"(?<![0-9])_|_(?![0-9])"), ""),
    (re.compile(r"metallama"), "llama"),
    (re.compile(r"qwenq"), "q"),
)


def _canonical_once(name: str) -> str:
    name = name.lower()
    for pattern, replacement in _CANONICAL_STEPS:
        name = pattern.sub(replacement, name)
    return name


def find_model(name: str, listing: Sequence[str]) -> str | None:
    """The name by which a provider lists a model; None where it does not.

    Equal names come first, then an equal last part of the path (`accounts/fireworks/models/llama` is `llama`),
    then canonical names. A name with an owner (`meta-llama/Llama-3.1-8B`) is never taken for that of another.

    Raises:
        ConfigError: several listed models fit equally well.
    """
    if name in listing:
        return name
    own_model, own_owners = _path(name)
    candidates = [(entry, *_path(entry)) for entry in dict.fromkeys(listing)]
    candidates = [found for found in candidates if _same_owner(own_owners, found[2])]
    for same in (
        [entry for entry, model, _ in candidates if model == own_model],
        [entry for entry, model, _ in candidates if canonical_name(model) == canonical_name(own_model)],
    ):
        if len(same) > 1:
            raise ConfigError(f"{name!r} may be any of {', '.join(map(repr, same))}", hint="write one of them in full")
        if same:
            return same[0]
    return None


def _path(name: str) -> tuple[str, frozenset[str]]:
    """The last part, and the canonical names of the parts before it."""
    *owners, model = name.split("/")
    return model, frozenset(map(canonical_name, owners)) - {canonical_name("near.ai"), ""}


def _same_owner(asked: frozenset[str], listed: frozenset[str]) -> bool:
    return not asked or not listed or asked <= listed


def check_base_url(url: str) -> str:
    """The normalised URL, when it is one that requests can be sent to.

    Raises:
        ConfigError: no http or https, no host, or a user, password, query or fragment in it.
    """
    parts = _split_url(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigError("a URL must hold no user or password", hint="name a variable with the key in api_key_env")
    if parts.query or parts.fragment:
        raise ConfigError("a base URL must hold no query and no fragment", hint="end it with the path, as in /v1")
    if parts.path.rstrip("/").endswith("/chat/completions"):
        end = "a base URL ends in the part before /chat/completions"
        raise ConfigError(f"{_without_secrets(url)!r}: {end}", hint="leave that off, as in https://host/v1")
    return normalise_base_url(url)


def normalise_base_url(url: str) -> str:
    """The URL as it identifies a provider.

    Scheme and host in lower case, no default port, no slash at the end, no user, query or fragment.

    Raises:
        ConfigError: no http or https URL.
    """
    parts = _split_url(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{parts.port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _split_url(url: str) -> SplitResult:
    hint = "write it as https://host/v1"
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigError(f"{_without_secrets(url)!r} is not a URL", hint=hint) from None
    if not usable or re.search(r"\s", url.strip()):
        raise ConfigError(f"{_without_secrets(url)!r} is not an http or https URL with a host", hint=hint)
    return parts


def _without_secrets(url: str) -> str:
    """The text less a user and password, and less a query, which may hold a key."""
    return re.sub(r"\?.*", "?…", re.sub(r"(?<=//)[^/]*@", "…@", url))
