"""The database that an evaluation was recorded in, where it is another one than that of the current folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from engine.errors import EngineError
from engine.evaluations.evaluation import Evaluation, EvaluationStore
from engine.load import built_in

SQLITE = "sqlite:///"


def kept_place(url: str) -> str:
    """What may be written down of a store's URL: a file's absolute path, else neither user, password nor query."""
    if not url or url.startswith(SQLITE):
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def is_there(url: str) -> bool:
    """Whether it is a file on this machine; an entry is foreign text, so nothing else is ever opened."""
    path = url.removeprefix(SQLITE)
    try:
        return url.startswith(SQLITE) and Path(path).is_absolute() and Path(path).is_file()
    except (OSError, ValueError):
        return False


@asynccontextmanager
async def opened_at(url: str, *, write: bool = False) -> AsyncIterator[EvaluationStore]:
    """The store in this file, to read unless it is to be written.

    Raises:
        StorageError: it is no store.
    """
    backend = built_in("storage").backend(url)
    async with backend.open_store(url, **({} if write else {"read_only": True})) as store:
        yield cast("EvaluationStore", store)


async def holds(url: str, evaluation: Evaluation) -> bool:
    """Whether there is a store in this file that has the evaluation; it is only read."""
    if not is_there(url):
        return False
    try:
        async with opened_at(url) as store:
            rows = await store.evaluations()
    except EngineError:
        return False
    wanted = (evaluation.evaluation_id, evaluation.name)
    return any((row["evaluation_id"], row["name"]) == wanted for row in rows)


def places(evaluations: Iterable[Evaluation]) -> list[str]:
    """The files in which they were recorded, each once, of those that are there."""
    return [url for url in dict.fromkeys(each.place for each in evaluations) if is_there(url)]
