"""The environment as the engine sees it: variables, `.env`, keys that are never shown, and ENGINE_HOME.

Read once, at the edge; everything below gets the record.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn, Self

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from engine.errors import ConfigError, EndpointError


class Secret:
    """A key that shows itself only when asked to: not in repr, str or format, and never pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the header it is sent in."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return format("…", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a set of keys has no use, and a hash is a trace

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a secret is not pickled: pass the name of its variable")


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables as they were when the engine started, and where it keeps its own files."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def get(self, name: str, default: str = "") -> str:
        """The value of a variable that is no key."""
        return self.variables.get(name, default)

    @property
    def home_hint(self) -> str:
        """What to do where nothing can be written in `home`."""
        said = self.get("ENGINE_HOME").strip()
        unusable = f"the value of ENGINE_HOME, {said!r}, cannot be used: " if said else ""
        return f"{unusable}set {'it' if said else 'ENGINE_HOME'} to a folder that you may write in"

    def secret(self, name: str) -> Secret | None:
        """The key in a variable, less the white space around it; None where it is unset or blank."""
        value = self.variables.get(name, "").strip()
        return Secret(value) if value else None

    def require_secret(self, name: str, *, where: str) -> Secret:
        """The key in a variable; `where` says who needs it, as in `bench.toml:4`.

        Raises:
            EndpointError: it is unset or blank, or holds what no HTTP header can carry.
        """
        secret = self.secret(name)
        if secret is None:
            raise EndpointError(
                f"{where} needs a key in {name}, which is not set",
                hint=f"set {name} in the environment, or write {name}=... into a file .env beside bench.toml",
            )
        if not (secret.reveal().isascii() and secret.reveal().isprintable()):
            raise EndpointError(
                f"{where} needs a key in {name}, which holds a character that no HTTP header can carry",
                hint=f"copy the key into {name} again: one line of plain letters, digits and marks",
            )
        return secret

    def __reduce__(self) -> NoReturn:
        raise TypeError("the environment holds keys and is not pickled")


def read_environment(folder: Path) -> Environment:
    """The variables of this process over those of `.env` in the folder.

    Raises:
        ConfigError: `.env` cannot be read, or a line of it is not `NAME=value`.
    """
    variables = {**_read_dotenv(folder / ".env"), **os.environ}
    home = variables.get("ENGINE_HOME", "").strip()
    return Environment(home=Path(home or "~/.engine").expanduser().absolute(), variables=variables)


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {type(error).__name__}", hint="make it a text file in UTF-8"
        ) from None
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key and binding.value is None):
            line = binding.original.line + len(binding.original.string) - len(binding.original.string.lstrip("\n"))
            raise ConfigError(f"{path}:{line}: is not NAME=value", hint="put quotes around values with spaces")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}
