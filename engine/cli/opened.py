"""The store that a command reads, and rows printed in the format that was asked for."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from engine.cli.place import named_store
from engine.environment import read_environment
from engine.errors import OlderSchemaError, UsageError
from engine.evaluations.cells import plain
from engine.evaluations.elsewhere import holds, kept_place, opened_at
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.evaluations.load import Loaded, load
from engine.evaluations.text import columns_that_fit, grid, markdown, rows_text, to_csv
from engine.load import built_in

BENCH = "bench.toml"
SHIPPED_STORE = "bench.db"
FORMATS = ("table", "md", "csv", "json")


def run(
    work: Callable[[EvaluationStore | None, Path], Awaitable[int | None]], *, write: bool = False, make: bool = False
) -> int:
    """Run a command on the store of this folder, to read or to write; without one it gets None, or has it made."""

    async def main() -> int:
        environment = read_environment(Path.cwd())
        async with opened(environment.home, write=write, make=make) as store:
            return await work(store, environment.home) or 0

    return anyio.run(main)


@asynccontextmanager
async def opened(home: Path, *, write: bool, make: bool = False) -> AsyncIterator[EvaluationStore | None]:
    """The store that runs in this folder use; None where there is none yet and none is to be made."""
    url, there = _place(home)
    if not make and not there:
        yield None
        return
    backend = built_in("storage").backend(url)
    async with AsyncExitStack() as stack:
        if not write:
            try:
                store = await stack.enter_async_context(backend.open_store(url, read_only=True))
            except OlderSchemaError:
                write = True  # which brings it up to date
        if write:
            store = await stack.enter_async_context(backend.open_store(url))
        yield store


@asynccontextmanager
async def holding(
    store: EvaluationStore | None, home: Path, evaluation: Evaluation, *, write: bool = False
) -> AsyncIterator[EvaluationStore | None]:
    """The store that has the evaluation: that of this folder, else that in which it was recorded, where it is there.

    Raises:
        UsageError: neither has it; both are named.
    """
    wanted, url = evaluation.evaluation_id, evaluation.place
    if store is not None and await _has(store, evaluation):
        yield store
    elif await holds(url, evaluation):
        async with opened_at(url, write=write) as other:
            yield other
    elif evaluation.run_id:
        looked_in = " and ".join(dict.fromkeys(each for each in (kept_place(_place(home)[0]), url) if each))
        raise UsageError(
            f"evaluation {wanted!r} came without its run: it is not in {plain(looked_in)}",
            hint="work where it was recorded, or run it here",
        )
    else:
        yield store


async def _has(store: EvaluationStore, evaluation: Evaluation) -> bool:
    if evaluation.run_id and await store.run(evaluation.run_id) is not None:
        return True
    return any(row["evaluation_id"] == evaluation.evaluation_id for row in await store.evaluations())


async def loaded(store: EvaluationStore | None, home: Path, *, hidden: bool = False, history: bool = False) -> Loaded:
    """All evaluations; what is wrong with those that are left out goes to stderr."""
    found = await load(store, home=home, hidden=hidden, history=history)
    for warning in found.warnings:
        print(f"warning: {plain(warning)}", file=sys.stderr)
    return found


def print_rows(head: Sequence[str], rows: Sequence[Sequence[str]], form: str, *, uncut: Collection[str] = ()) -> None:
    """Rows of text in one of the formats but JSON; on a terminal the columns of `uncut` are there whole in any case."""
    safe = [[plain(cell) for cell in row] for row in rows]
    if form == "csv":
        print(to_csv(head, safe))
    elif form == "md":
        print(markdown(head, safe))
    elif uncut:
        print(rows_text(head, safe, uncut=uncut, limit=terminal_width()))
    else:
        limit = terminal_width()
        fit = columns_that_fit(len(head), limit)
        print(grid(head[:fit], [row[:fit] for row in safe], limit=limit, fixed=fit))
        if fit < len(head):
            print(f"{', '.join(head[fit:])} left out: a wider terminal, or --format csv, has room")


def terminal_width() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _place(home: Path) -> tuple[str, bool]:
    """The URL of the store, a relative file in it taken from this folder, and whether there can be one."""
    url = named_store() or _configured() or f"sqlite:///{home / 'engine.db'}"
    head, mark, path = url.partition(":///")
    if not mark:
        return url, True
    file = Path.cwd() / Path(path).expanduser()
    return f"{head}:///{file}", file.exists()


def overlooked() -> str:
    """Of the embedded batch's database, where it lies here and nothing says that it is this folder's; else empty."""
    if named_store() or Path(BENCH).is_file() or not Path(SHIPPED_STORE).is_file():
        return ""
    what = f"{SHIPPED_STORE} here, of the batch that comes with the engine, is not looked at"
    return f'{what}: there is no {BENCH} with [storage] url = "sqlite:///{SHIPPED_STORE}"'


def _configured() -> str:
    """The URL in this folder's bench.toml, empty where it names none; what else stands there is not looked at."""
    if not Path(BENCH).is_file():
        return ""
    try:
        url = tomllib.loads(Path(BENCH).read_text(encoding="utf-8")).get("storage", {}).get("url", "")
    except (OSError, ValueError, AttributeError):
        url = None
    if isinstance(url, str):
        return url
    from engine.cli.batch import project_bench  # imports half the engine, and says what is wrong

    return project_bench().storage.url


def require_format(form: str) -> None:
    """Check what was given as --format.

    Raises:
        UsageError: it is none of them.
    """
    if form not in FORMATS:
        raise UsageError(f"--format is {form!r}", hint=f"use one of {', '.join(FORMATS)}")
