-- The services that carry executions out. One is believed to live until `expires_at`, or until its process
-- is known to be gone.
CREATE TABLE services (
    service_id  TEXT PRIMARY KEY,
    expires_at  DOUBLE PRECISION NOT NULL,
    host        TEXT NOT NULL,
    boot        TEXT NOT NULL,
    pid         BIGINT NOT NULL,
    started     TEXT NOT NULL,
    millicores  BIGINT NOT NULL,
    memory_mb   BIGINT NOT NULL,
    batches     BIGINT NOT NULL
);

-- Executions services are to carry out; gone when nothing is left to do. `number` is the order of submission,
-- `wish` what shall become of it, `runs_before` how many runs it had had, `service_id` who has it.
CREATE TABLE tickets (
    number         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_key  BIGINT NOT NULL UNIQUE REFERENCES executions,
    since          DOUBLE PRECISION NOT NULL,
    priority       TEXT NOT NULL,
    wish           TEXT NOT NULL,
    actor          TEXT NOT NULL,
    runs_before    BIGINT NOT NULL,
    least          BIGINT NOT NULL,
    most           BIGINT NOT NULL,
    millicores     BIGINT NOT NULL,
    memory_mb      BIGINT NOT NULL,
    parallelism    BIGINT,
    service_id     TEXT
);

-- Who did what to an execution, and when.
CREATE TABLE actions (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_key  BIGINT NOT NULL REFERENCES executions,
    at             DOUBLE PRECISION NOT NULL,
    actor          TEXT NOT NULL,
    action         TEXT NOT NULL,
    detail         BYTEA NOT NULL
);
CREATE INDEX actions_by_execution ON actions (execution_key);
