"""Access tokens by OAuth2 client credentials: fetched when needed, kept until shortly before they expire."""

import base64
import json
import time
from typing import Final

from everyitem.faces.cyoda.web import WebError, call
from everyitem.model.store_url import shown_url
from everyitem.settings.credentials import Credentials

#: Share of its life after which a token is replaced.
_FRESH: Final = 0.8


class TokenRefused(Exception):
    """There is no token to be had; says what the token server said."""


class Tokens:
    """The token in force. `fetch` blocks; call it from a thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._token, self._fresh_until = "", 0.0

    def fetch(self) -> str:
        """A token that is valid for a while yet. Raises `TokenRefused`."""
        if time.monotonic() >= self._fresh_until:
            self._token, lifetime = request_token(self._credentials)
            self._fresh_until = time.monotonic() + lifetime * _FRESH
        return self._token

    def drop(self) -> None:
        """The platform did not accept it: the next one is a new one."""
        self._fresh_until = 0.0


def request_token(credentials: Credentials) -> tuple[str, float]:
    """One new token and the seconds it lives. Raises `TokenRefused`; no message holds a secret."""
    pair = base64.b64encode(f"{credentials.client_id}:{credentials.secret}".encode()).decode("ascii")
    try:
        reply = call(
            credentials.url,
            method="POST",
            body=b"grant_type=client_credentials",
            headers={
                "Authorization": f"Basic {pair}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
        )
        said = json.loads(reply)
    except (WebError, ValueError) as error:
        raise TokenRefused(f"no token: {error}") from None
    token = said.get("access_token") if isinstance(said, dict) else None
    if not isinstance(token, str) or not token:
        raise TokenRefused(f"{shown_url(credentials.url)} answers without an access_token")
    lifetime = said.get("expires_in")
    return token, float(lifetime) if isinstance(lifetime, int | float) else 60.0
