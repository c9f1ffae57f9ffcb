"""The text of bench.toml as a checked `Bench`; pure, and all mistakes at once with file and line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from engine.errors import ConfigError
from engine.literal_keys import masked
from engine.mistakes import MISSING, SECRET, Mistake, mistakes_of
from engine.overrides import override
from engine.settings import (
    Bench,
    Benchmark,
    EngineLimits,
    ErrorLimit,
    ModelConfig,
    Prices,
    Provider,
    Sampling,
    StorageConfig,
)
from engine.toml_lines import KeyPath, key_lines

__all__ = [
    "Bench",
    "Benchmark",
    "EngineLimits",
    "ErrorLimit",
    "ModelConfig",
    "Prices",
    "Provider",
    "Sampling",
    "StorageConfig",
    "bench_schema",
    "check_bench",
    "parse_bench",
    "readable_part",
]

HINT = "`engine schema` prints every key with its type and meaning"
LONGEST_VALUE = 80
LONGEST_LINE = 160


def parse_bench(
    text: str, *, name: str = "bench.toml", overrides: Sequence[str] = (), allow_empty: bool = False
) -> Bench:
    """The checked content of a bench.toml, with `--set key=value` flags laid over it.

    Args:
        text: TOML; empty where everything comes from `overrides`.
        name: what messages call the file.
        overrides: as `engine.max_concurrent=8`, `benchmark.limit=10` (all) or `benchmark.0.limit=10` (the first).
        allow_empty: whether a file without a `[[benchmark]]` is fine.

    Raises:
        ConfigError: with all mistakes, a line each: `bench.toml:LINE: path: what is wrong: value`.
    """
    text = text.removeprefix("\ufeff")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(str(error), text, name) from None
    changed = override(table, overrides)
    place = _Place(name, lines=key_lines(text), source=text.splitlines(), flags=changed.flags)
    return _checked(changed.table, place, allow_empty=allow_empty, before=changed.mistakes)


def readable_part(text: str, *, overrides: Sequence[str] = ()) -> Bench | None:
    """A bench.toml with mistakes less what they stand on, to look for mistakes of another kind in the rest.

    Benchmarks keep their numbers: one that cannot be read at all makes the answer None, as does what is no TOML.
    A model that cannot be is a simulated one here.
    """
    try:
        table = override(tomllib.loads(text.removeprefix("\ufeff")), overrides).table
    except tomllib.TOMLDecodeError:
        return None
    found = json.loads(json.dumps(table, default=str))  # a copy, in which dates are texts
    for _ in range(2):  # the second time round for what showed when the first was gone
        try:
            return Bench.model_validate(found)
        except ValidationError as error:
            for mistake in mistakes_of(error):
                _leave_out(found, mistake.path)
    return None


def _leave_out(table: Any, path: KeyPath) -> None:
    """Take away what stands at this path, or make it what can be read."""
    *above, last = path
    try:
        for key in above:
            table = table[key]
        if path[:1] == ("benchmark",) and path[2:3] == ("models",):
            table[last] = "simulated::any" if len(path) > 3 else ["simulated::any"]
        else:
            del table[last]
    except (KeyError, IndexError, TypeError):
        return  # it was missing, or went with another one


def check_bench(
    data: Mapping[str, Any], *, where: str, flags: Mapping[KeyPath, str] | None = None, allow_empty: bool = False
) -> Bench:
    """The checked `Bench` of a table that comes from no file.

    Args:
        data: the table.
        where: what begins each line of the message.
        flags: what begins it instead, for the paths that a flag has set.
        allow_empty: whether a table without benchmarks is fine.

    Raises:
        ConfigError: with all mistakes, a line each: `where: path: what is wrong: value`.
    """
    return _checked(data, _Place(where, flags=flags or {}), allow_empty=allow_empty)


def bench_schema() -> dict[str, Any]:
    """The JSON schema of bench.toml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Bench.model_json_schema()}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where settings come from: a file with its lines, and the flags laid over it."""

    name: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    source: Sequence[str] = ()
    flags: Mapping[KeyPath, str] = field(default_factory=dict)

    def find(self, path: KeyPath) -> tuple[int, str]:
        """Line and name of what set this path, or the nearest table around it; line 0 is not in the file."""
        for length in range(len(path), 0, -1):
            part = path[:length]
            if part in self.flags:
                return 0, self.flags[part]
            if part in self.lines:
                return self.lines[part], f"{self.name}:{self.lines[part]}"
            for inner, flag in self.flags.items():
                if inner[:length] == part:
                    return 0, flag
        return 0, f"{self.name}:1" if self.lines else self.name


def _checked(table: Mapping[str, Any], place: _Place, *, allow_empty: bool, before: Sequence[str] = ()) -> Bench:
    mistakes: list[Mistake] = []
    if not allow_empty and table.get("benchmark", []) == []:
        mistakes.append(Mistake(("benchmark",), "is missing: name a dataset, a solver and a model", MISSING))
    try:
        bench = Bench.model_validate(table)
    except ValidationError as error:
        mistakes += mistakes_of(error)
    else:
        if not mistakes and not before:
            return bench
    lines = [masked(text) for text in before] + _report(mistakes, place)
    raise ConfigError("\n".join(lines), hint=HINT)


def _report(mistakes: Iterable[Mistake], place: _Place) -> list[str]:
    """A line for each mistake in the order of the file, flags last, each followed by its source line."""
    found = [(*place.find(mistake.path), mistake) for mistake in mistakes]
    hidden = {line for line, _, mistake in found if mistake.kind == SECRET}
    report: list[str] = []
    for line, where, mistake in sorted(found, key=lambda each: (each[0] == 0, each[0])):
        sentence = f"{masked(where)}: {masked(dotted(mistake.path))}: {masked(mistake.what)}{_shown(mistake)}"
        report.append(sentence + (f"; did you mean {mistake.guess!r}?" if mistake.guess else ""))
        if 0 < line <= len(place.source) and line not in hidden:
            report.append(_source_line(place.source[line - 1]))
    return report


def _shown(mistake: Mistake) -> str:
    """The value, where it is short and no secret."""
    if mistake.kind in {SECRET, MISSING} or mistake.value is None or isinstance(mistake.value, Mapping | list | tuple):
        return ""
    text = masked(repr(mistake.value))
    return f": {text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + '…'}"


def _source_line(line: str) -> str:
    text = masked(line.strip())
    return "    " + (text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + "…")


def dotted(path: KeyPath) -> str:
    """The path as `--set` takes it, parts that are no bare keys in quotes."""
    parts = (str(part) for part in path)
    return ".".join(p if re.fullmatch(r"[A-Za-z0-9_-]+", p) else json.dumps(p, ensure_ascii=False) for p in parts)


def _malformed(message: str, text: str, name: str) -> ConfigError:
    lines = text.split("\n")
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    number = int(found[1]) if found and found[1] else len(text.rstrip().split("\n"))
    what = message[: found.start()] if found else message
    source = _source_line(lines[number - 1]) if number <= len(lines) else ""
    complaint = f"{name}:{number}: is not TOML: {masked(what[:1].lower() + what[1:])}\n{source}".rstrip()
    return ConfigError(complaint, hint="text is written in quotes, tables as [name], and each key once in its table")
