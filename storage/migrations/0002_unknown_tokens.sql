-- Tokens that an endpoint does not tell are unknown, NULL and never 0. No call takes none, so 0 was that.

CREATE TABLE tasks_anew (
    run_id TEXT NOT NULL,
    datum_index BIGINT NOT NULL,
    repeat BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    score DOUBLE PRECISION,
    datum_id TEXT NOT NULL,
    cut BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    cached_calls BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cost_usd DOUBLE PRECISION,
    uncached_cost_usd DOUBLE PRECISION,
    duration_s DOUBLE PRECISION,
    ended_at DOUBLE PRECISION,
    metrics TEXT NOT NULL,
    tags TEXT NOT NULL,
    answer TEXT,
    info TEXT,
    error TEXT,
    PRIMARY KEY (run_id, datum_index, repeat)
) {CLUSTERED};

INSERT INTO tasks_anew (
    run_id, datum_index, repeat, outcome, score, datum_id, cut, calls, cached_calls, requests,
    input_tokens, output_tokens, cost_usd, uncached_cost_usd, duration_s, ended_at, metrics, tags, answer, info, error
)
SELECT
    run_id, datum_index, repeat, outcome, score, datum_id, cut, calls, cached_calls, requests,
    CASE WHEN calls > 0 AND input_tokens = 0 THEN NULL ELSE input_tokens END,
    CASE WHEN calls > 0 AND input_tokens = 0 AND output_tokens = 0 THEN NULL ELSE output_tokens END,
    cost_usd, uncached_cost_usd, duration_s, ended_at, metrics, tags, answer, info, error
FROM tasks;

DROP TABLE tasks;

ALTER TABLE tasks_anew RENAME TO tasks
