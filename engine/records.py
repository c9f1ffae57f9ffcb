"""The nouns of the engine as frozen records; nothing here does anything.

Records on the path of a call are dataclasses with slots: a pydantic model costs several times as much to
make, and these are made by our own code from values that were checked at the border. The eight or so that each
task makes are frozen to the type checker only: at run time a frozen dataclass pays for each field that it sets,
which is 9 us of the 200 that a task costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, slots: bool, kw_only: bool = False) -> Any:
        """A dataclass that is frozen to the type checker, and hashed by value like a frozen one."""
        return dataclass(slots=slots, kw_only=kw_only, unsafe_hash=frozen)


class Outcome(StrEnum):
    """How a task ended.

    The model answered: `passed`, `failed`, `scored` (partial credit).
    It replied but gave no answer: `refused`, `truncated`, `empty`, `unparsed`; these count 0 and are in n.
    Nothing to judge: `errored`, `skipped`; these have no score and never enter one.
    """

    PASSED = "passed"
    FAILED = "failed"
    SCORED = "scored"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    UNPARSED = "unparsed"
    ERRORED = "errored"
    SKIPPED = "skipped"

    @property
    def answered(self) -> bool:
        """Whether the model gave an answer that was judged."""
        return self in ANSWERED

    @property
    def counted(self) -> bool:
        """Whether the task has a value that enters the score."""
        return self not in UNSCORED


class Fault(StrEnum):
    """The class of an attempt that gave no usable reply, as stored in `attempts.class`."""

    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    STALE = "stale"
    MALFORMED = "malformed"
    INCOMPLETE = "incomplete"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    AUTH = "auth"
    PERMISSION = "permission"
    QUOTA = "quota"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    NO_RECORDING = "no_recording"

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self in MAY_PASS


MAY_PASS = frozenset(
    {
        Fault.RATE_LIMIT,
        Fault.OVERLOADED,
        Fault.SERVER,
        Fault.TIMEOUT,
        Fault.CONNECTION,
        Fault.STALE,
        Fault.MALFORMED,
        Fault.INCOMPLETE,
    }
)
ANSWERED = frozenset({Outcome.PASSED, Outcome.FAILED, Outcome.SCORED})
UNSCORED = frozenset({Outcome.ERRORED, Outcome.SKIPPED})


@record(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint reported them; None is unknown, never 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@record(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP request: its class (`ok` or a fault), HTTP status and seconds from send to end."""

    started_at: float
    fault: str
    seconds: float
    status: int | None = None
    message: str = ""
    request_id: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an endpoint gave for one attempt: a checked chat completion.

    `raw` is the body as received (for a stream: the chat completion put together from its chunks).
    `ttft_s` counts from sending to the first piece of text; None when the reply was not streamed.
    """

    raw: str
    text: str
    finish_reason: str
    usage: Usage = Usage()
    choices: tuple[str, ...] = ()
    refusal: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    model: str = ""
    status: int = 200
    request_id: str = ""
    latency_s: float = 0.0
    ttft_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to make: the JSON body to send and what identifies it.

    `key` is a hash of effective request, provider identity and draw (ARCHITECTURE.md); `body` is the request as
    sent, already encoded, so that it is built and hashed once. `max_output_tokens` is the limit that it sets.
    """

    key: str
    provider: str
    model: str
    body: bytes
    max_output_tokens: int | None = None
    choices: int = 1


@record(frozen=True, slots=True, kw_only=True)
class Completion:
    """A stored reply: what `completions` holds, and what a solver's text is made from.

    `queue_s` is the wait for a slot and between attempts, `latency_s` the service time of the attempt that
    succeeded, `attempts` how many requests were sent for it. `cost_usd` is None where a price is unknown.
    """

    request_key: str
    provider: str
    model: str
    request: str
    response: str
    text: str
    finish_reason: str
    usage: Usage = Usage()
    choices: tuple[str, ...] = ()
    refusal: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    cost_usd: float | None = None
    queue_s: float = 0.0
    ttft_s: float | None = None
    latency_s: float = 0.0
    attempts: int = 1
    created_at: float = 0.0


