-- Deferred items: their call has returned, and an event will tell their outcome. A row goes with the outcome,
-- or with the retry or doubt that follows when its time is over.
CREATE TABLE deferrals (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    item_index     BIGINT NOT NULL,
    attempt        BIGINT NOT NULL,
    due            DOUBLE PRECISION NOT NULL,
    duration_us    BIGINT NOT NULL,
    item_id        TEXT NOT NULL,
    round          BIGINT NOT NULL,
    PRIMARY KEY (execution_key, item_index)
);
CREATE INDEX deferrals_by_item_id ON deferrals (execution_key, item_id);

-- What events say of items. It counts once the deferral of that attempt is there, and goes with it; the first
-- event about an attempt wins. Named as events name it: an event may come before its deferral, or its batch.
CREATE TABLE completions (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id       TEXT NOT NULL,
    execution      BIGINT NOT NULL,
    round          BIGINT NOT NULL,
    item_id        TEXT NOT NULL,
    attempt        BIGINT NOT NULL,
    succeeded      BOOLEAN NOT NULL,
    body           BYTEA NOT NULL,
    UNIQUE (batch_id, execution, round, item_id, attempt)
);

-- Every event that was taken in, once, by which it is known when it comes again; written in the transaction of
-- its effect.
CREATE TABLE incoming_events (
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    type         TEXT NOT NULL,
    batch_id     TEXT NOT NULL,
    received_at  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (source, event_id)
);
CREATE INDEX incoming_events_by_batch ON incoming_events (batch_id, received_at);
