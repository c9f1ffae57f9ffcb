-- The tables of docs/database.md. One text for every dialect: {ID} is a whole-number key, {CLUSTERED} keeps rows in key order.

CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL,
    scope TEXT NOT NULL,
    generation BIGINT NOT NULL,
    status TEXT NOT NULL,
    benchmark TEXT NOT NULL,
    evaluation_name TEXT NOT NULL,
    dataset TEXT NOT NULL,
    dataset_fingerprint TEXT NOT NULL,
    subset TEXT NOT NULL,
    solver TEXT NOT NULL,
    options TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    agent TEXT NOT NULL,
    sampling TEXT NOT NULL,
    repeats BIGINT NOT NULL,
    planned BIGINT NOT NULL,
    parts TEXT NOT NULL,
    environment TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION,
    UNIQUE (identity, generation)
);
CREATE INDEX runs_scope ON runs (scope, generation);

CREATE TABLE tasks (
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
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
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

CREATE TABLE calls (
    id {ID},
    request_key TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cached_tokens BIGINT,
    reasoning_tokens BIGINT,
    cost_usd DOUBLE PRECISION,
    queue_s DOUBLE PRECISION,
    ttft_s DOUBLE PRECISION,
    latency_s DOUBLE PRECISION,
    attempts BIGINT,
    created_at DOUBLE PRECISION
);

CREATE TABLE bodies (
    id {ID},
    request TEXT NOT NULL,
    response TEXT NOT NULL,
    text TEXT NOT NULL,
    extras TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE VIEW completions AS
SELECT
    calls.request_key, calls.provider, calls.model, bodies.request, bodies.response, bodies.text, calls.finish_reason,
    calls.input_tokens, calls.output_tokens, calls.cached_tokens, calls.reasoning_tokens, calls.cost_usd,
    calls.queue_s, calls.ttft_s, calls.latency_s, calls.attempts, calls.created_at, bodies.extras, bodies.hash
FROM calls LEFT JOIN bodies ON bodies.id = calls.id;

CREATE TABLE attempts (
    request_key TEXT NOT NULL,
    started_at DOUBLE PRECISION,
    class TEXT NOT NULL,
    status BIGINT,
    seconds DOUBLE PRECISION,
    message TEXT NOT NULL,
    request_id TEXT NOT NULL
);

CREATE TABLE nodes (
    node_id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid BIGINT NOT NULL,
    pid_started TEXT NOT NULL,
    started_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);

CREATE TABLE leases (
    key TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    fence BIGINT NOT NULL
) {CLUSTERED};

CREATE TABLE evaluations (
    evaluation_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    run_id TEXT,
    benchmark TEXT NOT NULL,
    dataset TEXT NOT NULL,
    subset TEXT NOT NULL,
    solver TEXT NOT NULL,
    options TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    agent TEXT NOT NULL,
    hidden BIGINT NOT NULL,
    tags TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX evaluations_run ON evaluations (run_id);

CREATE TABLE metrics (
    evaluation_id TEXT NOT NULL REFERENCES evaluations (evaluation_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value DOUBLE PRECISION,
    ci_low DOUBLE PRECISION,
    ci_high DOUBLE PRECISION,
    stderr DOUBLE PRECISION,
    n BIGINT,
    unit TEXT NOT NULL,
    higher_is_better BIGINT,
    tags TEXT NOT NULL,
    PRIMARY KEY (evaluation_id, name)
);

CREATE TABLE entries (
    entry_id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    category TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (namespace, name, version)
);

CREATE TABLE experiments (
    experiment_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    command TEXT NOT NULL,
    cluster TEXT NOT NULL,
    nodes BIGINT NOT NULL,
    status TEXT NOT NULL,
    exit_code BIGINT,
    details TEXT NOT NULL,
    submitted_at DOUBLE PRECISION NOT NULL,
    started_at DOUBLE PRECISION,
    ended_at DOUBLE PRECISION
);
