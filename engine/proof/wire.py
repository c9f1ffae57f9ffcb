"""What stands on the lines of a bundle, and what is read from them; a line that does not fit is refused whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from engine.endpoints.replies import read_reply
from engine.errors import AttemptError, ProofError
from engine.proof.replay import Asked, Scene, Used
from engine.records import Completion, Outcome, RunRecord, Selection, TaskKey, TaskResult

EVALUATION, RUN, SPLIT, ROW, DATUM, REPLY, TASK = "evaluation", "run", "split", "row", "datum", "reply", "task"
MISFIT = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
MOST_TASKS = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTask:
    """A task as it was recorded, and the keys of the replies that it was given: `(model's name, key)`."""

    result: TaskResult
    replies: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """The run of a bundle: its record, which tasks it is about, and how its models were asked."""

    record: RunRecord
    selection: Selection
    scene: Scene
    parts: Mapping[str, Any]
    options: Mapping[str, Any]
    custom: bool


@contextmanager
def fitting(where: str) -> Iterator[None]:
    """Whatever a line's content makes fail becomes one error that names the line's kind."""
    try:
        yield
    except MISFIT as error:
        what = f"{type(error).__name__} {error!s:.120}"
        raise ProofError(
            f"{where} is not what a bundle holds: {what}", hint="it was not made by this engine"
        ) from error


def scene_of(run: Mapping[str, Any], parts: Mapping[str, Any], fixed: Mapping[str, Any]) -> Scene:
    """How the models of a run were asked; `fixed` is the sampling that its configuration set."""
    others = {
        str(name): Asked(identity=str(identity), model=str(model), fixed=dict(own))
        for name, (identity, model, own) in (parts.get("other_models") or {}).items()
    }
    measured = Asked(identity=str(parts["provider"]), model=str(run["model"]), fixed=dict(fixed))
    return Scene(
        run_id=str(run["run_id"]),
        scope=str(run["scope"]),
        generation=int(run["generation"]),
        measured=measured,
        others=others,
    )


def run_line(run: Mapping[str, Any], scene: Scene, selection: Selection, *, custom: bool) -> dict[str, Any]:
    """The fields of the line that tells of the run."""
    kept = ("run_id", "identity", "scope", "generation", "benchmark", "evaluation_name", "dataset")
    more = ("dataset_fingerprint", "subset", "solver", "model", "provider", "agent", "repeats", "planned")
    return {
        **{name: run[name] for name in (*kept, *more)},
        "options": json.loads(run["options"]),
        "sampling": json.loads(run["sampling"]),
        "set_sampling": dict(scene.measured.fixed),
        "parts": json.loads(run["parts"]),
        "rows": selection.stop,
        "picked": sorted(selection.picked) if selection.picked is not None else None,
        "custom": custom,
    }


def run_of(line: Mapping[str, Any]) -> KeptRun:
    """The run that a line tells of.

    Raises:
        ProofError: the line does not fit.
    """
    with fitting("the run"):
        parts, options = dict(line["parts"]), dict(line["options"])
        text = ("run_id", "identity", "scope", "benchmark", "evaluation_name", "dataset", "dataset_fingerprint")
        more = ("subset", "solver", "model", "provider", "agent")
        picked = line["picked"]
        selection = Selection(
            stop=int(line["rows"]),
            repeats=int(line["repeats"]),
            picked=None if picked is None else frozenset(int(each) for each in picked),
        )
        if not 0 < selection.stop <= MOST_TASKS or not 0 < selection.repeats <= MOST_TASKS:
            raise ValueError(f"{selection.stop} rows and {selection.repeats} repeats")
        told: dict[str, Any] = {name: str(line[name]) for name in (*text, *more)}
        record = RunRecord(
            **told,
            generation=int(line["generation"]),
            repeats=selection.repeats,
            planned=selection.size,
            options=json.dumps(options, sort_keys=True),
            sampling=json.dumps(line["sampling"], sort_keys=True),
            parts=json.dumps(parts, sort_keys=True),
        )
        return KeptRun(
            record=record,
            selection=selection,
            scene=scene_of(line, parts, line["set_sampling"]),
            parts=parts,
            options=options,
            custom=bool(line["custom"]),
        )


def reply_line(completion: Completion) -> dict[str, Any]:
    """The fields of the line that holds a reply: the request and the response as they went over the wire."""
    names = ("provider", "model", "request", "response", "text", "cost_usd", "latency_s", "created_at")
    return {"key": completion.request_key, **{name: getattr(completion, name) for name in names}}


def completion_of(line: Mapping[str, Any]) -> Completion:
    """The reply on a line; its text is read from the response, as in the run.

    Raises:
        ProofError: the line does not fit, or its text is not that of its response.
    """
    with fitting("a reply"):
        key, raw, cost = str(line["key"]), str(line["response"]), line["cost_usd"]
        try:
            reply = read_reply(
                raw.encode("utf-8", "replace"), status=200, headers={}, latency_s=float(line["latency_s"])
            )
        except AttemptError as error:
            raise ValueError(error.message) from error
        if reply.text != line["text"]:
            raise ProofError(
                f"reply {key!r:.40}: its text is not that of its response", hint="the bundle was changed by hand"
            )
        return Completion(
            request_key=key,
            provider=str(line["provider"]),
            model=str(line["model"]),
            request=str(line["request"]),
            response=raw,
            text=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            choices=reply.choices,
            refusal=reply.refusal,
            reasoning=reply.reasoning,
            tool_calls=reply.tool_calls,
            cost_usd=None if cost is None else float(cost),
            latency_s=reply.latency_s,
            created_at=float(line["created_at"]),
        )


def task_line(result: TaskResult, used: Sequence[Used]) -> dict[str, Any]:
    """The fields of the line that tells how a task ended, and of which replies."""
    found = asdict(result)
    del found["key"]
    return {
        "index": result.key.datum_index,
        "repeat": result.key.repeat,
        **found,
        "replies": [[each.who, each.completion.request_key] for each in used],
    }


def task_of(line: Mapping[str, Any], run_id: str) -> KeptTask:
    """The task on a line.

    Raises:
        ProofError: the line does not fit.
    """
    with fitting("a task"):
        score, costs = line["score"], {name: line[name] for name in ("cost_usd", "uncached_cost_usd")}
        outcome = Outcome(line["outcome"])
        if outcome.counted != (score is not None) or (score is not None and not 0.0 <= float(score) <= 1.0):
            raise ValueError(f"a score of {score!r:.40} in a task that is {outcome}")
        used: dict[str, Any] = {name: int(line[name]) for name in ("calls", "cached_calls", "requests")}
        tokens = {name: line[name] for name in ("input_tokens", "output_tokens")}
        used.update((name, None if count is None else int(count)) for name, count in tokens.items())
        used.update((name, None if cost is None else float(cost)) for name, cost in costs.items())
        result = TaskResult(
            key=TaskKey(run_id, int(line["index"]), int(line["repeat"])),
            outcome=outcome,
            score=None if score is None else float(score),
            datum_id=str(line["datum_id"]),
            answer=None if line["answer"] is None else str(line["answer"]),
            metrics={str(name): float(value) for name, value in line["metrics"].items()},
            tags=tuple(str(tag) for tag in line["tags"]),
            info=line["info"],
            error=line["error"],
            cut=bool(line["cut"]),
            **used,
            duration_s=float(line["duration_s"]),
            ended_at=float(line["ended_at"]),
        )
        return KeptTask(result=result, replies=tuple((str(who), str(key)) for who, key in line["replies"]))
