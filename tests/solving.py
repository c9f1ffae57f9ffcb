"""A task without an engine: a model that gives recorded replies, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.ports import current_task
from engine.records import Completion, Score

MODEL = "simulated::any"


class Replies:
    """Gives one reply after the other, the last one again and again; other models have replies of their own."""

    def __init__(self, *replies: str, finish_reason: str = "stop", others: Mapping[str, str] | None = None) -> None:
        self.replies = list(replies)
        self.finish_reason = finish_reason
        self.others = {name: Replies(reply) for name, reply in (others or {}).items()}
        self.asked: list[list[dict[str, Any]]] = []

    async def complete(self, messages: Sequence[Mapping[str, Any]], sampling: Mapping[str, Any]) -> Completion:
        del sampling
        self.asked.append([dict(message) for message in messages])
        text = self.replies[min(len(self.asked), len(self.replies)) - 1]
        return Completion(
            request_key="k",
            provider="p",
            model="m",
            request="",
            response="",
            text=text,
            finish_reason=self.finish_reason,
        )

    def other(self, model: str) -> Replies:
        return self.others[model]

    def folder(self, label: str) -> Path:
        raise AssertionError(label)


@contextmanager
def task(caller: Replies) -> Iterator[Replies]:
    token = current_task.set(caller)
    try:
        yield caller
    finally:
        current_task.reset(token)


async def solved(solver: Any, datum: dict[str, Any], *replies: str, finish_reason: str = "stop") -> Score:
    """The solver's score where the model gives these replies."""
    with task(Replies(*replies, finish_reason=finish_reason)):
        score: Score = await solver.solve(datum)
    return score


async def prompts(solver: Any, data: Sequence[dict[str, Any]], reply: str = "") -> list[list[dict[str, Any]]]:
    """The messages of the first call for each datum."""
    asked = []
    for datum in data:
        with task(Replies(reply)) as caller:
            await solver.solve(datum)
        asked.append(caller.asked[0])
    return asked
