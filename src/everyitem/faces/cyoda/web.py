"""The few HTTP calls of a member: for tokens and for the set-up."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

from everyitem.model.store_url import shown_url

#: Seconds a server has.
_PATIENCE: Final = 10.0
#: Bytes of the longest reply that is read.
_LONGEST_REPLY: Final = 16 << 20


class WebError(Exception):
    """A call that failed; `status` is 0 where no server answered."""

    def __init__(self, message: str, *, status: int = 0, body: bytes = b"") -> None:
        self.status, self.body = status, body
        super().__init__(message)


def call(url: str, *, method: str, body: bytes | None = None, headers: Mapping[str, str]) -> bytes:
    """The body of the reply. Raises `WebError`; its text names the URL and never a header."""
    if not url.startswith(("http://", "https://")):
        raise WebError(f"{shown_url(url)} is no http or https URL")
    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as reply:  # noqa: S310 - checked
            content: bytes = reply.read(_LONGEST_REPLY)
            return content
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_LONGEST_REPLY)
            message = f"{method} {shown_url(url)}: {error.code} {error.reason}"
            raise WebError(message, status=error.code, body=said) from None
    except (OSError, ValueError) as error:
        raise WebError(f"{method} {shown_url(url)}: {getattr(error, 'reason', None) or error}") from None
