"""The SQL that every backend runs: one text per statement, `$n` for parameters, `{...}` where dialects differ.

Lists of keys travel as one JSON text, so that a statement has the same text for any number of them and is
prepared once. Times come from the clock of the database, never from a node's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one database spells what the others spell otherwise; called with a text, it gives the text to run."""

    fragments: dict[str, str]
    native: Callable[[str], str] = field(default=str)

    def __call__(self, text: str) -> str:
        """The text in the words of this dialect."""
        return self.native(text.format_map(self.fragments))


@dataclass(frozen=True, slots=True)
class Insert:
    """An insert of any number of rows in one statement, so that a batch costs few of them."""

    table: str
    columns: tuple[str, ...]
    tail: str = ""

    def text(self, rows: int) -> str:
        """The statement for this many rows; parameters are the rows, one after the other."""
        width = len(self.columns)
        marks = (
            "(" + ", ".join(f"${row * width + column + 1}" for column in range(width)) + ")" for row in range(rows)
        )
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES {', '.join(marks)} {self.tail}"


# Calls and their bodies ------------------------------------------------------------------------------------------

INSERT_CALLS = Insert(
    "calls",
    (
        *("id", "request_key", "provider", "model", "finish_reason"),
        *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
        *("cost_usd", "queue_s", "ttft_s", "latency_s", "attempts", "created_at"),
    ),
    "ON CONFLICT (request_key) DO NOTHING",
)
INSERT_BODIES = Insert("bodies", ("id", "request", "response", "text", "extras", "hash"))
INSERT_ATTEMPTS = Insert(
    "attempts", ("request_key", "started_at", "class", "status", "seconds", "message", "request_id")
)
ATTEMPTS_OF = """
SELECT request_key, started_at, class, status, seconds, message, request_id FROM attempts
WHERE request_key IN (SELECT key FROM {KEYS_1})"""
LAST_ID = """
SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM calls UNION ALL SELECT max(id) FROM bodies) AS ids"""
STORED_SINCE = "SELECT request_key FROM calls WHERE id > $1"
DELETE_ORPHANS = "DELETE FROM bodies WHERE id > $1 AND id NOT IN (SELECT id FROM calls WHERE id > $1)"
COMPLETION_COLUMNS = """
    request_key, provider, model, request, response, text, finish_reason,
    input_tokens, output_tokens, cached_tokens, reasoning_tokens, extras,
    cost_usd, queue_s, ttft_s, latency_s, attempts, created_at"""
LOOKUP = f"SELECT {COMPLETION_COLUMNS} FROM completions WHERE request_key IN (SELECT key FROM {{KEYS_1}})"
BODIES = """
SELECT calls.id, calls.request_key, bodies.request, bodies.response, bodies.text, bodies.extras, bodies.hash
FROM calls LEFT JOIN bodies ON bodies.id = calls.id WHERE calls.id > $1 ORDER BY calls.id LIMIT $2"""

_OLD = "created_at < $1 AND ($2 = '' OR model = $2 OR provider || '::' || model = $2)"
PRUNABLE = f"""
SELECT count(*), sum(length(request) + length(response) + length(text) + length(extras)), sum(cost_usd), count(cost_usd)
FROM completions WHERE {_OLD}"""
OLD_KEYS = f"SELECT request_key FROM calls WHERE {_OLD} ORDER BY id LIMIT $3"
_OF_KEYS = "WHERE request_key IN (SELECT key FROM {KEYS_1})"
DELETE_BODIES = f"DELETE FROM bodies WHERE id IN (SELECT id FROM calls {_OF_KEYS})"
DELETE_CALLS = f"DELETE FROM calls {_OF_KEYS}"
DELETE_LOOSE_ATTEMPTS = """
DELETE FROM attempts WHERE started_at < $1 AND request_key NOT IN (SELECT request_key FROM calls)"""

# Tasks -----------------------------------------------------------------------------------------------------------

TASK_COLUMNS = (
    *("run_id", "datum_index", "repeat", "outcome", "score", "datum_id"),
    *("cut", "calls", "cached_calls", "requests", "input_tokens", "output_tokens"),
    *("cost_usd", "uncached_cost_usd", "duration_s", "ended_at"),
    *("metrics", "tags", "answer", "info", "error"),
)
UPSERT_TASKS = Insert(
    "tasks",
    TASK_COLUMNS,
    "ON CONFLICT (run_id, datum_index, repeat) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in TASK_COLUMNS[3:]),
)
_DETAILED = "CASE WHEN length(metrics) > 2 OR length(tags) > 2 THEN 1 ELSE 0 END"
_CHUNK = "FROM tasks WHERE run_id = $1 AND (datum_index, repeat) > ($2, $3) ORDER BY datum_index, repeat LIMIT $4"
FINISHED = f"SELECT datum_index, repeat, outcome {_CHUNK}"
RESULTS = f"SELECT {', '.join(TASK_COLUMNS)} {_CHUNK}"
USED = f"""
SELECT datum_index, repeat, outcome, score, cut,
    {_DETAILED}, requests, cached_calls, calls, input_tokens, output_tokens,
    cost_usd, uncached_cost_usd {_CHUNK}"""

