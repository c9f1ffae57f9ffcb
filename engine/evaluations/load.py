"""Evaluations as they are now: the rows of the store, and entries of the registry that have no rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.data.entries import is_part, newest_first, pick_version, registry_folder
from engine.data.source import near
from engine.errors import EngineError, UsageError
from engine.evaluations.elsewhere import opened_at, places
from engine.evaluations.entry import MALFORMED, METRICS, is_shown, read_evaluation
from engine.evaluations.evaluation import (
    KEY_COLUMNS,
    REPLACED,
    Evaluation,
    EvaluationStore,
    Metric,
    evaluation_of,
    metric_of,
)
from engine.models import canonical_name

PREFIX_LENGTH = 2
"""A shorter beginning of an id is no reference to it."""
MOST_TOLD = 5
"""Metrics of an entry that are left out, of which each is told."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Evaluations, newest first, and what was wrong with those that are left out."""

    evaluations: tuple[Evaluation, ...]
    warnings: tuple[str, ...] = ()
    hidden: int = 0
    """How many are left out because they, or their model or agent, are hidden."""


async def load(store: EvaluationStore | None, *, home: Path, hidden: bool = False, history: bool = False) -> Loaded:
    """All evaluations, newest first; a malformed one is left out with a warning.

    Args:
        store: where rows are; None where there is no database yet.
        home: ENGINE_HOME, whose registry may hold entries that came from elsewhere.
        hidden: whether those are shown too that somebody hid.
        history: whether all revisions are shown, and not just the newest that is visible.
    """
    warnings: list[str] = []
    found = list(await _from_store(store, warnings)) if store is not None else []
    found = [replace(each, hidden=1) if _is_hidden_entry(registry_folder(home), each) else each for each in found]
    known = {each.name for each in found}
    found += await _as_kept(registry_folder(home), list(_from_registry(registry_folder(home), known, warnings)))
    found.sort(key=lambda each: -each.created_at)
    gone = _hidden_things(registry_folder(home))
    shown, left_out = [], 0
    for each in found:
        if each.hidden == REPLACED and not history:
            continue
        if (each.hidden == 1 or _concerns(each, gone)) and not hidden:
            left_out += 1
            continue
        shown.append(each)
    return Loaded(tuple(shown if history else newest(shown)), tuple(warnings), left_out)


def newest(evaluations: Iterable[Evaluation]) -> Iterator[Evaluation]:
    """The newest of each key that no fuller one stands before; of evaluations that come newest first."""
    groups: dict[str, list[Evaluation]] = {}
    for each in evaluations:
        groups.setdefault(each.key, []).append(each)
    chosen = [min(group, key=lambda each: each.standing) for group in groups.values()]
    yield from sorted(chosen, key=lambda each: -each.created_at)


def _foremost(found: Sequence[Evaluation]) -> list[Evaluation]:
    """Those before which none stands that is of the same thing under the same name."""

    def thing(each: Evaluation) -> tuple[Any, ...]:
        return each.details.get("evaluation_name"), *(each.about.get(name) for name in KEY_COLUMNS)

    return [e for e in found if not any(thing(o) == thing(e) and o.standing < e.standing for o in found)]


async def stands_behind(store: EvaluationStore, made: Evaluation, *, home: Path) -> str:
    """What the table shows in place of an evaluation that was just recorded, as a sentence; empty where it shows it."""
    name = str(made.details.get("evaluation_name"))
    if not any(made.standing):
        return ""
    for each in (await load(store, home=home)).evaluations:
        if each.about == made.about and name in each.metrics and each.standing < made.standing:
            unscored, partial, _ = made.standing
            why = "has no score" if unscored else "is partial" if partial else f"is of {made.tasks} tasks"
            return f"{made.name} {why}: the table keeps showing {each.name}, which is of {each.tasks} tasks"
    return ""


def resolve(evaluations: Sequence[Evaluation], text: str) -> Evaluation:
    """The evaluation that an id, a unique beginning of one, `latest`, an entry or a model's name stands for.

    A model's name is `name`, or `provider::name` where several have it.

    Args:
        evaluations: newest first; a key stands for its newest revision.
        text: what somebody wrote.

    Raises:
        UsageError: it stands for none, or for several.
    """
    if text == "latest" and evaluations:
        return evaluations[0]
    exact = [each for each in evaluations if text in (each.evaluation_id, each.name)]
    if exact:
        return exact[0]
    current = list(newest(each for each in evaluations if each.hidden != REPLACED))
    named = [each for each in current if text in (each.key, each.key.partition("/")[2], each.run_id)]
    if named:
        return named[0]
    starting = [each for each in evaluations if each.evaluation_id.startswith(text)]
    found = (
        starting if len(text) >= PREFIX_LENGTH and starting else _foremost([e for e in current if text in _called(e)])
    )
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{each.evaluation_id} ({each.benchmark or each.key})" for each in found[:5])
        raise UsageError(f"{text!r} can be any of {names}", hint="give the id")
    if not evaluations:
        raise UsageError(
            f"there is no evaluation {text!r}, none is recorded yet", hint="engine run ... --record makes one"
        )
    raise UsageError(
        f"there is no evaluation {text!r}", hint=_near(current, text) or "engine evaluation list shows ids; or `latest`"
    )


