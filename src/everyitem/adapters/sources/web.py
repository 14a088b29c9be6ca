"""Requests of sources: only where the operator allows, never redirected elsewhere, read piece by piece."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from everyitem.adapters.web_call import NoRedirects
from everyitem.model.store_url import shown_url
from everyitem.ports.source import SourceAway, SourceUnavailable

#: Seconds a server may be silent.
_PATIENCE: Final = 60.0
#: Answers that say nothing about what was asked for: from here on, and besides.
_BROKEN: Final = 500
_LATER: Final = frozenset((408, 425, 429))


#: A redirect may lead anywhere, past what the operator allows.
_opener = urllib.request.build_opener(NoRedirects)


@contextmanager
def opened(
    url: str, headers: Mapping[str, str], *, body: bytes | None = None
) -> Iterator[http.client.HTTPResponse]:
    """The reply to a GET, or to a POST of a `body`; no header is ever shown.

    Raises `SourceUnavailable`, as a `SourceAway` where it may answer later.
    """
    if not url.startswith(("http://", "https://")):
        raise SourceUnavailable(f"{shown_url(url)} is no http or https URL")
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310 - checked
        with _opener.open(request, timeout=_PATIENCE) as reply:
            yield reply
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(500).decode("utf-8", "replace").strip()
        where = f"{shown_url(url)}: {error.code} {error.reason}"
        kind = SourceAway if error.code >= _BROKEN or error.code in _LATER else SourceUnavailable
        raise kind(f"{where}: {said}" if said else where) from None
    except (OSError, http.client.HTTPException) as error:
        raise SourceAway(f"{shown_url(url)}: {getattr(error, 'reason', None) or error}") from None
    except ValueError as error:
        raise SourceUnavailable(f"{shown_url(url)}: {error}") from None


def lines_of(reply: http.client.HTTPResponse, *, at_once: int = 1 << 18) -> Iterator[list[bytes]]:
    """The lines of a reply, some hundred kilobytes at a time. Raises `SourceUnavailable` if it breaks off."""
    try:
        while lines := reply.readlines(at_once):
            yield lines
    except (OSError, http.client.HTTPException) as error:
        raise SourceUnavailable(f"the reply broke off: {error}") from None
