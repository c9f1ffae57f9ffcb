"""What an instruction asks for, read from its arguments: numbers, words, a relation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import SolverError

RELATIONS = ("less than", "at least")


class Arguments:
    """The arguments of one instruction, those that are null left out."""

    __slots__ = ("_given", "_instruction")

    def __init__(self, instruction: str, given: Mapping[str, Any]) -> None:
        self._instruction = instruction
        self._given = {name: value for name, value in given.items() if value is not None}

    def number(self, name: str) -> int:
        """A count.

        Raises:
            SolverError: it is missing, or no whole number.
        """
        value = self._value(name)
        if isinstance(value, (int, float)) and int(value) == value:
            return int(value)
        raise self._wrong(name, value, "it is a whole number")

    def text(self, name: str) -> str:
        """A text.

        Raises:
            SolverError: it is missing, or no text.
        """
        value = self._value(name)
        if isinstance(value, str):
            return value
        raise self._wrong(name, value, "it is a text")

    def words(self, name: str) -> list[str]:
        """A list of words.

        Raises:
            SolverError: it is missing, or no list of texts.
        """
        value = self._value(name)
        if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
            return list(value)
        raise self._wrong(name, value, "it is a list of words")

    def holds(self, relation: str, count: int, limit: int) -> bool:
        """Whether `count` is less than, or at least, `limit`, as the argument called `relation` says.

        Raises:
            SolverError: the relation is neither `less than` nor `at least`.
        """
        wanted = self.text(relation)
        if wanted not in RELATIONS:
            raise self._wrong(relation, wanted, "it is 'less than' or 'at least'")
        return count < limit if wanted == "less than" else count >= limit

    def _value(self, name: str) -> Any:
        if name not in self._given:
            given = ", ".join(self._given) or "nothing"
            raise SolverError(
                f"instruction {self._instruction!r} has no argument {name!r}", hint=f"the row's kwargs give: {given}"
            )
        return self._given[name]

    def _wrong(self, name: str, value: Any, hint: str) -> SolverError:
        return SolverError(f"instruction {self._instruction!r}: argument {name!r} is {value!r:.80}", hint=hint)
