"""Majority vote: another solver asked several times for each datum, and the answer that came most often.

Source: self-consistency, Wang et al. 2022, arXiv 2203.11171; its temperature of 0.7 is the default here.
Differs: of equally frequent answers the first one wins, which the paper leaves open. A draw without an answer
    abstains.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

import solvers
from engine.errors import SolverError
from engine.records import Outcome, Score
from engine.scoring.metrics import majority
from solvers.rows import fingerprint
from solvers.strategy import SolverScoringMethod, SolverStrategy

TEMPERATURE = 0.7


class MajorityVoteStrategy(SolverStrategy):
    """Solves each datum several times with another solver; equal requests are different draws.

    The votes are the `answer`s of its scores; the score is that of the first draw with the winning answer, and
    `agreement` is the share of draws that gave it.

    Args:
        dataset_ref: what the other solver takes.
        model: the model's name.
        agent: the agent's folder.
        solver: the other solver's class, one of the built-in ones or of a folder `solvers/` that was loaded.
        votes: how often each datum is solved.
        **options: the other solver's own.
    """

    def __init__(
        self, dataset_ref: Any, model: str = "", agent: str = "", *, solver: str, votes: int = 5, **options: Any
    ) -> None:
        super().__init__(model, agent)
        if votes < 1:
            raise SolverError(f"solver {self.name!r}: votes is {votes!r}", hint="it is 1 or more")
        found = _find(solver)
        if found.scoring_method is SolverScoringMethod.Custom:
            raise SolverError(f"solver {self.name!r}: {solver!r} scores in its own way", hint="choose another one")
        self.dataset_ref = dataset_ref
        self.votes = votes
        arguments = {"dataset_ref": dataset_ref, "model": model, "agent": agent}
        self.inner = found(**arguments, **_fitted(found, options))
        self.sampling = {"temperature": TEMPERATURE, **self.inner.sampling}  # type: ignore[misc]

    def evaluation_name(self) -> str:
        """The other solver's name with `_majority5`."""
        return f"{self.inner.evaluation_name()}_majority{self.votes}"

    def compatible_datasets(self) -> list[str]:
        """The other solver's."""
        return self.inner.compatible_datasets()

    def scorer_versions(self) -> dict[str, int]:
        """The other solver's source and scorers, which this file does not import."""
        sources = {}
        scorers = {}
        for module in _modules(type(self.inner)):
            if module.__name__.startswith("engine.scoring."):
                scorers[module.__name__.removeprefix("engine.scoring.")] = int(getattr(module, "VERSION", 1))
            elif module.__file__ is not None:
                sources[module.__name__.rpartition(".")[2]] = Path(module.__file__).read_bytes()
        return {**self.inner.scorer_versions(), **scorers, "inner": fingerprint(sorted(sources.items()))}

    def further_metrics(self, means: Mapping[str, float]) -> Mapping[str, float]:
        """The other solver's."""
        return self.inner.further_metrics(means)

    def other_models(self) -> list[str]:
        """The other solver's."""
        return self.inner.other_models()

    async def solve(self, datum: dict[str, Any]) -> Score:
        """The score of the answer that came most often; unparsed where no draw gave one.

        Raises:
            SolverError: the other solver gives verdicts without answers, on which nobody can vote.
        """
        draws = [await self._draw(datum) for _ in range(self.votes)]
        chosen = majority([_vote(draw) for draw in draws])
        if chosen is None:
            return draws[-1]
        score = draws[chosen]
        answers = [draw.answer for draw in draws]
        agreement = answers.count(score.answer) / len(draws)
        return Score(
            value=score.value,
            outcome=score.outcome,
            answer=score.answer,
            metrics={**score.metrics, "agreement": agreement},
            tags=score.tags,
            info={"votes": answers, "chosen": score.info},
        )

    async def _draw(self, datum: dict[str, Any]) -> Score:
        own = dict(datum)
        if self.inner.solves_async:
            given = await self.inner.solve(own)
        else:
            given = await anyio.to_thread.run_sync(self.inner.solve, own, limiter=anyio.CapacityLimiter(1))
            given = await given if inspect.isawaitable(given) else given
        if not isinstance(given, Score) or (given.answer is None and given.outcome is not Outcome.UNPARSED):
            raise SolverError(
                f"solver {self.inner.name!r} gives no answer to vote on",
                hint="return Score(value, answer=...) from its solve, and Outcome.UNPARSED where there is no answer",
            )
        return given


def _vote(draw: Score) -> str | None:
    return None if draw.outcome is Outcome.UNPARSED else draw.answer


def _find(name: str) -> type[SolverStrategy]:
    """The solver class of this name beside this file, or in a `solvers` folder that is part of the package.

    Raises:
        SolverError: there is none.
    """
    known: dict[str, type[SolverStrategy]] = {}
    for module in pkgutil.iter_modules(solvers.__path__):
        loaded = import_module(f"{solvers.__name__}.{module.name}")
        for value in vars(loaded).values():
            if inspect.isclass(value) and issubclass(value, SolverStrategy) and not inspect.isabstract(value):
                known[value.__name__] = value
    known.pop("MajorityVoteStrategy", None)
    if name not in known:
        raise SolverError(
            f"solver 'MajorityVoteStrategy': there is no solver {name!r}", hint=f"known: {', '.join(sorted(known))}"
        )
    return known[name]


def _fitted(solver: type[SolverStrategy], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the other solver's annotations want them: a command line gives text.

    Raises:
        SolverError: it has no such option, or the value does not fit.
    """
    parameters = inspect.signature(solver).parameters
    own = [name for name in parameters if name not in ("dataset_ref", "model", "agent")]
    fitted = {}
    for name, value in options.items():
        if name not in own:
            raise SolverError(f"solver {solver.__name__!r} has no option {name!r}", hint=f"it takes: {', '.join(own)}")
        fitted[name] = _fit(solver, name, value, str(parameters[name].annotation))
    return fitted


def _fit(solver: type[SolverStrategy], name: str, value: Any, wanted: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if wanted in ("int", "float"):
            return int(value) if wanted == "int" else float(value)
        if wanted == "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
    except (ValueError, KeyError) as error:
        raise SolverError(
            f"solver {solver.__name__!r}: option {name!r} is {value!r}", hint=f"it takes a value of type {wanted}"
        ) from error
    return value


def _modules(solver: type[SolverStrategy]) -> Sequence[Any]:
    """The modules of `solvers` and `engine.scoring` that a solver is made of, each once."""
    waiting = [sys.modules[cls.__module__] for cls in solver.__mro__ if cls.__module__ in sys.modules]
    found: dict[str, Any] = {}
    while waiting:
        module = waiting.pop()
        if module.__name__ in found or not module.__name__.startswith((f"{solvers.__name__}.", "engine.scoring.")):
            continue
        found[module.__name__] = module
        if not module.__name__.startswith("engine."):
            waiting.extend(_used(module))
    return [found[name] for name in sorted(found)]


def _used(module: Any) -> Iterator[Any]:
    for value in vars(module).values():
        name = getattr(value, "__module__", None)
        if isinstance(name, str) and name in sys.modules:
            yield sys.modules[name]
