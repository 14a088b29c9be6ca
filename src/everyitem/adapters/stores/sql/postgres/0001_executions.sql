-- What an execution is. Written once, never changed: `chain` is the SHA-256 over all of it, and goes into
-- the digest of everything that is recorded later.
CREATE TABLE executions (
    execution_key   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id        TEXT NOT NULL,
    execution       BIGINT NOT NULL,
    content         TEXT NOT NULL,
    items_digest    TEXT NOT NULL,
    item_count      BIGINT NOT NULL,
    named           BOOLEAN NOT NULL,
    processor       TEXT NOT NULL,
    processor_code  TEXT NOT NULL,
    created_at      DOUBLE PRECISION NOT NULL,
    chain           BYTEA NOT NULL,
    envelope        BYTEA NOT NULL,
    settings        BYTEA NOT NULL,
    source          BYTEA,
    UNIQUE (batch_id, execution)
);

-- What changes of an execution, kept small because every checkpoint rewrites it. `owner_token` grows by
-- one per take-over; `owner_expires_at` is NULL while nobody owns it; `owner_writes` counts the
-- transactions of owners, so that one whose end was not seen can be told from one that did not happen.
-- Whoever writes to an execution updates its row here first and so holds it until the commit: the writes
-- of one execution, positions in the outbox included, come one after the other.
CREATE TABLE execution_states (
    execution_key       BIGINT PRIMARY KEY REFERENCES executions,
    status              TEXT NOT NULL,
    round               BIGINT NOT NULL,
    runs                BIGINT NOT NULL,
    last_sequence       BIGINT NOT NULL,
    last_digest         BYTEA NOT NULL,
    last_checkpoint_at  DOUBLE PRECISION,
    finished_at         DOUBLE PRECISION,
    counters            TEXT NOT NULL,
    progress            TEXT,
    owner_token         BIGINT NOT NULL,
    owner_writes        BIGINT NOT NULL,
    owner_expires_at    DOUBLE PRECISION,
    owner_host          TEXT NOT NULL,
    owner_boot          TEXT NOT NULL,
    owner_pid           BIGINT NOT NULL,
    owner_started       TEXT NOT NULL
) WITH (fillfactor = 50);

-- The items as accepted, packed.
CREATE TABLE input_chunks (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    chunk          BIGINT NOT NULL,
    first_index    BIGINT NOT NULL,
    item_count     BIGINT NOT NULL,
    text_length    BIGINT NOT NULL,
    digest         BYTEA NOT NULL,
    body           BYTEA NOT NULL,
    PRIMARY KEY (execution_key, chunk)
);

-- Corrected payloads a redrive brought; the latest round's counts.
CREATE TABLE corrections (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    item_index     BIGINT NOT NULL,
    round          BIGINT NOT NULL,
    digest         BYTEA NOT NULL,
    item           BYTEA NOT NULL,
    PRIMARY KEY (execution_key, item_index, round)
);

-- Rounds after the first, and which items each of them holds (the first holds all).
CREATE TABLE rounds (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    round          BIGINT NOT NULL,
    opened_at      DOUBLE PRECISION NOT NULL,
    item_ranges    BYTEA NOT NULL,
    digest         BYTEA NOT NULL,
    PRIMARY KEY (execution_key, round)
);

-- Checkpoints.
CREATE TABLE segments (
    execution_key     BIGINT NOT NULL REFERENCES executions,
    sequence          BIGINT NOT NULL,
    round             BIGINT NOT NULL,
    created_at        DOUBLE PRECISION NOT NULL,
    succeeded         BIGINT NOT NULL,
    failed            BIGINT NOT NULL,
    succeeded_ranges  BYTEA NOT NULL,
    failed_items      BYTEA NOT NULL,
    touched_items     BYTEA NOT NULL,
    digest            BYTEA NOT NULL,
    previous          BYTEA NOT NULL,
    body              BYTEA NOT NULL,
    PRIMARY KEY (execution_key, sequence)
);

-- Damaged segments somebody decided to do without: their items were reopened.
CREATE TABLE discarded_segments (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    sequence       BIGINT NOT NULL,
    discarded_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (execution_key, sequence)
);

-- The items that count as failed now.
CREATE TABLE failed_items (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    item_index     BIGINT NOT NULL,
    item_id        TEXT NOT NULL,
    attempts       BIGINT NOT NULL,
    code           TEXT NOT NULL,
    type           TEXT NOT NULL,
    message        TEXT NOT NULL,
    duration_ms    DOUBLE PRECISION NOT NULL,
    frames         BYTEA NOT NULL,
    PRIMARY KEY (execution_key, item_index)
);

CREATE TABLE pending_retries (
    execution_key  BIGINT NOT NULL REFERENCES executions,
    item_index     BIGINT NOT NULL,
    attempts       BIGINT NOT NULL,
    due            DOUBLE PRECISION NOT NULL,
    alone          BOOLEAN NOT NULL,
    PRIMARY KEY (execution_key, item_index)
);

-- Every response ever given; the last one counts while the execution is at rest.
CREATE TABLE responses (
    response_key   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_key  BIGINT NOT NULL REFERENCES executions,
    round          BIGINT NOT NULL,
    recorded_at    DOUBLE PRECISION NOT NULL,
    body           BYTEA NOT NULL
);
CREATE INDEX responses_by_execution ON responses (execution_key);

-- Events to be published. A position is taken before the commit, so across executions a lower one may
-- appear after a higher one: a relay selects by `sent_at IS NULL`, never by position.
CREATE TABLE outbox (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_key  BIGINT NOT NULL REFERENCES executions,
    event_id       TEXT NOT NULL,
    type           TEXT NOT NULL,
    subject        TEXT NOT NULL,
    time           DOUBLE PRECISION NOT NULL,
    sent_at        DOUBLE PRECISION,
    data           BYTEA NOT NULL
);
CREATE INDEX outbox_by_execution ON outbox (execution_key, position);
CREATE INDEX outbox_unsent ON outbox (position) WHERE sent_at IS NULL;

-- Requests other processes leave for the owner; gone once taken.
CREATE TABLE controls (
    position       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_key  BIGINT NOT NULL REFERENCES executions,
    kind           TEXT NOT NULL,
    requested_at   DOUBLE PRECISION NOT NULL,
    requested_by   TEXT NOT NULL
);
CREATE INDEX controls_by_execution ON controls (execution_key);

-- Bodies are compressed before they come here.
ALTER TABLE input_chunks ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE segments ALTER COLUMN body SET STORAGE EXTERNAL;
