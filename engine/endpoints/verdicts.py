"""Reads what a server says about an error: its status, code, words and headers, and which fault that is."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from engine.records import Fault

_BY_STATUS: Mapping[int, Fault] = {
    401: Fault.AUTH,
    402: Fault.QUOTA,
    403: Fault.PERMISSION,
    404: Fault.NOT_FOUND,
    405: Fault.NOT_FOUND,
    408: Fault.TIMEOUT,
    409: Fault.SERVER,
    413: Fault.TOO_LARGE,
    425: Fault.SERVER,
    429: Fault.RATE_LIMIT,
    498: Fault.OVERLOADED,
    503: Fault.OVERLOADED,
    504: Fault.TIMEOUT,
    522: Fault.TIMEOUT,
    524: Fault.TIMEOUT,
    529: Fault.OVERLOADED,
}
DAILY = "quota_per_day"
"""Our code for what Google tells as a violation of a quota by the day: no wait of minutes mends it."""
_QUOTA = frozenset(
    [
        DAILY,
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "insufficient_balance",
        "insufficient_funds",
        "insufficient_credits",
        "payment_required",
        "exceeded_current_quota_error",
    ]
)
_CONTEXT = frozenset(["context_length_exceeded", "exceed_context_size_error", "string_above_max_length"])
_FILTER = frozenset(
    [
        "content_filter",
        "content_policy",
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "data_inspection_failed",
        "moderation_blocked",
    ]
)
_NO_MODEL = frozenset(["model_not_found", "invalid_model", "model_not_available"])
_NO_KEY = frozenset(["invalid_api_key", "authentication_error", "incorrect_api_key", "missing_api_key"])
_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (?:length|window|size)|prompt is too long|input is too long"
    r"|too many (?:input )?tokens|reduce the length of the (?:messages|prompt)|max(?:imum)?[_ ]model[_ ]len",
    re.IGNORECASE,
)
_FILTER_WORDS = re.compile(
    r"content (?:management )?(?:filter|policy)|safety (?:filter|system)|was flagged|usage policies", re.IGNORECASE
)
_QUOTA_WORDS = re.compile(r"credit balance is too low|used all available credits|insufficient balance", re.IGNORECASE)
_KEY_WORDS = re.compile(r"api[ _]key (?:is )?(?:not valid|invalid)|invalid api[ _]key", re.IGNORECASE)
_MODEL_WORDS = re.compile(
    r"not a valid model|invalid model(?: name| id|:)|unknown model\b|model .{0,80}(?:does not exist|not found)",
    re.IGNORECASE,
)

_RULES: Sequence[tuple[Container[int], frozenset[str], re.Pattern[str] | None, Fault]] = (
    ({422}, frozenset({"no_recording"}), None, Fault.NO_RECORDING),
    (range(400, 500), _QUOTA, None, Fault.QUOTA),
    ({400, 403}, frozenset(), _QUOTA_WORDS, Fault.QUOTA),
    ({400, 413, 422}, _CONTEXT, _CONTEXT_WORDS, Fault.CONTEXT_LENGTH),
    ({400, 403, 422}, _FILTER, _FILTER_WORDS, Fault.CONTENT_FILTER),
    ({400, 422}, _NO_MODEL, _MODEL_WORDS, Fault.NOT_FOUND),
    ({400}, _NO_KEY, _KEY_WORDS, Fault.AUTH),
)
"""The first that fits wins: statuses, codes or types, words of the message, fault."""

_STATUS_BY_NAME: Mapping[str, int] = {
    **dict.fromkeys(
        [
            "rate_limit",
            "rate_limit_error",
            "rate_limit_exceeded",
            "too_many_requests",
            "resource_exhausted",
            "requests",
            "tokens",
        ],
        429,
    ),
    **dict.fromkeys(["overloaded", "overloaded_error", "server_overloaded", "unavailable", "service_unavailable"], 503),
    **dict.fromkeys(["timeout", "timeout_error", "request_timeout", "deadline_exceeded"], 504),
    **dict.fromkeys(["permission_error", "permission_denied", "forbidden"], 403),
    **dict.fromkeys(["not_found", "not_found_error", "notfounderror"], 404),
    **dict.fromkeys(
        ["invalid_request_error", "bad_request", "badrequesterror", "invalid_argument", "bad_request_error"], 400
    ),
    **dict.fromkeys(["unauthenticated", "unauthorized", "authenticationerror"], 401),
    **dict.fromkeys(_NO_KEY, 401),
    **dict.fromkeys(_QUOTA, 429),
    **dict.fromkeys(_CONTEXT | _FILTER | _NO_MODEL, 400),
    "no_recording": 422,
}
_SECONDS = re.compile(r"\s*\d+(?:\.\d*)?\s*")
_AGAIN_IN = re.compile(
    r"(?:try again|retry|reset)(?: in| after) ((?:\d{1,6}(?:\.\d{1,12})?(?:ms|[smh]))+)", re.IGNORECASE
)
_PART = re.compile(r"(\d{1,6}(?:\.\d{1,12})?)(ms|[smh])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ErrorText:
    """What an error object says: `code` and `kind` (its type) in lower case, the message as it came.

    `param` is the part of the request that it complains of, as `temperature` or `messages[0].role`; `wait_s` are the
    seconds that it asks to wait in its body, as Google does, or in its words.
    """

    code: str = ""
    kind: str = ""
    message: str = ""
    param: str = ""
    wait_s: float | None = None

    @classmethod
    def of(cls, error: object) -> ErrorText:
        """From an `error` value of any shape: an object, a text, or something else."""
        if isinstance(error, dict):
            message = error.get("message") or error.get("detail") or error.get("msg") or error.get("error") or ""
            if not message and isinstance(listed := error.get("errors"), list) and listed:
                return cls.of(listed[0])  # as Cloudflare does
            kind = error.get("type") or error.get("status")
            if (found := _validation(message)) is not None:
                return found
            words = message if isinstance(message, str) else _short(message)
            param = error.get("param")
            code, wait_s = _name(error.get("code")), _asked_in(words)
            for detail in _details(error):
                wait_s = _duration(detail.get("retryDelay")) or wait_s
                code = DAILY if "perday" in json.dumps(detail.get("violations")).lower() else code
            return cls(code, _name(kind), words, param if isinstance(param, str) else "", wait_s)
        return cls(message=error if isinstance(error, str) else _short(error))


def read_error(body: bytes) -> ErrorText:
    """What the body of an error reply says, be it JSON of some shape, HTML or plain text."""
    text = body[:20_000].decode("utf-8", "replace").strip()
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ErrorText(message=_plain(text[:4000]))
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and document.get("error"):
        inner = ErrorText.of(document["error"])
        outer = ErrorText.of({key: value for key, value in document.items() if key != "error"})
        message = inner.message or outer.message
        param, wait_s = inner.param or outer.param, inner.wait_s or outer.wait_s
        return ErrorText(inner.code or outer.code, inner.kind or outer.kind, message, param, wait_s)
    return ErrorText.of(document)


def status_of_error(said: ErrorText) -> int:
    """The HTTP status that an error inside a reply with status 200 stands for; 500 where it does not say."""
    for name in (said.code, said.kind):
        if name.isdecimal() and len(name) == 3 and name >= "400":
            return int(name)
        if name in _STATUS_BY_NAME:
            return _STATUS_BY_NAME[name]
    return 400 if _by_words(400, said) else 500


def classify(status: int, said: ErrorText, headers: Mapping[str, str]) -> Fault:
    """The fault of an error reply, by its code, its well-known words, its status and `x-should-retry`."""
    if 400 <= status < 500 and (fault := _by_words(status, said)) is not None:
        return fault
    if status in _BY_STATUS:
        fault = _BY_STATUS[status]
    elif status >= 500:
        fault = Fault.SERVER
    else:
        fault = Fault.BAD_REQUEST if status >= 400 else Fault.REDIRECT if status >= 300 else Fault.MALFORMED
    advice = headers.get("x-should-retry")
    if advice == "true" and fault in {Fault.BAD_REQUEST, Fault.TOO_LARGE}:
        return Fault.SERVER
    if advice == "false" and fault in {Fault.SERVER, Fault.TIMEOUT, Fault.OVERLOADED}:
        return Fault.BAD_REQUEST
    return fault


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait, from `retry-after-ms` or `retry-after` (seconds or a date); None if senseless.

    A date is taken relative to the server's own `date`, so that a wrong clock here does no harm.
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    until, now = _moment(value), _moment(headers.get("date")) or time.time()
    return until - now if until is not None and until >= now else None


def _asked_in(words: str) -> float | None:
    asked = _AGAIN_IN.search(words)
    return _duration(asked[1]) if asked else None


def _duration(text: object) -> float | None:
    """Seconds of `38.6s`, `1m12s`, `350ms` or `2h`; None of anything else, and of more than a day."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        return None
    total = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    return total if 0 < total <= 86_400 else None


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def _by_words(status: int, said: ErrorText) -> Fault | None:
    for statuses, names, words, fault in _RULES:
        if status in statuses and (said.code in names or said.kind in names or (words and words.search(said.message))):
            return fault
    return None


def _validation(message: object) -> ErrorText | None:
    """The first of the mistakes that a server with pydantic lists (FastAPI, Mistral); None where it is no such list."""
    inner = message.get("detail") if isinstance(message, dict) else message
    first = inner[0] if isinstance(inner, list) and inner else None
    if not isinstance(first, dict) or not isinstance(first.get("loc"), list | tuple):
        return None
    path = ".".join(str(part) for part in first["loc"] if part != "body")
    return ErrorText(_name(first.get("type")), "", f"{path}: {first.get('msg', '')}", path)


def _name(value: object) -> str:
    return str(value).lower() if isinstance(value, str | int) else ""


def _short(value: object) -> str:
    return "" if value is None else repr(value)[:1000]


def _plain(text: str) -> str:
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return title.group(1) if title else _TAG.sub(" ", text)


def _number(value: str | None) -> float | None:
    if value is None or not _SECONDS.fullmatch(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _moment(value: str | None) -> float | None:
    if not value:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
