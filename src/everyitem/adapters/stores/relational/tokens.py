"""`ports.tokens.TokenStore` in a table."""

import msgspec

from everyitem.adapters.stores.relational.database import Connection
from everyitem.ports.tokens import TokenRecord

_COLUMNS = "token_id, name, scope, digest, created_at, created_by, expires_at, revoked_at"


class TableTokens:
    """The tokens in one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, token: TokenRecord) -> None:
        with self._connection.writing() as database:
            database.execute(
                f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    token.token_id,
                    token.name,
                    token.scope,
                    token.digest,
                    token.created_at,
                    token.created_by,
                    token.expires_at,
                    token.revoked_at,
                ),
            )

    def find(self, token_id: str) -> TokenRecord | None:
        with self._connection.reading() as database:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM tokens WHERE token_id = ?", (token_id,)
            ).fetchone()
        return None if row is None else _token(row)

    def all(self) -> list[TokenRecord]:
        with self._connection.reading() as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, token_id").fetchall()
        return [_token(row) for row in rows]

    def revoke(self, token_id: str, at: float) -> bool:
        with self._connection.writing() as database:
            revoked = database.execute(
                "UPDATE tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE token_id = ?", (at, token_id)
            )
            return revoked.rowcount == 1

    def close(self) -> None:
        self._connection.close()


def _token(row: tuple[object, ...]) -> TokenRecord:
    return msgspec.convert(dict(zip(TokenRecord.__struct_fields__, row, strict=True)), TokenRecord)
