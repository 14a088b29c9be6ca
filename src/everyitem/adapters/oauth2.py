"""Access tokens by OAuth2 client credentials (RFC 6749, section 4.4), each used for most of its life."""

import base64
import threading
import time
from typing import Final

import msgspec

from everyitem.adapters.web_call import PATIENCE, call
from everyitem.model.store_url import shown_url
from everyitem.ports.bearer import Granted, TokenRefused
from everyitem.ports.web import WebError
from everyitem.settings.credentials import Credentials

#: Share of a token's life after which it is replaced: what is done with it may outlive it.
_FRESH: Final = 0.8
#: Seconds a token lives that says nothing of it.
_USUAL: Final = 60.0
#: Characters of a refusal that a message quotes.
_QUOTED: Final = 300


class _Reply(msgspec.Struct):
    access_token: str
    #: Some servers write the number as a text.
    expires_in: float | None = None


class _Refusal(msgspec.Struct):
    """RFC 6749, section 5.2."""

    error: str = ""
    error_description: str = ""


_read_refusal = msgspec.json.Decoder(_Refusal).decode
_read_reply = msgspec.json.Decoder(_Reply, strict=False).decode


class ClientTokens:
    """`ports.bearer.BearerTokens`: a client's, from its token server."""

    def __init__(self, credentials: Credentials, *, timeout: float = PATIENCE) -> None:
        """`timeout` in seconds for each step."""
        self._credentials, self._timeout = credentials, timeout
        self._lock = threading.Lock()
        self._token, self._fresh_until = "", 0.0

    def current(self) -> str:
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                granted = self.request()
                self._token = granted.token
                self._fresh_until = time.monotonic() + _FRESH * granted.seconds
            return self._token

    def drop(self, token: str) -> None:
        with self._lock:
            if token == self._token:
                self._fresh_until = 0.0

    def request(self) -> Granted:
        credentials = self._credentials
        pair = base64.b64encode(f"{credentials.client_id}:{credentials.secret}".encode()).decode("ascii")
        headers = {
            "Authorization": f"Basic {pair}",
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = b"grant_type=client_credentials"
        try:
            answer = call(credentials.url, method="POST", body=form, headers=headers, timeout=self._timeout)
        except WebError as error:
            said = _said(error.body)
            raise TokenRefused(
                f"no token: {error}" + (f": {said}" if said else ""), wait=error.wait
            ) from None
        try:
            reply = _read_reply(answer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            reply = _Reply("")
        if not reply.access_token:
            raise TokenRefused(f"no token: {shown_url(credentials.url)} answers without an access_token")
        return Granted(reply.access_token, _USUAL if reply.expires_in is None else reply.expires_in)


def _said(body: bytes) -> str:
    """What a token server says of its refusal, where it says it as OAuth2 wants it."""
    try:
        refusal = _read_refusal(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    said = ": ".join(part for part in (refusal.error, refusal.error_description) if part)
    return " ".join(said.split())[:_QUOTED]
