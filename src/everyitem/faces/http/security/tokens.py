"""Access tokens: made once, shown once, kept as digests, compared in constant time."""

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Self

import msgspec

from everyitem.faces.api.views import View, moment
from everyitem.faces.http.security.scopes import ADMINISTRATOR, Caller, Scope
from everyitem.ports.tokens import TokenRecord, TokenStore

#: `eit_<public part>_<secret part>`: recognisable, for scanners that look for leaked secrets.
_FORM = re.compile(r"eit_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)

#: What an unknown token is compared with, so that it takes as long as a known one.
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: `text` is shown to its owner and forgotten."""

    record: TokenRecord
    text: str


def make_token(
    name: str, scope: Scope, *, by: str, now: float, lifetime_seconds: float | None = None
) -> NewToken:
    """A new random token. Times in epoch seconds."""
    public, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    record = TokenRecord(
        token_id=public,
        name=name,
        scope=scope,
        digest=_digest(secret),
        created_at=now,
        created_by=by,
        expires_at=None if lifetime_seconds is None else now + lifetime_seconds,
    )
    return NewToken(record, f"eit_{public}_{secret}")


class TokenInfo(View, frozen=True, kw_only=True):
    """An access token, without what proves its possession."""

    token_id: str
    name: str
    scope: str
    created_at: str | None
    created_by: str
    expires_at: str | None
    revoked_at: str | None

    @classmethod
    def of(cls, record: TokenRecord) -> Self:
        """What may be shown of a stored token."""
        return cls(
            token_id=record.token_id,
            name=record.name,
            scope=record.scope,
            created_at=moment(record.created_at),
            created_by=record.created_by,
            expires_at=moment(record.expires_at),
            revoked_at=moment(record.revoked_at),
        )


class Tokens(View, frozen=True, kw_only=True):
    """Every token, oldest first."""

    tokens: tuple[TokenInfo, ...]


class MadeToken(TokenInfo, frozen=True, kw_only=True):
    """A token that was just made."""

    #: The token itself: shown now and never again.
    token: str

    @classmethod
    def of_new(cls, made: NewToken) -> Self:
        """What its owner is shown."""
        info = TokenInfo.of(made.record)
        return cls(token=made.text, **msgspec.structs.asdict(info))


class Credentials:
    """Says whose a token is: the administrator's of the environment, or one of the store's."""

    def __init__(self, store: TokenStore, *, admin_token: str | None) -> None:
        self._store = store
        self._admin = _digest(admin_token) if admin_token else None

    def caller(self, token: str) -> Caller | None:
        """Who shows this token; None for one that is unknown, expired or revoked.

        Looks at the store each time, so that a revoked token is worthless from that moment.
        """
        digest = _digest(token)
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return ADMINISTRATOR
        form = _FORM.fullmatch(token)
        record = self._store.find(form[1]) if form else None
        known = record.digest if record is not None else _NOBODY
        is_right = hmac.compare_digest(_digest(form[2]) if form else digest, known)
        if record is None or not is_right or not is_valid(record):
            return None
        return Caller(f"{record.name} ({record.token_id})", Scope(record.scope))


def is_valid(record: TokenRecord) -> bool:
    """Whether a token is neither revoked nor expired."""
    return record.revoked_at is None and (record.expires_at is None or time.time() < record.expires_at)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
