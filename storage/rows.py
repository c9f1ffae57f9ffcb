"""Records to rows and back; what no database takes is cleaned here, so that one bad value spoils no batch.

Lone surrogates and NUL in text become U+FFFD, whole numbers beyond 64 bits and floats that are not finite
become NULL, and JSON holds no NaN. The common case, clean text, costs one look.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from engine.records import Attempt, Completion, Outcome, RunRecord, TaskKey, TaskResult, Usage

Row = tuple[Any, ...]

_LARGEST = 2**63 - 1
_BAD = re.compile("[\x00\ud800-\udfff]")
_DEEPEST = 50
_LONGEST_BITS = 10_000
"""Beyond some thousand digits Python refuses to write a number."""
_TO_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_ONE_CHOICE = '{"choices":1}'
"""`extras` of the usual reply, whose only choice is its text."""


def clean(text: str) -> str:
    """The text as a plain `str` that every database takes."""
    if type(text) is not str:
        text = str(text)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return _BAD.sub("\ufffd", text)
    return text.replace("\0", "\ufffd") if "\0" in text else text


def whole(number: int | None) -> int | None:
    """The number, or None where it needs more than 64 bits."""
    if number is None:
        return None
    if type(number) is not int:
        number = int(number)
    return number if -_LARGEST <= number <= _LARGEST else None


def real(number: float | None) -> float | None:
    """The number, or None where it is not finite."""
    if number is None:
        return None
    if type(number) is not float:
        try:
            number = float(number)
        except OverflowError:
            return None
    return number if math.isfinite(number) else None


def to_json(value: Any) -> str:
    """JSON text of any value; what JSON cannot hold is made plain: NaN null, objects their text."""
    try:
        text = clean(_TO_JSON(value))
        if "\\u0000" not in text:
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    return clean(_TO_JSON(_plain(value, _DEEPEST)))


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | float):
        return clean(value) if isinstance(value, str) else real(value)
    if isinstance(value, int):
        return value if value.bit_length() < _LONGEST_BITS else None
    if depth and isinstance(value, Mapping):
        return {clean(str(key)): _plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in value]
    return clean(str(value)) if depth else "..."


def body_hash(request: str, response: str, text: str, extras: str) -> str:
    """What `bodies.hash` holds: 128 bits of BLAKE2b over the body, in hex."""
    return blake2b(f"{request}\x1f{response}\x1f{text}\x1f{extras}".encode(), digest_size=16).hexdigest()


def _extras(completion: Completion) -> str:
    rest = {
        "refusal": completion.refusal,
        "reasoning": completion.reasoning,
        "tool_calls": completion.tool_calls,
    }
    found: dict[str, Any] = {name: value for name, value in rest.items() if value}
    if completion.choices:
        found["choices"] = 1 if completion.choices == (completion.text,) else completion.choices
    return to_json(found)


def _body_row(completion: Completion) -> Row:
    if completion.refusal or completion.reasoning or completion.tool_calls or len(completion.choices) > 1:
        extras = _extras(completion)
    elif completion.choices:
        extras = _ONE_CHOICE if completion.choices[0] == completion.text else _extras(completion)
    else:
        extras = ""
    request, response, text = clean(completion.request), clean(completion.response), clean(completion.text)
    return (request, response, text, extras, body_hash(request, response, text, extras))


def completion_rows(completion: Completion) -> tuple[Row, Row]:
    """The rows of `calls` and `bodies`, both less their id."""
    usage = completion.usage
    call = (
        clean(completion.request_key),
        clean(completion.provider),
        clean(completion.model),
        clean(completion.finish_reason),
        whole(usage.input_tokens),
        whole(usage.output_tokens),
        whole(usage.cached_tokens),
        whole(usage.reasoning_tokens),
        real(completion.cost_usd),
        real(completion.queue_s),
        real(completion.ttft_s),
        real(completion.latency_s),
        whole(completion.attempts),
        real(completion.created_at),
    )
    return call, _body_row(completion)


def attempt_rows(key: str, attempts: Sequence[Attempt]) -> list[Row]:
    """Rows of `attempts`."""
    return [
        (
            key,
            real(attempt.started_at),
            clean(attempt.fault),
            whole(attempt.status),
            real(attempt.seconds),
            clean(attempt.message),
            clean(attempt.request_id),
        )
        for attempt in attempts
    ]


def completion_of(row: Sequence[Any]) -> Completion:
    """The completion of a row of `statements.COMPLETION_COLUMNS`."""
    text = row[5] or ""
    extras = json.loads(row[11]) if row[11] else {}
    choices = extras.get("choices", ())
    return Completion(
        request_key=row[0],
        provider=row[1],
        model=row[2],
        request=row[3] or "",
        response=row[4] or "",
        text=text,
        finish_reason=row[6],
        usage=Usage(row[7], row[8], row[9], row[10]),
        choices=(text,) if choices == 1 else tuple(choices),
        refusal=extras.get("refusal", ""),
        reasoning=extras.get("reasoning", ""),
        tool_calls=tuple(extras.get("tool_calls", ())),
        cost_usd=row[12],
        queue_s=row[13] or 0.0,
        ttft_s=row[14],
        latency_s=row[15] or 0.0,
        attempts=row[16] or 0,
        created_at=row[17] or 0.0,
    )


def task_row(result: TaskResult) -> Row:
    """The row of `tasks`, in the order of `statements.TASK_COLUMNS`."""
    key = result.key
    return (
        clean(key.run_id),
        key.datum_index,
        key.repeat,
        result.outcome.value,
        real(result.score),
        clean(result.datum_id),
        1 if result.cut else 0,
        whole(result.calls) or 0,
        whole(result.cached_calls) or 0,
        whole(result.requests) or 0,
        whole(result.input_tokens),
        whole(result.output_tokens),
        real(result.cost_usd),
        real(result.uncached_cost_usd),
        real(result.duration_s),
        real(result.ended_at),
        to_json(dict(result.metrics)) if result.metrics else "{}",
        to_json(result.tags) if result.tags else "[]",
        None if result.answer is None else clean(result.answer),
        None if result.info is None else to_json(result.info),
        None if result.error is None else to_json(dict(result.error)),
    )


def task_of(row: Sequence[Any]) -> TaskResult:
    """The result of a row of `tasks`; a metric that was not a number is left out."""
    metrics = {} if row[16] == "{}" else {name: v for name, v in json.loads(row[16]).items() if v is not None}
    return TaskResult(
        key=TaskKey(row[0], row[1], row[2]),
        outcome=Outcome(row[3]),
        score=row[4],
        datum_id=row[5],
        cut=bool(row[6]),
        calls=row[7],
        cached_calls=row[8],
        requests=row[9],
        input_tokens=row[10],
        output_tokens=row[11],
        cost_usd=row[12],
        uncached_cost_usd=row[13],
        duration_s=row[14] or 0.0,
        ended_at=row[15] or 0.0,
        answer=row[18],
        metrics=metrics,
        tags=() if row[17] == "[]" else tuple(json.loads(row[17])),
        info=None if row[19] is None else json.loads(row[19]),
        error=None if row[20] is None else json.loads(row[20]),
    )


def run_row(run: RunRecord) -> Row:
    """The parameters of `statements.OPEN_RUN`."""
    texts = (run.benchmark, run.evaluation_name, run.dataset, run.dataset_fingerprint, run.subset, run.solver)
    more = (run.options, run.model, run.provider, run.agent, run.sampling)
    return (
        *(clean(text) for text in (run.run_id, run.identity, run.scope)),
        run.generation,
        *(clean(text) for text in (*texts, *more)),
        run.repeats,
        run.planned,
        *(clean(text) for text in (run.parts, run.environment)),
        to_json(run.tags),
        real(run.created_at) or 0.0,
    )


def size_of(completion: Completion) -> int:
    """About how many bytes a stored completion takes."""
    return len(completion.request) + len(completion.response) + len(completion.text) + 400
