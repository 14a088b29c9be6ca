"""Where the digests of access tokens are kept. The tokens themselves are kept nowhere."""

from typing import Protocol

import msgspec


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One token, without what proves its possession. Times are epoch seconds."""

    #: The public part, by which a token is listed, found and revoked.
    token_id: str
    #: Whose it is, or what for.
    name: str
    scope: str
    #: SHA-256 of the secret part, which is 256 random bits and needs no slow hash.
    digest: bytes
    created_at: float
    created_by: str
    #: None: until it is revoked.
    expires_at: float | None = None
    revoked_at: float | None = None


class TokenStore(Protocol):
    """The tokens of one store. Usable from any thread, one at a time."""

    def add(self, token: TokenRecord) -> None:
        """Keep a new token."""
        ...

    def find(self, token_id: str) -> TokenRecord | None:
        """The token with this public part, revoked and expired ones too."""
        ...

    def all(self) -> list[TokenRecord]:
        """Every token, oldest first."""
        ...

    def revoke(self, token_id: str, at: float) -> bool:
        """Make a token worthless from now on; False when there is none. The first time counts."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