def _near(current: Sequence[Evaluation], text: str) -> str:
    return near(text, {name for each in current for name in (*_called(each), each.key) if name})


def _called(each: Evaluation) -> tuple[str, str]:
    """The names of its model: alone, and at its provider."""
    return each.model, f"{each.about.get('provider', '')}::{each.model}"


async def _from_store(store: EvaluationStore, warnings: list[str]) -> Iterator[Evaluation]:
    rows = await store.evaluations()
    metrics: dict[str, dict[str, Metric]] = {row["evaluation_id"]: {} for row in rows}
    for row in await store.metrics():
        try:
            metrics[row[0]][row[1]] = metric_of(row)
        except (KeyError, ValueError, TypeError) as error:
            warnings.append(f"metric {row[1]!r} of evaluation {row[0]!r} is left out: {error}")

    def read() -> Iterator[Evaluation]:
        for row in rows:
            try:
                yield evaluation_of(row, metrics[row["evaluation_id"]])
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                warnings.append(f"evaluation {row['evaluation_id']!r} is left out: {type(error).__name__} {error}")

    return read()


def _from_registry(root: Path, known: set[str], warnings: list[str]) -> Iterator[Evaluation]:
    """What the entries hold that are not known, of each name all versions, the newest first."""
    for namespace, name in _names(root):
        folders = (folder for folder in newest_first(root / namespace / name) if (folder / METRICS).is_file())
        newer = math.inf
        for folder in folders:
            if f"{namespace}/{name}/{folder.name}" in known:
                continue
            found = _read(folder, warnings)
            if found is None:
                continue
            if not found.run_id:  # its files only tell when they came here, and they may have come in any order
                found = replace(found, created_at=min(found.created_at, newer))
                newer = found.created_at
            yield found


def _read(folder: Path, warnings: list[str]) -> Evaluation | None:
    """The evaluation in this folder; None where it is malformed, with a warning."""
    name = "/".join(folder.parts[-3:])
    try:
        found, left_out = read_evaluation(folder)
        shown = is_shown(folder)
    except MALFORMED as error:
        warnings.append(f"entry {name} is left out: {type(error).__name__} {error!s:.200}")
        return None
    warnings += left_out[:MOST_TOLD]
    if len(left_out) > MOST_TOLD:
        warnings.append(f"{len(left_out) - MOST_TOLD} more metrics of {name} are left out")
    return found if shown else replace(found, hidden=1)


async def _as_kept(root: Path, entries: Sequence[Evaluation]) -> list[Evaluation]:
    """Entries, with their revisions, as the databases in which they were recorded have them now."""
    found = {each.evaluation_id: each for each in entries}
    for url in places(entries):
        of_place = {each.evaluation_id: each for each in entries if each.place == url}
        try:
            async with opened_at(url) as store:
                rows = [replace(each, place=url) for each in await _from_store(store, [])]
        except EngineError:
            continue  # the entry says everything itself
        keys = {row.key for row in rows if row.evaluation_id in of_place}
        for row in rows:
            if row.evaluation_id in of_place or (row.key in keys and row.hidden == REPLACED):
                found[row.evaluation_id] = replace(row, hidden=1) if _is_hidden_entry(root, row) else row
    return list(found.values())


def _is_hidden_entry(root: Path, evaluation: Evaluation) -> bool:
    """Whether somebody hid the entry in the registry; one that is not there, or not readable, hides nothing."""
    if evaluation.hidden:
        return False
    try:
        return not is_shown(root / evaluation.name)
    except MALFORMED:
        return False


def _hidden_things(root: Path) -> list[dict[str, str]]:
    """Agents and models of the registry whose newest version is not to be shown."""
    hidden = []
    for namespace, name in _names(root):
        if name.startswith("evaluation_"):
            continue
        folder = pick_version(root / namespace / name, "")
        try:
            metadata = json.loads((folder / "metadata.json").read_bytes()) if folder is not None else {}
            if metadata.get("category") in ("agent", "model") and metadata.get("show_entry") is False:
                hidden.append({"category": metadata["category"], "namespace": namespace, "name": name})
        except MALFORMED:
            continue  # what cannot be read hides nothing; the registry's own commands tell of it
    return hidden


def _concerns(evaluation: Evaluation, hidden: Sequence[Mapping[str, str]]) -> bool:
    """Whether it is about one of these; models have many spellings, agents one name in their namespace."""
    about = evaluation.about
    for each in hidden:
        if each["category"] == "model" and _same_model(about.get("model", ""), each["name"]):
            return True
        here = about.get("namespace", "") in ("", each["namespace"])
        if each["category"] == "agent" and about.get("agent") == each["name"] and here:
            return True
    return False


def _same_model(evaluated: str, registered: str) -> bool:
    """`accounts/x/models/llama-v3p1-8b-instruct` is the registry's `Llama-3.1-8B-Instruct`."""
    return bool(evaluated) and canonical_name(evaluated.rpartition("/")[2]) == canonical_name(registered)


def _names(root: Path) -> Iterator[tuple[str, str]]:
    for namespace in _folders(root):
        for name in _folders(root / namespace):
            yield namespace, name


def _folders(path: Path) -> list[str]:
    try:
        return sorted(each.name for each in path.iterdir() if is_part(each.name) and each.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
