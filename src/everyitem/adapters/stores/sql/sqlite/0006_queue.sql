-- The services that carry executions out. One is believed to live until `expires_at`, or until its process
-- is known to be gone.
CREATE TABLE services (
    service_id  TEXT PRIMARY KEY,
    expires_at  REAL NOT NULL,
    host        TEXT NOT NULL,
    boot        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    started     TEXT NOT NULL,
    millicores  INTEGER NOT NULL,
    memory_mb   INTEGER NOT NULL,
    batches     INTEGER NOT NULL
) WITHOUT ROWID;

-- Executions services are to carry out; gone when nothing is left to do. `number` is the order of submission,
-- `wish` what shall become of it, `runs_before` how many runs it had had, `service_id` who has it.
CREATE TABLE tickets (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_key  INTEGER NOT NULL UNIQUE REFERENCES executions,
    since          REAL NOT NULL,
    priority       TEXT NOT NULL,
    wish           TEXT NOT NULL,
    actor          TEXT NOT NULL,
    runs_before    INTEGER NOT NULL,
    least          INTEGER NOT NULL,
    most           INTEGER NOT NULL,
    millicores     INTEGER NOT NULL,
    memory_mb      INTEGER NOT NULL,
    parallelism    INTEGER,
    service_id     TEXT
);

-- Who did what to an execution, and when.
CREATE TABLE actions (
    position       INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_key  INTEGER NOT NULL REFERENCES executions,
    at             REAL NOT NULL,
    actor          TEXT NOT NULL,
    action         TEXT NOT NULL,
    detail         BLOB NOT NULL
);
CREATE INDEX actions_by_execution ON actions (execution_key);