_SELECTED = "run_id = $1 AND datum_index < $2 AND repeat < $3"
# Sums of whole numbers are made in floating point: a sum beyond 64 bits is an error in both dialects.
TALLY = f"""
SELECT outcome, count(*), sum(score), sum(score * score), sum(CASE WHEN score > 0 AND score < 1 THEN 1 ELSE 0 END),
    sum(cut), sum({_DETAILED}),
    sum(requests), sum(cached_calls), sum(calls),
    sum(CAST(input_tokens AS DOUBLE PRECISION)), count(input_tokens),
    sum(CAST(output_tokens AS DOUBLE PRECISION)), count(output_tokens),
    sum(cost_usd), count(cost_usd), sum(uncached_cost_usd), count(uncached_cost_usd)
FROM tasks WHERE {_SELECTED} GROUP BY outcome"""
CLUSTERS = f"""
SELECT count(*), sum(total * total), sum(total * n), sum(n * n) FROM (
    SELECT coalesce(sum(score), 0) AS total, count(*) AS n FROM tasks
    WHERE {_SELECTED} AND outcome NOT IN ('errored', 'skipped') GROUP BY datum_index
) AS data"""

# Runs ------------------------------------------------------------------------------------------------------------

RUN_COLUMNS = (
    *("run_id", "identity", "scope", "generation", "status", "benchmark", "evaluation_name"),
    *("dataset", "dataset_fingerprint", "subset", "solver", "options", "model", "provider", "agent", "sampling"),
    *("repeats", "planned", "parts", "environment", "tags", "created_at", "ended_at"),
)
_RUN = f"SELECT {', '.join(RUN_COLUMNS)} FROM runs"
RUN_STATUS = "SELECT run_id, status FROM runs WHERE identity = $1 AND generation = $2"
OPEN_RUN = """
INSERT INTO runs (
    run_id, identity, scope, generation, status, benchmark, evaluation_name, dataset, dataset_fingerprint, subset,
    solver, options, model, provider, agent, sampling, repeats, planned, parts, environment, tags, created_at
) VALUES (
    $1, $2, $3, $4, 'open', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    coalesce(nullif($21, 0.0), {NOW})
) ON CONFLICT (identity, generation) DO UPDATE SET
    planned = CASE WHEN excluded.planned > runs.planned THEN excluded.planned ELSE runs.planned END"""
END_RUN = "UPDATE runs SET status = 'ended', ended_at = {NOW} WHERE run_id = $1"
NEWEST_RUN = f"{_RUN} WHERE scope = $1 ORDER BY generation DESC, created_at DESC, run_id LIMIT 1"
FIND_RUNS = f"""
{_RUN} WHERE ($1 = '' OR benchmark = $1) AND ($2 = '' OR model = $2) ORDER BY created_at DESC, run_id LIMIT $3"""

# Nodes and leases ------------------------------------------------------------------------------------------------

_ALIVE = "EXISTS (SELECT 1 FROM nodes WHERE nodes.node_id = leases.owner AND nodes.expires_at > {NOW})"
_TAKE = f"""
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, fence = leases.fence + 1
    WHERE leases.owner = excluded.owner OR NOT {_ALIVE}
RETURNING key"""
CLAIM_CALLS = f"""
INSERT INTO leases (key, owner, fence)
SELECT wanted.key, $1, 1 FROM {{KEYS_2}} AS wanted
WHERE NOT EXISTS (SELECT 1 FROM calls WHERE calls.request_key = wanted.key) {_TAKE}"""
CLAIM_TASKS = f"""
INSERT INTO leases (key, owner, fence)
SELECT wanted.key, $1, 1 FROM {{TASKS_2}} AS wanted
WHERE NOT EXISTS (
    SELECT 1 FROM tasks WHERE tasks.run_id = wanted.run_id AND tasks.datum_index = wanted.datum_index
        AND tasks.repeat = wanted.repeat AND $3 NOT LIKE '%,' || tasks.outcome || ',%'
) {_TAKE}"""
END_LEASES = "DELETE FROM leases WHERE key IN (SELECT key FROM {KEYS_1})"
RELEASE = "DELETE FROM leases WHERE owner = $2 AND key IN (SELECT key FROM {KEYS_1})"
JOIN = """
INSERT INTO nodes (node_id, host, boot_id, pid, pid_started, started_at, expires_at)
VALUES ($1, $2, $3, $4, $5, {NOW}, {NOW} + $6)"""
HEARTBEAT = "UPDATE nodes SET expires_at = {NOW} + $2 WHERE node_id = $1"
LEAVE = "UPDATE nodes SET expires_at = 0 WHERE node_id IN (SELECT key FROM {KEYS_1})"
DROP_LEASES = "DELETE FROM leases WHERE owner IN (SELECT key FROM {KEYS_1})"
NOT_LEFT = "SELECT node_id, host, boot_id, pid, pid_started, expires_at <= {NOW} FROM nodes WHERE expires_at > 0"

# Figures about the store -----------------------------------------------------------------------------------------

COUNTS = """
SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM tasks), (SELECT count(*) FROM calls),
    (SELECT count(*) FROM attempts)"""
MODELS = """
SELECT provider, model, count(*), sum(CAST(input_tokens AS DOUBLE PRECISION)), count(input_tokens),
    sum(CAST(output_tokens AS DOUBLE PRECISION)), count(output_tokens), sum(cost_usd), count(cost_usd)
FROM calls GROUP BY provider, model ORDER BY provider, model"""
