-- Alerts: one row per incident and time it occurred. They belong to no transaction of an execution, and may
-- be about one that could not be stored: so they name the batch, and reference nothing.
CREATE TABLE alerts (
    alert_id         TEXT PRIMARY KEY,
    batch_id         TEXT NOT NULL,
    execution        INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    level            TEXT NOT NULL,
    about            TEXT NOT NULL,
    text             TEXT NOT NULL,
    raised_at        REAL NOT NULL,
    seen_at          REAL NOT NULL,
    occurrences      INTEGER NOT NULL,
    pages            INTEGER NOT NULL,
    paged_at         REAL,
    channel          TEXT NOT NULL,
    step             INTEGER NOT NULL,
    acknowledged_at  REAL,
    acknowledged_by  TEXT NOT NULL,
    resolved_at      REAL
);
-- One alert at a time stands for an incident, whichever processes notice it.
CREATE UNIQUE INDEX alerts_standing ON alerts (batch_id, execution, kind, about) WHERE resolved_at IS NULL;
CREATE INDEX alerts_by_time ON alerts (raised_at);

-- Alerts nobody is told of for a while.
CREATE TABLE silences (
    silence_key  INTEGER PRIMARY KEY AUTOINCREMENT,
    batch        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    until        REAL NOT NULL,
    silenced_by  TEXT NOT NULL,
    reason       TEXT NOT NULL
);
