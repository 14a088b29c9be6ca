-- Deferred items: their call has returned, and an event will tell their outcome. A row goes with the outcome,
-- or with the retry or doubt that follows when its time is over.
CREATE TABLE deferrals (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    item_index     INTEGER NOT NULL,
    attempt        INTEGER NOT NULL,
    due            REAL NOT NULL,
    duration_us    INTEGER NOT NULL,
    item_id        TEXT NOT NULL,
    round          INTEGER NOT NULL,
    PRIMARY KEY (execution_key, item_index)
) WITHOUT ROWID;
CREATE INDEX deferrals_by_item_id ON deferrals (execution_key, item_id);

-- What events say of items. It counts once the deferral of that attempt is there, and goes with it; the first
-- event about an attempt wins. Named as events name it: an event may come before its deferral, or its batch.
CREATE TABLE completions (
    position       INTEGER PRIMARY KEY AUTOINCREMENT,
    batch_id       TEXT NOT NULL,
    execution      INTEGER NOT NULL,
    round          INTEGER NOT NULL,
    item_id        TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    succeeded      INTEGER NOT NULL,
    body           BLOB NOT NULL,
    UNIQUE (batch_id, execution, round, item_id, attempt)
);

-- Every event that was taken in, once, by which it is known when it comes again; written in the transaction of
-- its effect.
CREATE TABLE incoming_events (
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    type         TEXT NOT NULL,
    batch_id     TEXT NOT NULL,
    received_at  REAL NOT NULL,
    PRIMARY KEY (source, event_id)
) WITHOUT ROWID;
CREATE INDEX incoming_events_by_batch ON incoming_events (batch_id, received_at);
