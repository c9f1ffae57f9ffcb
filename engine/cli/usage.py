"""What a command line got wrong -> one message and one hint, in the words of the rest of the engine."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, get_args, get_origin

from cyclopts import CycloptsError, Token
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

HELP, VERSION = "--help", "--version"
WANTED = {"int": "a whole number", "float": "a number", "bool": "true or false", "Path": "a path"}


def explained(error: CycloptsError) -> tuple[str, str]:
    """Message and hint for what the parser refused."""
    message, hint = _explained(error)
    return message, hint.replace(VERSION, f"`engine {VERSION}`") if error.command_chain else hint


def _explained(error: CycloptsError) -> tuple[str, str]:
    command = " ".join(["engine", *(error.command_chain or ())])
    listing = f"`{command} --help` lists what it takes"
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error, command, listing)
    if isinstance(error, MissingArgumentError):
        return _without_value(error, listing)
    if isinstance(error, UnknownOptionError):
        word = error.token.keyword or error.token.value
        known = [HELP, VERSION, *(name for argument in error.argument_collection for name in argument.names)]
        return f"{command} has no flag {word!r}", _nearest(word, known) or listing
    if isinstance(error, (CoercionError, RepeatArgumentError)) and error.token is not None:
        return _about_a_value(error, error.token, listing)
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(map(repr, error.unused_tokens or ()))
        return f"{command} takes fewer words: {words} is too many", listing
    return str(error).rstrip("."), listing


def _unknown_command(error: UnknownCommandError, command: str, listing: str) -> tuple[str, str]:
    word = (error.unused_tokens or ["?"])[0]
    if word.startswith("-"):
        flags = [HELP, VERSION]
        return f"{command} has no flag {word!r}", _nearest(word, flags) or listing
    known = [name for app in ([error.app] if error.app else []) for name in app if not name.startswith("-")]
    return f"there is no command {f'{command} {word}'!r}", _nearest(word, known) or f"commands: {', '.join(known)}"


def _without_value(error: MissingArgumentError, listing: str) -> tuple[str, str]:
    argument = error.argument
    word = error.keyword or (argument.name if argument is not None else "a word")
    collection = error.app.assemble_argument_collection() if error.app is not None else ()
    known = [HELP, VERSION, *(name for each in collection if not _takes_any(each.names) for name in each.names)]
    if argument is not None and _takes_any(argument.names):  # what is unknown goes to the solver, with its value
        return f"{word} has no value, and is no switch", _nearest(
            word, known
        ) or f"give a solver's option as {word}=VALUE"
    if word.startswith("-") and error.keyword is not None:
        return f"{word} needs a value", f"write {word} VALUE"
    return f"{word if word.startswith('-') else word.upper()} is missing", listing


def _about_a_value(error: CoercionError | RepeatArgumentError, token: Token, listing: str) -> tuple[str, str]:
    flag = token.keyword or (error.argument.name if error.argument is not None else "a word")
    if isinstance(error, RepeatArgumentError):
        return f"{flag} is given twice", "give it once"
    return f"{flag} is {token.value!r}", _wanted(error) or listing


def _takes_any(names: Iterable[str]) -> bool:
    return any("[KEYWORD]" in name for name in names)


def _wanted(error: CoercionError) -> str:
    if error.msg is not None:
        return str(error.msg)
    if get_origin(error.target_type) is Literal:
        return f"it takes one of {', '.join(map(str, get_args(error.target_type)))}"
    wanted = WANTED.get(getattr(error.target_type, "__name__", ""), "")
    return f"it takes {wanted}" if wanted else ""


def _nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that was probably meant, with `-` and `_` as one; empty where none is near."""
    by_plain = {each.replace("_", "-"): each for each in known}
    near = difflib.get_close_matches(word.replace("_", "-"), by_plain, n=1)
    return f"did you mean {by_plain[near[0]]}?" if near else ""
