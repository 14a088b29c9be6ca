-- Access tokens of the HTTP API. What proves a token's possession is kept as a digest only.
CREATE TABLE tokens (
    token_id    TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    digest      BLOB NOT NULL,
    created_at  REAL NOT NULL,
    created_by  TEXT NOT NULL,
    expires_at  REAL,
    revoked_at  REAL
);
