"""A task solved again with replies that were kept in place of a model: the same code as in a run, and nothing sent."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from engine.calls.desk import Served
from engine.calls.sender import Line
from engine.records import Completion, Outcome, Request, TaskKey, TaskResult
from engine.task import Setting, do_task

AT_ONCE = 4
"""Tasks that are scored at a time; code that a model wrote takes a processor each."""
MEASURED = ""
"""The name of the model that is measured, among those that a solver asks."""

Find = Callable[[str, Request], Awaitable[Completion]]
"""The kept reply to a request, of the model with this name; raises NotStoredError where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where a solver and a dataset are looked for: `folder` and ENGINE_HOME.

    `solver` and `dataset` are where they are, if not where the run found them.
    """

    folder: Path
    home: Path
    solver: str = ""
    dataset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a model was asked: what request keys hold of its provider, its name there, and the sampling that was set."""

    identity: str
    model: str
    fixed: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the tasks of a run had in common, as far as their requests follow from it."""

    run_id: str
    scope: str
    generation: int
    measured: Asked
    others: Mapping[str, Asked] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Used:
    """A reply that a task was given: which model's, and what it is."""

    who: str
    completion: Completion


def may_lack_a_reply(result: TaskResult) -> bool:
    """Whether a call of this task may have failed, so that it has no reply: it errored, or met a filter."""
    return not result.outcome.counted or (result.outcome is Outcome.REFUSED and result.error is not None)


class Shelf:
    """A desk that sends nothing: each call is given a kept reply, and noted."""

    def __init__(self, who: str, asked: Asked, find: Find, used: list[Used]) -> None:
        self._who = who
        self._asked = asked
        self._find = find
        self._used = used

    @property
    def identity(self) -> str:
        """That of the provider that was asked."""
        return self._asked.identity

    async def complete(self, request: Request, line: Line) -> Served:
        """The kept reply to this request.

        Raises:
            NotStoredError: there is none.
        """
        del line
        completion = await self._find(self._who, request)
        self._used.append(Used(self._who, completion))
        return Served(completion, 0)


class Replayer:
    """Solves the tasks of one run again, in a folder of its own."""

    def __init__(self, scene: Scene, solver: Any, *, folders: Path) -> None:
        self._scene = scene
        self._solver = solver
        self._async = inspect.iscoroutinefunction(solver.solve)
        self._threads = anyio.CapacityLimiter(AT_ONCE)
        self._folders = folders

    async def task(
        self, index: int, repeat: int, *, datum_id: str, datum: dict[str, Any], find: Find
    ) -> tuple[TaskResult | None, list[Used]]:
        """How the task ends now, and the replies that it was given in their order.

        None in place of a result where a reply that it asks for was not kept.
        """
        used: list[Used] = []
        key = TaskKey(self._scene.run_id, index, repeat)
        return await do_task(self._setting(find, used), key, datum_id, datum), used

    async def aclose(self) -> None:
        """Let the solver end what it started."""
        close = getattr(self._solver, "aclose", None)
        if close is not None:
            await close()

    def _setting(self, find: Find, used: list[Used]) -> Setting:
        defaults = {"temperature": 0, **self._solver.sampling}
        others = {
            name: self._one(name, asked, {"temperature": 0}, find, used, {})
            for name, asked in self._scene.others.items()
        }
        return self._one(MEASURED, self._scene.measured, defaults, find, used, others)

    def _one(
        self,
        who: str,
        asked: Asked,
        defaults: Mapping[str, Any],
        find: Find,
        used: list[Used],
        others: Mapping[str, Setting],
    ) -> Setting:
        scene = self._scene
        return Setting(
            run_id=scene.run_id,
            solver=self._solver,
            solves_async=self._async,
            desk=Shelf(who, asked, find, used),
            line=Line(run_id=scene.run_id, offline=True),
            model=asked.model,
            provider="",
            scope=scene.scope,
            generation=scene.generation,
            defaults=defaults,
            fixed=asked.fixed,
            threads=self._threads,
            folders=self._folders,
            others=others,
        )
