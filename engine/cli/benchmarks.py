"""`engine benchmarks`: what ships, on which data, under which licence, and how far it was verified."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from engine.cli.listing import print_listing
from engine.errors import UsageError

COLUMNS = {"dataset": 24, "solver": 26, "rows": 10, "metrics": 30, "licence": 14, "verified by": 16, "source": 30}
FORMATS = ("table", "json", "md")


def benchmarks(*, format: str = "table") -> int:  # noqa: A002 - the flag's name
    """List what ships: `engine run DATASET SOLVER` works with these names where the hub can be reached.

    Verified by `recordings`: answers of real models have their published verdicts, row by row. By `official
    scorer`: compared with it on many replies. By `references`: the reference programs pass. By `prompts`: these are
    the published ones, and no recording was at hand.

    Args:
        format: table; md and json say in words what was verified, and what is wanted next.
    """
    if format not in FORMATS:
        raise UsageError(f"--format is {format!r}", hint=f"use one of {', '.join(FORMATS)}")
    rows, further, wanted = shipped()
    if format == "json":
        print(
            json.dumps({"benchmarks": rows, "further_solvers": further, "wanted": wanted}, ensure_ascii=False, indent=2)
        )
    elif format == "md":
        print("\n".join(markdown(rows, wanted)))
    else:
        print_listing([_cells(row) for row in rows], COLUMNS, whole=("dataset", "solver"))
        print(f"\nalso: {', '.join(each['solver'] for each in further)}")
        print(f"wanted next: {', '.join(each['benchmark'] for each in wanted)}")
    return 0


def shipped() -> tuple[list[dict[str, Any]], list[dict[str, str]], list[dict[str, str]]]:
    """What ships, solvers that need no dataset of their own, and what is wanted next."""
    from engine.data.catalogue import CATALOGUE
    from engine.load import built_in

    listed = import_module(f"{built_in('solvers').__name__}.shipped")
    rows = [
        {
            "datasets": list(each.names),
            "solver": each.solver,
            "rows": each.rows,
            "paper": each.paper,
            "hub": [CATALOGUE[name].reference for name in each.names],
            "licence": CATALOGUE[each.names[0]].licence,
            "metrics": each.metrics,
            "verified_by": each.kind,
            "verified": each.verified,
        }
        for each in listed.SHIPPED
    ]
    further = [{"solver": solver, "is": what} for solver, what in listed.FURTHER]
    return rows, further, [{"benchmark": name, "needs": needs} for name, needs in listed.WANTED]


def markdown(rows: list[dict[str, Any]], wanted: list[dict[str, str]]) -> list[str]:
    """The lines of the tables as they stand in the documentation."""
    lines = ["| dataset | solver | rows | licence | metrics | verified by | that is |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        names = ", ".join(f"`{name}`" for name in row["datasets"])
        told = (row["rows"], row["licence"], row["metrics"], row["verified_by"], row["verified"])
        lines.append(f"| {names} | `{row['solver']}` | {' | '.join(told)} |")
    lines += ["", "| wanted next | what it needs |", "|---|---|"]
    return [*lines, *(f"| {each['benchmark']} | {each['needs']} |" for each in wanted)]


def _cells(row: dict[str, Any]) -> dict[str, str]:
    source = f"{row['paper']}; {', '.join(dict.fromkeys(row['hub']))}"
    told = {name: row[name] for name in ("solver", "rows", "metrics", "licence")}
    return {"dataset": ", ".join(row["datasets"]), **told, "verified by": row["verified_by"], "source": source}
