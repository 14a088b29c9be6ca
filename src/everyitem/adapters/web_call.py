"""Single calls over HTTP: for tokens and for the set-up of the Cyoda platform.

Redirects are not followed: what is sent holds secrets, and a POST that is redirected becomes a GET.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from everyitem.model.retry_after import seconds_asked
from everyitem.model.store_url import shown_url
from everyitem.ports.web import WebError

#: Seconds a server has for each step.
PATIENCE: Final = 10.0
#: Bytes of the longest reply that is read.
_LONGEST_REPLY: Final = 16 << 20
#: The longest wait a server may ask for, in seconds.
_LONGEST_WAIT: Final = 300.0


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other; where it leads nobody has allowed."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(NoRedirects)


def call(
    url: str,
    *,
    method: str,
    body: bytes | None = None,
    headers: Mapping[str, str],
    timeout: float = PATIENCE,
) -> bytes:
    """The body of the reply. Raises `WebError`; its text names the URL and never a header."""
    if not url.startswith(("http://", "https://")):
        raise WebError(f"{shown_url(url)} is no http or https URL")
    called = f"{method} {shown_url(url)}"
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - checked
        with _opener.open(request, timeout=timeout) as reply:
            content: bytes = reply.read(_LONGEST_REPLY)
            return content
    except urllib.error.HTTPError as error:
        wait = seconds_asked(error.headers.get("Retry-After"), longest=_LONGEST_WAIT)
        with error:
            said = _said(error)
        raise WebError(
            f"{called}: {error.code} {error.reason}", status=error.code, body=said, wait=wait
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise WebError(f"{called}: {getattr(error, 'reason', None) or error}") from None


def _said(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(_LONGEST_REPLY)
    except (OSError, http.client.HTTPException):
        return b""  # it broke off: the status says enough
