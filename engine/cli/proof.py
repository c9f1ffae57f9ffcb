"""`engine evaluation bundle` and `engine verify`: an evaluation in one file, and whether its figures come out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter

from engine.cli.evaluation import Flag
from engine.cli.opened import holding, loaded, print_rows, run
from engine.cli.show import counted
from engine.environment import read_environment
from engine.errors import UsageError
from engine.evaluations.cells import figure, plain
from engine.evaluations.evaluation import EvaluationStore
from engine.evaluations.load import resolve

if TYPE_CHECKING:
    from engine.proof.check import Proof
    from engine.proof.compared import Figure

SUFFIX = ".bundle"
NOT_MET = 1
FORMATS = ("table", "json")


def bundle(
    evaluation: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    rows: Annotated[bool, Parameter(negative="--without-rows")] = True,
    solver: str = "",
    dataset: str = "",
    format: str = "table",  # noqa: A002 - the flag's name
) -> int:
    """Write an evaluation as one file from which anybody can replay its scoring: `engine verify FILE`.

    It holds configuration, rows, prompts, completions, scores and hashes. Nothing is sent.

    Args:
        evaluation: an id, the beginning of one, latest, an entry, or a model's name.
        output: the file; its id with .bundle in this folder without.
        rows: whether the rows of the dataset go along; without them whoever verifies needs the dataset, pinned by
            its fingerprint.
        solver: where the solver is, if it is not where the run found it, as path.py:Class.
        dataset: where the dataset is, if it is not where the run found it.
        format: table or json.
    """
    from engine.proof.make import make_bundle
    from engine.proof.replay import Here

    _require(format)

    async def work(store: EvaluationStore | None, home: Path) -> None:
        found = resolve((await loaded(store, home, hidden=True, history=True)).evaluations, evaluation)
        path = output or Path(found.evaluation_id + SUFFIX)
        here = Here(folder=Path.cwd(), home=home, solver=solver, dataset=dataset)
        async with holding(store, home, found) as kept_in:
            if kept_in is None:
                raise UsageError(f"{found.name!r} came without its run, so there is no proof of it", hint="run it here")
            made = await make_bundle(kept_in, found, path, here=here, with_rows=rows)
        size = path.stat().st_size
        if format == "json":
            told = {"file": str(path), "bytes": size, "sha256": made.digest, "tasks": made.tasks, "unlike": made.unlike}
            print(json.dumps({"evaluation_id": found.evaluation_id, **told}))
            return
        print(f"{path}: {made.tasks} tasks, {size:,} bytes, sha256 of its content {made.digest}")
        if made.unlike:
            print(f"warning: {made.unlike} tasks come out otherwise when they are scored again, so it will not verify")

    return run(work)


def verify(
    file: Path,
    /,
    *,
    solver: str = "",
    dataset: str = "",
    other_source: Flag = False,
    local_files: Flag = False,
    verbose: Annotated[Flag, Parameter(name=("--verbose", "-v"))] = False,
    format: str = "table",  # noqa: A002 - the flag's name
) -> int:
    """Replay the scoring of a bundle offline, and say figure by figure whether it comes out the same.

    The exit code is 0 where everything does, else 1. Nothing in the file is executed but, in the sandbox of the
    solver that is installed here, what a benchmark of code asks to run.

    Args:
        file: what `engine evaluation bundle` wrote.
        solver: which installed solver scores, in place of that with the recorded name, as path.py:Class.
        dataset: the dataset, in place of the rows in the file; it must have the recorded fingerprint.
        other_source: let a solver score whose source is another one than was recorded.
        local_files: let options of the bundle name files of this machine, as --examples shots.jsonl does.
        verbose: every figure, and not just those that differ.
        format: table or json.
    """
    from engine.proof.check import check_bundle
    from engine.proof.replay import Here

    _require(format)
    if not file.is_file():
        raise UsageError(f"there is no file {str(file)!r}", hint="engine evaluation bundle ID makes one")
    here = Here(folder=Path.cwd(), home=read_environment(Path.cwd()).home, solver=solver, dataset=dataset)

    async def main() -> Proof:
        return await check_bundle(file, here, other_source=other_source, local_files=local_files)

    proof = anyio.run(main)
    if format == "json":
        print(json.dumps({"file": str(file), **proof.as_dict()}, ensure_ascii=False))
    else:
        _show(proof, verbose=verbose)
    return 0 if proof.holds else NOT_MET


def _require(form: str) -> None:
    if form not in FORMATS:
        raise UsageError(f"--format is {form!r}", hint=f"use one of {', '.join(FORMATS)}")


def _show(proof: Proof, *, verbose: bool) -> None:
    solver, evaluation = proof.solver.as_dict(), proof.evaluation
    print(plain(f"evaluation {evaluation.evaluation_id}  {evaluation.name}"))
    print(plain(f"dataset {evaluation.dataset} {evaluation.subset}, solver {solver['name']}"))
    print(f"sha256 of its content {proof.digest}")
    if "why" in solver:
        print(plain(f"not replayed: {solver['why']}"))
        print(f"  hint: {solver['hint']}")
    else:
        same = "the same as recorded" if solver["same"] else "not the recorded one"
        print(f"solver source {solver['source_here']}, {same}")
        print(f"{counted(proof.replayed, 'task')} scored again")
    for line in _left_out(proof):
        print(line)
    for note in proof.notes:
        print(plain(f"note: {note}"))
    for each in proof.unlike:
        print(plain(f"differs: task {each.index} repeat {each.repeat}: {', '.join(each.what)}"))
    if proof.different > len(proof.unlike):
        print(f"and {proof.different - len(proof.unlike)} more tasks differ")
    shown = [each for each in proof.figures if verbose or not each.same]
    if shown:
        print_rows(("figure", "recorded", "comes out", "is"), [_row(each) for each in shown], "table")
    print(_verdict(proof))


def _row(each: Figure) -> tuple[str, ...]:
    sides = ["–" if metric is None else figure(metric.value, metric.unit) for metric in (each.recorded, each.replayed)]
    if not each.checked:
        return each.name, *sides, "not replayed"
    return each.name, *sides, "the same" if each.same else "not the same: " + ", ".join(each.unlike)


def _left_out(proof: Proof) -> Iterator[str]:
    """What nobody can see from the file, a line each."""
    lost = proof.unreplayable.total()
    if lost:
        which = ", ".join(f"{count} {outcome}" for outcome, count in sorted(proof.unreplayable.items()))
        have = "has" if lost == 1 else "have"
        yield f"{counted(lost, 'task')} without an answer {have} no reply and cannot be replayed: {which}"
    if proof.absent:
        are = "is" if proof.absent == 1 else "are"
        yield f"{counted(proof.absent, 'task')} of the run {are} not in the file"


def _verdict(proof: Proof) -> str:
    checked = [each for each in proof.figures if each.checked]
    same = sum(each.same for each in checked)
    if proof.holds:
        those = " that can be replayed" if proof.unreplayable or proof.absent else ""
        return f"verified: all {len(checked)} figures and all {proof.replayed} tasks{those} come out the same"
    if not proof.replayed:
        why = "nothing was scored again" if "why" in proof.solver.as_dict() else "no task can be replayed"
        return f"not verified: {why}; {same} of {len(checked)} figures follow from the recorded scores"
    return (
        f"not verified: {same} of {len(checked)} figures come out the same, "
        f"{proof.different} of {proof.tasks} tasks come out otherwise"
    )
