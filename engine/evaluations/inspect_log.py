"""An evaluation as a log of Inspect, which its own reader and viewer open.

Source: Inspect's `EvalLog`, version 2 of the JSON format, as of inspect_ai 0.3.285.
Differs: where the messages are not at hand, what a task was asked is its datum, and what the model said is the
    answer that was read from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.evaluations.evaluation import Evaluation, Metric
from engine.evaluations.inspect_messages import Call, conversation, model_usage

QUESTION_FIELDS = ("question", "problem", "prompt", "input", "query", "text")
TARGET_FIELDS = ("answer", "target", "output", "solution", "gold")


def inspect_log(
    evaluation: Evaluation,
    solutions: Iterable[Mapping[str, Any]],
    calls: Mapping[tuple[int, int], Sequence[Call]] | None = None,
) -> dict[str, Any]:
    """The log as JSON holds it: one sample for each task, one score with all metrics of the evaluation.

    Args:
        evaluation: what it is about.
        solutions: a line for each task, as the entry holds them.
        calls: by datum index and repeat, the replies that each task was given, in their order.
    """
    when = datetime.fromtimestamp(evaluation.created_at, UTC).isoformat()
    calls = calls or {}
    samples = [_sample(each, evaluation, calls) for each in solutions]
    ours = [call.completion for each in calls.values() for call in each if not call.role]
    details = evaluation.details
    sampling = details.get("sampling") or {}
    known = ("temperature", "max_tokens", "top_p", "seed")
    return {
        "version": 2,
        "status": "error" if details.get("partial") else "success",
        "eval": {
            "eval_id": evaluation.evaluation_id,
            "run_id": evaluation.run_id,
            "created": when,
            "task": evaluation.benchmark or evaluation.key,
            "task_id": evaluation.evaluation_id,
            "task_args": json.loads(evaluation.options),
            "solver": evaluation.solver or None,
            "tags": list(evaluation.tags),
            "dataset": {"name": evaluation.dataset, "location": evaluation.dataset, "samples": len(samples)},
            "model": evaluation.model or evaluation.about.get("agent") or "unknown",
            "model_generate_config": {name: sampling[name] for name in known if sampling.get(name) is not None},
            "config": {"epochs": details.get("repeats")},
            "packages": {"engine": str((details.get("environment") or {}).get("engine", ""))},
            "metadata": {name: details.get(name) for name in ("dataset_fingerprint", "solver_source", "outcomes")},
        },
        "results": _results(evaluation, samples),
        "stats": {"started_at": when, "completed_at": when, "model_usage": model_usage(ours)},
        "samples": samples,
    }


def _results(evaluation: Evaluation, samples: list[dict[str, Any]]) -> dict[str, Any]:
    metrics = [each for each in evaluation.metrics.values() if each.value is not None]
    scored = sum("error" not in sample for sample in samples)
    score = {
        "name": evaluation.solver or "score",
        "scorer": evaluation.solver or "score",
        "scored_samples": scored,
        "unscored_samples": len(samples) - scored,
        "metrics": {each.name: _metric(each) for each in metrics},
    }
    return {"total_samples": len(samples), "completed_samples": scored, "scores": [score]}


def _metric(metric: Metric) -> dict[str, Any]:
    doubt = ("ci_low", "ci_high", "stderr", "n", "unit")
    return {"name": metric.name, "value": metric.value, "metadata": {name: getattr(metric, name) for name in doubt}}


def _sample(
    solution: Mapping[str, Any], evaluation: Evaluation, calls: Mapping[tuple[int, int], Sequence[Call]]
) -> dict[str, Any]:
    datum = solution.get("datum")
    answer = solution.get("answer")
    score = solution.get("score")
    value = float(bool(solution.get("status"))) if score is None else score
    index = solution.get("datum_index")
    sample: dict[str, Any] = {
        "id": solution.get("datum_id") or (0 if index is None else index),
        "epoch": int(solution.get("repeat") or 0) + 1,
        "input": _field(datum, QUESTION_FIELDS),
        "target": _field(datum, TARGET_FIELDS, rest=""),
        "output": {"model": evaluation.model, "completion": "" if answer is None else str(answer), "choices": []},
        "metadata": {"outcome": solution.get("outcome"), "info": solution.get("info"), "datum": datum},
    }
    said = calls.get((index or 0, int(solution.get("repeat") or 0)))
    if said:
        sample.update(conversation(said))
    error = solution.get("error") or {}
    if error or solution.get("outcome") in ("errored", "skipped"):
        told = str(error.get("message") or solution["outcome"])
        sample["error"] = {"message": told, "traceback": "", "traceback_ansi": ""}
    else:
        sample["scores"] = {
            evaluation.solver or "score": {
                "value": value,
                "answer": None if answer is None else str(answer),
                "explanation": str(solution.get("outcome") or ""),
            }
        }
    return sample


def _field(datum: Any, names: Iterable[str], rest: str | None = None) -> str:
    if isinstance(datum, dict):
        for name in names:
            if isinstance(datum.get(name), str | int | float):
                return str(datum[name])
    return json.dumps(datum, ensure_ascii=False, default=str) if rest is None else rest
