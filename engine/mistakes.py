"""Tables of settings that report all their mistakes at once, each as a short sentence of our own.

pydantic checks the keys of a table one by one and stops before rules that join several keys; a `Table`
collects both, so that a user mends a file once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from engine.toml_lines import KeyPath

UNKNOWN, MISSING, WRONG, UNFIT, SECRET = KINDS = ("unknown_key", "missing_key", "wrong_value", "unfit", "literal_key")

_SENTENCES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "tuple_type": "must be a list in brackets",
    "list_type": "must be a list in brackets",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, at a path below the table that was checked.

    `kind` is one of `KINDS`; the value of a `literal_key` is a secret and is never shown.
    """

    path: KeyPath
    what: str
    kind: str = UNFIT
    value: object = None
    guess: str = ""


class Table(BaseModel):
    """A table of settings: frozen, no unknown keys, a text is not a number, and all mistakes at once."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, validate_default=True
    )

    elsewhere: ClassVar[str] = ""
    """Where keys that this table does not know may belong."""

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterable[Mistake]:
        """What is wrong with the keys taken together; `given` is unchecked, and holds no defaults."""
        del given
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        own = list(cls.unfit(given))
        try:
            made = handler(given)
        except ValidationError as error:
            secrets = [mistake.path for mistake in own if mistake.kind == SECRET]
            found = [_mistake(details, cls) for details in error.errors(include_url=False)]
            own += [each for each in found if not any(each.path[: len(path)] == path for path in secrets)]
        else:
            if not own:
                return made
        raise ValidationError.from_exception_data(cls.__name__, [_details(mistake) for mistake in own])


def mistakes_of(error: ValidationError) -> Iterator[Mistake]:
    """The mistakes that a `Table` reported."""
    for details in error.errors(include_url=False):
        yield _mistake(details, Table)


def _details(mistake: Mistake) -> InitErrorDetails:
    # pydantic fills in `{guess}` of the sentence and leaves other braces alone
    kind = PydanticCustomError(mistake.kind, mistake.what.replace("{guess}", "(guess)"), {"guess": mistake.guess})
    return InitErrorDetails(type=kind, loc=mistake.path, input=mistake.value)


def _mistake(details: ErrorDetails, table: type[Table]) -> Mistake:
    kind, path, value, context = details["type"], details["loc"], details["input"], details.get("ctx", {})
    if kind in KINDS:
        return Mistake(path, details["msg"], kind, value, context.get("guess", ""))
    if kind == "missing":
        return Mistake(path, "is missing", MISSING)
    if kind == "extra_forbidden":
        guess = nearest(str(path[-1]), table.model_fields)
        return Mistake(path, "unknown key" + table.elsewhere, UNKNOWN, value, guess)
    if kind == "tuple_type" and isinstance(value, Mapping):
        return Mistake(path, f"must be a list of tables, each written [[{path[-1]}]] in two brackets", WRONG)
    guess = nearest(value, re.findall("'(.*?)'", context["expected"])) if kind == "literal_error" else ""
    sentence = _SENTENCES.get(kind, details["msg"][:1].lower() + details["msg"][1:].rstrip("."))
    return Mistake(path, sentence.format_map(context) if kind in _SENTENCES else sentence, WRONG, value, guess)


def nearest(word: object, names: Iterable[str]) -> str:
    """The name that was probably meant; empty where none is near."""
    if not isinstance(word, str):
        return ""
    return next(iter(get_close_matches(word.lower().replace("-", "_"), list(names), n=1)), "")