class TaskKey(NamedTuple):
    """One datum of one run, once."""

    run_id: str
    datum_index: int
    repeat: int


@record(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How a task ended and what it used.

    `score` is in 0-1 where `outcome.counted`, else None. `cut` marks a reply that was cut at its length
    limit and could be judged all the same. `requests` counts HTTP requests sent now, `cached_calls` calls
    served from the store; `cost_usd` is what was paid now, `uncached_cost_usd` as if nothing had been stored.
    Tokens and costs are None where they are unknown for one of its calls.
    """

    key: TaskKey
    outcome: Outcome
    score: float | None
    datum_id: str = ""
    answer: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    info: Any = None
    error: Mapping[str, Any] | None = None
    cut: bool = False
    calls: int = 0
    cached_calls: int = 0
    requests: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: float | None = 0.0
    uncached_cost_usd: float | None = 0.0
    duration_s: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One benchmark for one model: what is stored about it before its first call.

    `identity` covers everything that may change a score; `scope` is the same less the code (solver source,
    scorer version), so that a mended solver finds the completions of the run before it; `parts` is the JSON
    of what `identity` was made from, for `engine cache explain`.
    """

    run_id: str
    identity: str
    scope: str
    generation: int
    benchmark: str
    evaluation_name: str
    dataset: str
    dataset_fingerprint: str
    subset: str
    solver: str
    options: str
    model: str
    provider: str
    agent: str
    sampling: str
    repeats: int
    planned: int
    parts: str
    environment: str = "{}"
    tags: tuple[str, ...] = ()
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which tasks of a run are meant: data below `stop` (or those `picked`), repeats below `repeats`."""

    stop: int
    repeats: int = 1
    picked: frozenset[int] | None = None

    @property
    def size(self) -> int:
        """How many tasks that is."""
        return (len(self.picked) if self.picked is not None else self.stop) * self.repeats

    def __contains__(self, key: tuple[int, int]) -> bool:
        index, repeat = key
        if repeat >= self.repeats:
            return False
        return index in self.picked if self.picked is not None else index < self.stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts over the finished tasks of a run.

    `values` and `squares` are the sums of score and score squared over counted tasks. The cluster fields are
    sums over data, the repeats of a datum being one cluster: `clusters` counts data, `cluster_square` sums the
    square of each datum's sum of scores, `cluster_cross` that sum times its counted repeats,
    `cluster_count_square` those repeats squared. `detailed` counts tasks with metrics or tags of their own.
    Tokens and costs are None where one of the tasks has none.
    """

    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    values: float = 0.0
    squares: float = 0.0
    fractional: int = 0
    clusters: int = 0
    cluster_square: float = 0.0
    cluster_cross: float = 0.0
    cluster_count_square: float = 0.0
    cut: int = 0
    detailed: int = 0
    requests: int = 0
    cached_calls: int = 0
    calls: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: float | None = 0.0
    uncached_cost_usd: float | None = 0.0

    @property
    def finished(self) -> int:
        """Tasks that have an outcome."""
        return sum(self.outcomes.values())

    @property
    def counted(self) -> int:
        """Tasks that have a value: all less errored and skipped."""
        return sum(n for outcome, n in self.outcomes.items() if outcome.counted)

    @property
    def score(self) -> float | None:
        """The mean value over counted tasks; None where there are none."""
        return self.values / self.counted if self.counted else None


@record(frozen=True, slots=True)
class Score:
    """What a solver may return in place of a bool.

    `value` in 0-1; `outcome` says more than the value where it matters (`Outcome.UNPARSED`); left None, it
    follows from the value: 1 passed, 0 failed, else scored. `metrics` are further figures of this task,
    `tags` the groups it counts for, `info` anything JSON can hold.
    """

    value: float
    outcome: Outcome | None = None
    answer: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    info: Any = None
