"""Sessions of browsers: a cookie that stands for a token, so that no page ever holds the token itself."""

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field

#: Seconds a session lasts, and how many there may be; the oldest one makes room.
LIFETIME = 12 * 3600
MOST = 1000

COOKIE = "everyitem_session"
#: Carries the CSRF token of a form that has no session yet.
FORM_COOKIE = "everyitem_form"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that has logged in. Lives in memory only: a restart logs everybody out."""

    #: The token it logged in with, looked at again with every request: it may have been revoked.
    token: str = field(repr=False)
    #: What a changing request has to carry in `X-CSRF-Token`.
    csrf: str = field(repr=False)
    expires: float


class Sessions:
    """Every session, by the digest of its cookie."""

    def __init__(self) -> None:
        self._open: dict[bytes, Session] = {}
        self._guard = threading.Lock()

    def open(self, token: str) -> str:
        """Begin a session for the holder of this token; returns the cookie's value."""
        cookie = secrets.token_urlsafe(32)
        session = Session(token, secrets.token_urlsafe(32), time.time() + LIFETIME)
        with self._guard:
            while len(self._open) >= MOST:
                del self._open[next(iter(self._open))]
            self._open[_key(cookie)] = session
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The session of this cookie, unless it is over."""
        with self._guard:
            session = self._open.get(_key(cookie))
            if session is not None and session.expires <= time.time():
                del self._open[_key(cookie)]
                session = None
        return session

    def close(self, cookie: str) -> None:
        """End a session."""
        with self._guard:
            self._open.pop(_key(cookie), None)


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how far they agree."""
    return bool(wanted) and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def cookie_of(header: str, name: str) -> str:
    """The value of a cookie in a `Cookie` header; empty without it."""
    for part in header.split(";"):
        key, equals, value = part.strip().partition("=")
        if equals and key == name:
            return value
    return ""


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
