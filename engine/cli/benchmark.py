"""`engine benchmark list`: the runs that are stored, newest first, and how far each of them got."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from engine.cli.listing import print_listing
from engine.errors import UsageError
from engine.records import Outcome, Selection, Tally

if TYPE_CHECKING:
    from engine.ports import Store

COLUMNS = {
    "id": 20,
    "namespace": 20,
    "benchmark": 40,
    "model": 30,
    "solver": 30,
    "args": 50,
    "score": 8,
    "solved": 10,
    "done": 16,
    "errors": 7,
    "status": 8,
    "tokens": 12,
    "cost": 10,
    "started": 16,
}
WHOLE = ("id", "benchmark", "model", "score", "done")
EVERYTHING = 2**31 - 1
NOTHING = "nothing is stored yet"


def list_(
    *,
    namespace: str = "",
    benchmark: Annotated[str, Parameter(name=("--benchmark", "--benchmark-name"))] = "",
    solver: str = "",
    args: Annotated[str, Parameter(name=("--args", "--solver-args"))] = "",
    total: Annotated[int, Parameter(name=("--total", "--limit"))] = 32,
    offset: int = 0,
    format: str = "table",  # noqa: A002 - the flag's name
) -> int:
    """List the runs that are stored, newest first.

    Args:
        namespace: only datasets of exactly this namespace.
        benchmark: only datasets or benchmarks with this in their name.
        solver: only solvers with this in their name.
        args: only runs with this in the text of their arguments: model, subset and the solver's options.
        total: at most this many.
        offset: pass over this many first.
        format: table, or json for one list of objects.
    """
    if total < 1 or offset < 0:
        raise UsageError(f"--total {total} --offset {offset} is no page", hint="at least 1, and from 0 on")
    if format not in ("table", "json"):
        raise UsageError(f"--format is {format!r}", hint="use table or json")
    wanted = Wanted(namespace=namespace, benchmark=benchmark, solver=solver, args=args)
    from engine.cli.opened import overlooked, run

    async def work(store: Store | None, home: Path) -> int:
        del home
        found = [] if store is None else await store.find_runs(limit=EVERYTHING)
        matching = [row for row in found if wanted.fits(row)]
        page = matching[offset : offset + total]
        lines = [line_of(row, await tally_of(store, row)) for row in page] if store is not None else []
        if format == "json":
            print(json.dumps(lines, indent=2))
        elif not found:
            print("\n".join(filter(None, (NOTHING, overlooked()))), file=sys.stderr)
        else:
            more = len(matching) - offset - len(page)
            print_listing([texts_of(line) for line in lines], COLUMNS, more=more > 0, whole=WHOLE)
            if more > 0:
                print(f"{more} more: --offset {offset + total}, or --total N", file=sys.stderr)
        return 0

    return run(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs are listed."""

    namespace: str
    benchmark: str
    solver: str
    args: str

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of `runs` is one of them."""
        return (
            self.namespace in ("", namespace_of(row["dataset"]))
            and (self.benchmark in row["dataset"] or self.benchmark in row["benchmark"])
            and self.solver in row["solver"]
            and self.args in json.dumps(arguments_of(row), ensure_ascii=False)
        )


def namespace_of(dataset: str) -> str:
    """The namespace of a registry entry, or the owner of a dataset of the hub; empty for everything else."""
    from engine.data.entries import LATEST, is_part, parse_version

    scheme, _, rest = dataset.partition(":")
    parts = (rest if scheme == "hf" else dataset).split("/")
    if scheme == "hf" and len(parts) == 2:
        return parts[0]
    versioned = len(parts) == 3 and (parts[2] == LATEST or parse_version(parts[2]) is not None)
    plain = versioned or (len(parts) == 2 and "." not in parts[1])
    return parts[0] if plain and all(is_part(part) for part in parts) else ""


def arguments_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the benchmark was run with: model, agent, subset and the solver's options."""
    named = {name: row[name] for name in ("model", "agent", "subset") if row[name]}
    return {**named, **json.loads(row["options"])}


async def tally_of(store: Store, row: Mapping[str, Any]) -> Tally:
    """Counts over all tasks of a run that have ended."""
    return await store.tally(row["run_id"], Selection(stop=EVERYTHING, repeats=max(1, row["repeats"])))


def line_of(row: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    """A run as JSON shows it: scores as fractions, times in seconds since 1970, costs in USD."""
    outcomes = {outcome.value: count for outcome, count in tally.outcomes.items() if count}
    return {
        "id": row["run_id"],
        "namespace": namespace_of(row["dataset"]),
        "benchmark": row["dataset"],
        "name": row["benchmark"],
        "solver": row["solver"],
        "args": arguments_of(row),
        "provider": row["provider"],
        "generation": row["generation"],
        "score": tally.score,
        "solved": tally.values,
        "done": tally.finished,
        "total": max(_rows(row) * max(1, row["repeats"]) or row["planned"], tally.finished),
        "planned": row["planned"],
        "errors": sum(tally.outcomes.get(each, 0) for each in (Outcome.ERRORED, Outcome.SKIPPED)),
        "outcomes": outcomes,
        "status": row["status"],
        "requests": tally.requests,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "cost_usd": tally.cost_usd,
        "uncached_cost_usd": tally.uncached_cost_usd,
        "created_at": row["created_at"],
        "ended_at": row["ended_at"],
    }


def _rows(row: Mapping[str, Any]) -> int:
    """Rows of the dataset; 0 where the run does not say."""
    found = json.loads(row["environment"]).get("dataset_rows")
    return found if isinstance(found, int) else 0


def texts_of(line: Mapping[str, Any]) -> dict[str, str]:
    """A run as a person reads it."""
    from engine.cli.show import usd

    score, solved = line["score"], f"{line['solved']:.2f}".rstrip("0").rstrip(".")
    generation = f"#{line['generation']}" if line["generation"] else ""
    return {
        "id": line["id"],
        "namespace": line["namespace"],
        "benchmark": line["benchmark"],
        "model": line["args"].get("model", ""),
        "solver": line["solver"] + generation,
        "args": json.dumps(line["args"], ensure_ascii=False),
        "score": "–" if score is None else f"{100 * score:.2f}%",
        "solved": solved,
        "done": f"{line['done']}/{line['total']}" if line["done"] or line["requests"] else "not begun",
        "errors": str(line["errors"]),
        "status": line["status"],
        "tokens": _tokens(line["input_tokens"], line["output_tokens"]),
        "cost": usd(line["uncached_cost_usd"]),
        "started": datetime.fromtimestamp(line["created_at"], UTC).strftime("%Y-%m-%d %H:%M"),
    }


def _tokens(read: int | None, written: int | None) -> str:
    """All of them together; a dash where the endpoint did not tell."""
    return "–" if read is None or written is None else str(read + written)
