"""How a dataset names its rows: the field that holds an id, and the check that declared ids are unique."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import DatasetError

ID_FIELDS = ("id", "task_id", "question_id", "key", "datum_id")
"""Fields that name a row in reports, the first that is there; only `id` is taken as declared unique."""


def datum_id(row: Mapping[str, Any], *, field: str | None = None) -> str:
    """How the dataset names this row; empty where it does not.

    `field` is the `details.id_field` of the dataset's metadata.json; None looks for `ID_FIELDS`.
    """
    for name in ID_FIELDS if field is None else (field,):
        value = row.get(name)
        if value is not None:
            return str(value)
    return ""


class UniqueIds:
    """Watches rows go by, and remembers where a declared id came a second time.

    `field` None: the field `id` is declared where every row has one. A name: that field, which every row
    must have. Empty: no field is. Only hashes are kept, so that a million ids take tens of megabytes.
    """

    def __init__(self, field: str | None, *, where: Callable[[int], str]) -> None:
        self.field = "id" if field is None else field
        self._required = bool(field)
        self._where = where
        self._seen: set[int] | None = set() if self.field else None
        self._repeated: tuple[str, int] | None = None

    @property
    def repeated(self) -> tuple[str, int] | None:
        """The first id that was seen before, and the place of the second row with it."""
        return self._repeated if self._seen is not None else None

    def add(self, row: Mapping[str, Any], place: int) -> None:
        """Take note of one row.

        Raises:
            DatasetError: the dataset's metadata declares the field, and the row has none.
        """
        if self._seen is None:
            return
        value = text_id(row, self.field)
        if value is None:
            if self._required:
                raise DatasetError(
                    f"{self._where(place)}: has no {self.field!r}, which metadata.json declares as the id",
                    hint="add the id, or mend details.id_field in metadata.json",
                )
            self._seen = None
            return
        key = hash(value)
        if key in self._seen and self._repeated is None:
            self._repeated = (value, place)
        self._seen.add(key)


def text_id(row: Mapping[str, Any], field: str) -> str | None:
    """The id as text, so that 1 and "1" are one id; None where the field holds nothing that can be one."""
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)
