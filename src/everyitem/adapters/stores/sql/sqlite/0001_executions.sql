-- What an execution is. Written once, never changed: `chain` is the SHA-256 over all of it, and goes into
-- the digest of everything that is recorded later.
CREATE TABLE executions (
    execution_key   INTEGER PRIMARY KEY AUTOINCREMENT,
    batch_id        TEXT NOT NULL,
    execution       INTEGER NOT NULL,
    content         TEXT NOT NULL,
    items_digest    TEXT NOT NULL,
    item_count      INTEGER NOT NULL,
    named           INTEGER NOT NULL,
    processor       TEXT NOT NULL,
    processor_code  TEXT NOT NULL,
    created_at      REAL NOT NULL,
    chain           BLOB NOT NULL,
    envelope        BLOB NOT NULL,
    settings        BLOB NOT NULL,
    source          BLOB,
    UNIQUE (batch_id, execution)
);

-- What changes of an execution, kept small because every checkpoint rewrites it. `owner_token` grows by
-- one per take-over; `owner_expires_at` is NULL while nobody owns it; `owner_writes` counts the
-- transactions of owners, so that one whose end was not seen can be told from one that did not happen.
CREATE TABLE execution_states (
    execution_key       INTEGER PRIMARY KEY REFERENCES executions,
    status              TEXT NOT NULL,
    round               INTEGER NOT NULL,
    runs                INTEGER NOT NULL,
    last_sequence       INTEGER NOT NULL,
    last_digest         BLOB NOT NULL,
    last_checkpoint_at  REAL,
    finished_at         REAL,
    counters            TEXT NOT NULL,
    progress            TEXT,
    owner_token         INTEGER NOT NULL,
    owner_writes        INTEGER NOT NULL,
    owner_expires_at    REAL,
    owner_host          TEXT NOT NULL,
    owner_boot          TEXT NOT NULL,
    owner_pid           INTEGER NOT NULL,
    owner_started       TEXT NOT NULL
);

-- The items as accepted, packed.
CREATE TABLE input_chunks (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    chunk          INTEGER NOT NULL,
    first_index    INTEGER NOT NULL,
    item_count     INTEGER NOT NULL,
    text_length    INTEGER NOT NULL,
    digest         BLOB NOT NULL,
    body           BLOB NOT NULL,
    UNIQUE (execution_key, chunk)
);

-- Corrected payloads a redrive brought; the latest round's counts.
CREATE TABLE corrections (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    item_index     INTEGER NOT NULL,
    round          INTEGER NOT NULL,
    digest         BLOB NOT NULL,
    item           BLOB NOT NULL,
    UNIQUE (execution_key, item_index, round)
);

-- Rounds after the first, and which items each of them holds (the first holds all).
CREATE TABLE rounds (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    round          INTEGER NOT NULL,
    opened_at      REAL NOT NULL,
    item_ranges    BLOB NOT NULL,
    digest         BLOB NOT NULL,
    PRIMARY KEY (execution_key, round)
) WITHOUT ROWID;

-- Checkpoints. The body comes last, so that reading the other columns does not read it.
CREATE TABLE segments (
    execution_key     INTEGER NOT NULL REFERENCES executions,
    sequence          INTEGER NOT NULL,
    round             INTEGER NOT NULL,
    created_at        REAL NOT NULL,
    succeeded         INTEGER NOT NULL,
    failed            INTEGER NOT NULL,
    succeeded_ranges  BLOB NOT NULL,
    failed_items      BLOB NOT NULL,
    touched_items     BLOB NOT NULL,
    digest            BLOB NOT NULL,
    previous          BLOB NOT NULL,
    body              BLOB NOT NULL,
    UNIQUE (execution_key, sequence)
);

-- Damaged segments somebody decided to do without: their items were reopened.
CREATE TABLE discarded_segments (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    sequence       INTEGER NOT NULL,
    discarded_at   REAL NOT NULL,
    PRIMARY KEY (execution_key, sequence)
) WITHOUT ROWID;

-- The items that count as failed now.
CREATE TABLE failed_items (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    item_index     INTEGER NOT NULL,
    item_id        TEXT NOT NULL,
    attempts       INTEGER NOT NULL,
    code           TEXT NOT NULL,
    type           TEXT NOT NULL,
    message        TEXT NOT NULL,
    duration_ms    REAL NOT NULL,
    frames         BLOB NOT NULL,
    PRIMARY KEY (execution_key, item_index)
) WITHOUT ROWID;

CREATE TABLE pending_retries (
    execution_key  INTEGER NOT NULL REFERENCES executions,
    item_index     INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    due            REAL NOT NULL,
    alone          INTEGER NOT NULL,
    PRIMARY KEY (execution_key, item_index)
) WITHOUT ROWID;

-- Every response ever given; the last one counts while the execution is at rest.
CREATE TABLE responses (
    response_key   INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_key  INTEGER NOT NULL REFERENCES executions,
    round          INTEGER NOT NULL,
    recorded_at    REAL NOT NULL,
    body           BLOB NOT NULL
);
CREATE INDEX responses_by_execution ON responses (execution_key);

-- Events to be published. A relay selects by `sent_at IS NULL`, never by position.
CREATE TABLE outbox (
    position       INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_key  INTEGER NOT NULL REFERENCES executions,
    event_id       TEXT NOT NULL,
    type           TEXT NOT NULL,
    subject        TEXT NOT NULL,
    time           REAL NOT NULL,
    sent_at        REAL,
    data           BLOB NOT NULL
);
CREATE INDEX outbox_by_execution ON outbox (execution_key);

-- Requests other processes leave for the owner; gone once taken.
CREATE TABLE controls (
    position       INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_key  INTEGER NOT NULL REFERENCES executions,
    kind           TEXT NOT NULL,
    requested_at   REAL NOT NULL,
    requested_by   TEXT NOT NULL
);
CREATE INDEX controls_by_execution ON controls (execution_key);
