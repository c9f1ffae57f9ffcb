"""Who scores a bundle: the solver that is installed here under its name, where it is the same one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.kept import kept_view
from engine.data.reference import open_dataset
from engine.errors import EngineError
from engine.load import build_solver, find_solver
from engine.ports import Dataset
from engine.prepare import Order, prepare_on
from engine.proof.replay import Here
from engine.proof.shelf import Kept
from engine.source import solver_code

LOCAL_FILES = "--local-files lets it be read, where it is what the run had; else verify in another folder"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a bundle may call its solver: no path, no module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A solver that scores; `rows` are the dataset's own where they are not those of the bundle."""

    name: str
    solver: Any
    recorded: str
    here: str
    rows: Dataset | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The solver as `--format json` prints it."""
        same = self.recorded == self.here
        return {"name": self.name, "source_recorded": self.recorded, "source_here": self.here, "same": same}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSolver:
    """Nobody scores: there is no such solver here, or its source is another one. `why` says which."""

    name: str
    recorded: str
    why: str
    here: str = ""
    hint: str = "--other-source lets another source score, --solver names where the solver is"
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as for one that scores, with the reason."""
        return {
            "name": self.name,
            "source_recorded": self.recorded,
            "source_here": self.here or None,
            "same": False,
            "why": self.why,
            "hint": self.hint,
        }


def installed(kept: Kept, here: Here, *, other_source: bool = False, local_files: bool = False) -> Installed | NoSolver:
    """The solver that scores a bundle; blocking.

    Args:
        kept: the bundle.
        here: where solvers are looked for; a dataset that is named there stands in for the bundle's rows.
        other_source: whether one whose source differs may score.
        local_files: whether the bundle's options may name files of this machine.
    """
    name, recorded = kept.run.record.solver, str(kept.run.parts.get("solver_source"))
    if not here.solver and not NAME.fullmatch(name):
        return NoSolver(name=name, recorded=recorded, why="the bundle names its solver by what is no name")
    if not local_files and (named := _local_file(kept)):
        option, value = named
        why = f"the option {option} of the bundle names {value!r:.80}, which is a file or folder of this machine"
        return NoSolver(name=name, recorded=recorded, why=why, hint=LOCAL_FILES)
    try:
        found = find_solver(here.solver or name, folder=here.folder)
        source = solver_code(found, {}).source
        if source != recorded and not other_source:
            why = f"the solver {name!r} here is another one: its source has the hash {source}, recorded was {recorded}"
            return NoSolver(name=name, recorded=recorded, here=source, why=why)
        return _built(kept, found, source, here)
    except EngineError as error:
        return NoSolver(name=name, recorded=recorded, why=error.message)


def _built(kept: Kept, found: type[Any], source: str, here: Here) -> Installed | NoSolver:
    run, recorded = kept.run.record, str(kept.run.parts.get("solver_source"))
    options, notes = _safe(kept.run.options)
    if source != recorded:
        notes.append(f"the solver {run.solver!r} here is another one: source {source}, recorded {recorded}")
    rows: Dataset | None = None
    if here.dataset:
        order = Order(
            dataset=here.dataset,
            solver=found,
            model=run.model,
            subset=run.subset,
            options=options,
            check_compatibility=False,
        )
        opened = open_dataset(here.dataset, subset=run.subset, folder=here.folder, home=here.home)
        prepared = prepare_on(order, found, opened)
        rows, solver = prepared.rows, prepared.solver
        if rows.fingerprint != run.dataset_fingerprint:
            theirs = run.dataset_fingerprint
            why = f"dataset {here.dataset!r} has the fingerprint {rows.fingerprint}, recorded was {theirs}"
            return NoSolver(name=run.solver, recorded=recorded, here=source, why=why)
    elif not kept.with_rows:
        why = f"the bundle holds no rows of {run.dataset!r}: give the dataset with --dataset"
        return NoSolver(name=run.solver, recorded=recorded, here=source, why=why)
    else:
        view = kept_view(run.dataset, run.subset, kept.data(), {})
        solver, _ = build_solver(found, dataset=view, model=run.model, agent=run.agent, options=options)
    scorers = dict(solver_code(found, solver.scorer_versions()).scorers)
    if scorers != dict(kept.run.parts.get("scorers") or {}):
        notes.append(f"scorers here are {scorers}, recorded were {kept.run.parts.get('scorers')}")
    return Installed(name=run.solver, solver=solver, recorded=recorded, here=source, rows=rows, notes=tuple(notes))


def _local_file(kept: Kept) -> tuple[str, str] | None:
    """The first option that names something on this machine, and what: a stranger chooses nothing that is read here.

    A split of the bundle is none, unless its name is a path.
    """
    for option, value in kept.run.options.items():
        for text in _texts(value):
            if not (text in kept.splits and NAME.fullmatch(text)) and _is_there(text):
                return option, text
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in (*value.keys(), *value.values()) for text in _texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _texts(each))


def _is_there(text: str) -> bool:
    try:
        return bool(text) and os.path.lexists(Path(text).expanduser())
    except (OSError, ValueError, RuntimeError):  # no name that a file can have
        return False


def _safe(options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options without what would let code out of its sandbox: a stranger does not decide that."""
    unsafe = [name for name, value in options.items() if value and (name.startswith("unsafe") or name == "container")]
    notes = [f"the option {name} is not followed here: code stays in its sandbox" for name in unsafe]
    return {name: value for name, value in options.items() if name not in unsafe}, notes
