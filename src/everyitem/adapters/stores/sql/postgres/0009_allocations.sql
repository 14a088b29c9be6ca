-- What events allocate to executions: the highest version that came in. Named as events name it: an event may
-- come before its batch.
CREATE TABLE allocations (
    batch_id     TEXT NOT NULL,
    execution    BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    body         BYTEA NOT NULL,
    PRIMARY KEY (batch_id, execution)
);

-- What a grant says: how many items of the execution may run at once.
ALTER TABLE controls ADD COLUMN slots BIGINT;
