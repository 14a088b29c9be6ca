-- At-most-once: items that may be called. A row comes before the call and goes with its outcome. `doubt`
-- says why that will not come, and is empty while it may.
CREATE TABLE intents (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    item_index     BIGINT NOT NULL,
    attempt        BIGINT NOT NULL,
    doubt          TEXT NOT NULL,
    PRIMARY KEY (execution_key, item_index)
);

-- What a settlement asks for (JSON text).
ALTER TABLE controls ADD COLUMN settlement TEXT;
