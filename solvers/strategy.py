"""The base class of solvers, and the session through which a solver talks to a model.

A solver is one file: a class with `evaluation_name`, `compatible_datasets` and `solve`. It talks to the model
through the session of `start_inference_session`; caching, limits, retries and storage are behind that door.

Source: the interface is that of nearai's `nearai.solvers.SolverStrategy`.
Differs: `solve` may be async; a session's text carries usage, finish reason and latency; an endpoint that
    fails raises in place of returning the error's text as an answer; results come in the order of the data.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import anyio.from_thread

from engine.errors import SolverError
from engine.ports import Caller, current_task, home_loop
from engine.records import Completion, Outcome, Score, Usage

__all__ = ["Outcome", "Score", "Session", "SolverScoringMethod", "SolverStrategy", "Text"]

Sampling = Mapping[str, Any]


@runtime_checkable
class OtherModels(Protocol):
    """A caller that can also make the task's calls to other models."""

    def other(self, model: str) -> Caller:
        """The caller for one of the solver's `other_models`; what it uses is counted apart.

        Raises:
            SolverError: the solver does not name this model.
        """
        ...


class SolverScoringMethod(StrEnum):
    """How the results of a benchmark become its metrics."""

    TrueOrFalseList = "TrueOrFalseList"
    """One verdict a datum; the metric is their mean, named by `evaluation_name`."""
    Custom = "Custom"
    """Tasks from `get_custom_tasks`, metrics from `get_evaluation_metrics`; the solver may get a folder."""


class Text(str):
    """What the model wrote, as a string that also knows how it came to be."""

    __slots__ = ("completion",)
    completion: Completion

    def __new__(cls, completion: Completion) -> Self:
        """A text around its completion."""
        text = super().__new__(cls, completion.text)
        text.completion = completion
        return text

    @property
    def completion_id(self) -> str:
        """The request key: the row of `completions` that holds this reply."""
        return self.completion.request_key

    @property
    def usage(self) -> Usage:
        """Tokens as the endpoint reported them."""
        return self.completion.usage

    @property
    def finish_reason(self) -> str:
        """`stop`, `length`, `content_filter`, `tool_calls` ... as the endpoint said."""
        return self.completion.finish_reason

    @property
    def latency_s(self) -> float:
        """Seconds of service: the attempt that succeeded, without queue or back-off."""
        return self.completion.latency_s

    @property
    def choices(self) -> tuple[str, ...]:
        """All texts where `n` asked for several, in the endpoint's order."""
        return self.completion.choices or (self.completion.text,)

    @property
    def tool_calls(self) -> tuple[Mapping[str, Any], ...]:
        """The tools that the model wants called, as the endpoint said."""
        return self.completion.tool_calls

    @property
    def reasoning(self) -> str:
        """What a reasoning model thought, where the endpoint shows it."""
        return self.completion.reasoning


class Session:
    """One conversation of a task: turns accumulate, each reply is stored before it is returned."""

    def __init__(self, caller: Caller, label: str) -> None:
        self.label = label
        self.messages: list[dict[str, Any]] = []
        self._caller = caller
        self._folder: Path | None = None

    @property
    def path(self) -> Path:
        """The working folder of this session, made when first asked for; gone when the task has ended."""
        if self._folder is None:
            self._folder = self._caller.folder(self.label)
        return self._folder

    def add_system_message(self, text: str) -> None:
        """Add a system message; it counts from the next turn on."""
        self.messages.append({"role": "system", "content": text})

    def run_task(self, goal: str, **sampling: Any) -> Any:
        """The model's reply to `goal`, said after the turns so far.

        Awaited in an `async def solve`; in a plain one it is the text itself.

        Args:
            goal: the user's turn.
            **sampling: `temperature`, `max_tokens`, `stop`, `seed`, `tools`, `response_format`, `n`, ... in
                place of the solver's own; what the run's configuration sets wins over both.

        Raises:
            CallError: the endpoint gave no usable reply; the task ends as errored, never as failed.
            NotStoredError: an offline run has no stored reply for this.
        """
        return self._turn(goal, sampling)

    async def _turn(self, goal: str, sampling: Sampling) -> Text:
        self.messages.append({"role": "user", "content": goal})
        completion = await self._caller.complete(self.messages, sampling)
        self.messages.append({"role": "assistant", "content": completion.text})
        return Text(completion)


