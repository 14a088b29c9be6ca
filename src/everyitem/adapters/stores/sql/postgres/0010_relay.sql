-- An event that was refused too often: when it was given up, and why it was refused.
ALTER TABLE outbox ADD COLUMN parked_at DOUBLE PRECISION;
ALTER TABLE outbox ADD COLUMN refusal TEXT NOT NULL DEFAULT '';

-- What is still to be published. By this, and never by "behind the last one": positions are given out before
-- transactions commit, and one may appear before another that is lower.
DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (position) WHERE sent_at IS NULL AND parked_at IS NULL;

-- Who publishes, so that the events of a batch keep their order: one process at a time, until `expires_at`, or
-- until it is known to be gone.
CREATE TABLE relays (
    name        TEXT PRIMARY KEY,
    holder      TEXT NOT NULL,
    expires_at  DOUBLE PRECISION NOT NULL,
    host        TEXT NOT NULL,
    boot        TEXT NOT NULL,
    pid         BIGINT NOT NULL,
    started     TEXT NOT NULL
);
