"""Which store a command reads: that of this folder, or the one that `--store` names."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from engine.errors import ConfigError, UsageError

STORE = "--store"
TAKE_STORE = frozenset({"benchmark", "cache", "evaluation"})
"""Groups of commands whose store can be named; `run` and its kin have `--set storage.url=URL`."""
HELP = "With `--store WHERE`, a database's file or URL or a bench.toml, another store than this folder's is meant."
_NAMED: ContextVar[str] = ContextVar("named_store", default="")


def without_store(words: Sequence[str]) -> list[str]:
    """The words less `--store WHERE`, which is remembered for this command.

    Raises:
        UsageError: it names nothing, or twice.
    """
    if not words or words[0] not in TAKE_STORE or list(words[:2]) == ["benchmark", "run"]:
        return list(words)
    kept: list[str] = []
    named: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if name != STORE:
            kept.append(word)
        elif equals or waiting:
            named.append(value if equals else waiting.pop(0))
        else:
            raise UsageError(f"{STORE} needs a value", hint=f"write {STORE} bench.db, a URL or a bench.toml")
    if len(named) > 1 or "" in named:
        raise UsageError(f"{STORE} names {len(named)} stores", hint="name one")
    _NAMED.set(named[0] if named else "")
    return kept


def named_store() -> str:
    """The URL of the store that `--store` names; empty where it is not given.

    Raises:
        ConfigError: there is no such file, or it is no bench.toml.
    """
    named = _NAMED.get()
    if not named or "://" in named:
        return named
    path = Path(named).expanduser()
    if not path.is_file():
        raise ConfigError(f"{STORE} is {named!r}: there is no such file", hint="name a database, or a bench.toml")
    return _url_of(path) if path.suffix.lower() == ".toml" else f"sqlite:///{path.absolute()}"


def _url_of(path: Path) -> str:
    from engine.api import absolute_url
    from engine.environment import read_environment

    try:
        url = tomllib.loads(path.read_text(encoding="utf-8")).get("storage", {}).get("url", "")
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{STORE} is {str(path)!r}: {error}", hint=f"`engine check {path}` says more") from None
    folder = path.absolute().parent
    return absolute_url(url or f"sqlite:///{read_environment(folder).home / 'engine.db'}", folder)