class BlockingSession(Session):
    """The same for a plain `def solve`, which runs in a worker thread, and for threads that it starts."""

    def __init__(self, caller: Caller, label: str) -> None:
        super().__init__(caller, label)
        self._loop = home_loop.get(None)

    def run_task(self, goal: str, **sampling: Any) -> Text:
        """The model's reply to `goal`; blocks this thread, never the loop. See `Session.run_task`."""
        turn = partial(self._turn, goal, sampling)
        try:
            return anyio.from_thread.run(turn)
        except anyio.NoEventLoopError:
            if self._loop is None:
                raise
            return anyio.from_thread.run(turn, token=self._loop)


class SolverStrategy(ABC):
    """How one datum is put to a model and its reply judged.

    A subclass takes `dataset_ref` first, then `model`, `agent` and its own options, which come from
    `--shots 3` or `options = { shots = 3 }` and are checked against the constructor's signature.
    """

    scoring_method: ClassVar[SolverScoringMethod] = SolverScoringMethod.TrueOrFalseList
    sampling: ClassVar[Sampling] = {}
    """What this solver asks for in each call where neither the call nor the run's configuration says more."""
    dataset_ref: Any = None

    def __init__(self, model: str = "", agent: str = "") -> None:
        if not model and not agent:
            raise SolverError(f"solver {type(self).__name__!r}: a model or an agent is needed", hint="pass --model")
        self.model = model
        self.agent = agent

    @property
    def name(self) -> str:
        """The class name."""
        return type(self).__name__

    @abstractmethod
    def evaluation_name(self) -> str:
        """What results are recorded under; unique for benchmark and solver options, as `mbpp_3shots`."""

    @abstractmethod
    def compatible_datasets(self) -> list[str]:
        """Names of datasets this solver understands, found case-insensitively in the dataset's name or path.

        `["*"]` is any dataset.
        """

    @abstractmethod
    def solve(self, datum: dict[str, Any]) -> Any:
        """The verdict on one datum: a bool, `(bool, info)` or a `Score`; async or plain.

        Raises:
            Exception: whatever is raised ends this task as errored, with no score.
        """

    def get_custom_tasks(self) -> list[dict[str, Any]]:
        """The data of a benchmark with custom scoring, asked for once; each is solved like a row."""
        raise SolverError(
            f"solver {self.name!r} has custom scoring and no get_custom_tasks",
            hint="return a list of dicts, or leave scoring_method as it is",
        )

    def get_evaluation_metrics(self, tasks_results: Sequence[tuple[bool, Any]]) -> dict[str, Any]:  # noqa: ARG002
        """Metrics of a benchmark with custom scoring, by hierarchical name as `average`, `group/coding`.

        Args:
            tasks_results: `(solved, info)` in the order of the tasks; each also knows its
                `.datum_index`, `.repeat`, `.score` and `.outcome`.
        """
        raise SolverError(
            f"solver {self.name!r} has custom scoring and no get_evaluation_metrics",
            hint="return a dict of numbers by name, or leave scoring_method as it is",
        )

    def further_metrics(self, means: Mapping[str, float]) -> Mapping[str, float]:  # noqa: ARG002
        """Metrics that follow from the means over tasks, as a mean over groups; none unless a solver has some.

        Args:
            means: what the run measured, by the names of the tasks' metrics and tags.
        """
        return {}

    def other_models(self) -> list[str]:
        """Models beside the one that is measured, as a judge: named by an option, and found before anything is sent."""
        return []

    def start_inference_session(self, task_id: str = "", *, model: str = "") -> Session:
        """A new conversation, for the task that is being solved.

        Args:
            task_id: a label, for people who read logs.
            model: one of `other_models`, in place of the one that is measured; its calls are counted apart.

        Raises:
            SolverError: called outside of `solve`, or the model is not among `other_models`.
        """
        caller = current_task.get(None)
        if caller is None:
            raise SolverError(
                f"solver {self.name!r}: a session was started outside of solve",
                hint="start sessions inside solve; the engine knows then which task pays",
            )
        if model:
            if not isinstance(caller, OtherModels):
                raise SolverError(
                    f"solver {self.name!r}: no model but its own can be asked here", hint="run it by engine"
                )
            caller = caller.other(model)
        return (Session if self.solves_async else BlockingSession)(caller, task_id)

    @cached_property
    def solves_async(self) -> bool:
        """Whether `solve` runs on the loop; a plain one gets a worker thread."""
        return inspect.iscoroutinefunction(type(self).solve)

    def scorer_versions(self) -> dict[str, int]:
        """Versions of scorers chosen by name at run time, by name; those imported by the file are found alone."""
        return {}
