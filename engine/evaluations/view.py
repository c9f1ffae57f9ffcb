"""What somebody wants to see of the evaluations: one record for the table, saved views, the page and its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from engine.data.source import near
from engine.errors import UsageError

LISTS = frozenset({"columns", "tags"})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view of the table.

    `columns` are shown in their order, `*` stands for any part of a name; without them the important metrics
    are. `sort` is a column, with `-` before it for descending; without it the newest come first. `min_n` leaves
    out figures of fewer tasks. The rest is how much of it is printed.
    """

    columns: tuple[str, ...] = ()
    where: str = ""
    tags: tuple[str, ...] = ()
    sort: str = ""
    hidden: bool = False
    min_n: int = 0
    all_metrics: bool = False
    all_key_columns: bool = False
    num_columns: int = 6
    metric_name_max_length: int = 30

    def as_dict(self) -> dict[str, Any]:
        """What differs from the standard view, as JSON holds it."""
        standard = asdict(View())
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != standard[name]
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The view that a mapping describes.

        Raises:
            UsageError: it has an unknown key, or a value of another kind.
        """
        kinds = {field.name: type(getattr(View(), field.name)) for field in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in found.items():
            if name not in kinds:
                raise UsageError(f"a view has no {name!r}", hint=near(name, kinds) or f"it has {', '.join(kinds)}")
            if name in LISTS and isinstance(value, list | tuple):
                value = tuple(str(each) for each in value)  # noqa: PLW2901 - the same value as a tuple
            if type(value) is not kinds[name]:
                raise UsageError(f"a view's {name} is {value!r}", hint=f"it must be of type {kinds[name].__name__}")
            given[name] = value
        return cls(**given)

    def query(self) -> str:
        """The view as the query of an address: `columns=a&columns=b&sort=-a`."""
        return urlencode(self.as_dict(), doseq=True)

    @classmethod
    def from_query(cls, query: str) -> Self:
        """The view of an address; see `query`.

        Raises:
            UsageError: it has an unknown key, or a value of another kind.
        """
        found: dict[str, Any] = {}
        standard = View()
        for name, value in parse_qsl(query, keep_blank_values=True):
            kind = type(getattr(standard, name, ""))
            if name in LISTS:
                found[name] = [*found.get(name, []), value]
            elif kind is bool:
                found[name] = value.lower() in ("true", "1", "on", "yes")
            elif kind is int:
                found[name] = int(value) if value.isdigit() else value
            else:
                found[name] = value
        return cls.from_dict(found)
