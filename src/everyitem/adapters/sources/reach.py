"""Which URLs may be asked, and as whom: what the operator says in `[sources.http]`."""

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from everyitem.adapters.sources.web import opened
from everyitem.ports.source import SourceAway, SourceUnavailable


class Reach:
    """What documents and events may make this machine call."""

    def __init__(self, sources: Mapping[str, Any]) -> None:
        """`sources` is the table `[sources]` of the configuration."""
        setup = sources.get("http", {})
        self._setup: Mapping[str, Any] = setup if isinstance(setup, Mapping) else {}

    def allowed(self, url: str) -> str:
        """The URL, if it may be asked. Raises `SourceUnavailable`."""
        allowed = self._setup.get("allow", [])
        if isinstance(allowed, list) and any(isinstance(one, str) and _is_below(url, one) for one in allowed):
            return url
        raise SourceUnavailable(
            f"the operator does not allow this URL: add what it begins with to [sources.http] allow ({url})"
        )

    def headers(self, accept: str) -> dict[str, str]:
        """What a request says of itself. Raises `SourceUnavailable`."""
        headers = {"Accept": accept}
        if token_file := self._setup.get("token-file"):
            try:
                headers["Authorization"] = f"Bearer {Path(str(token_file)).read_text().strip()}"
            except OSError as error:
                raise SourceUnavailable(f"{token_file}: {error.strerror}") from None
        return headers


def read_reference(url: str, sources: Mapping[str, Any], *, most: int) -> bytes:
    """The document behind a URL, at most `most` bytes of it. Raises `SourceUnavailable`."""
    reach = Reach(sources)
    with opened(reach.allowed(url), reach.headers("application/json")) as reply:
        try:
            content = reply.read(most + 1)
        except (OSError, http.client.HTTPException) as error:
            raise SourceAway(f"{url}: the reply broke off: {error}") from None
    if len(content) > most:
        raise SourceUnavailable(f"{url}: longer than {most:,} bytes, the limit of documents")
    return content


def _is_below(url: str, allowed: str) -> bool:
    """Whether the URL is on the same host and below the same path, which ends where a part of it does."""
    one, other = urlsplit(url), urlsplit(allowed)
    if (one.scheme, one.netloc) != (other.scheme, other.netloc) or "@" in one.netloc:
        return False
    folder = other.path.rstrip("/")
    # a server may take encoded dots and backslashes for what they stand for
    parts = unquote(one.path).replace("\\", "/").split("/")
    return ".." not in parts and (one.path == folder or one.path.startswith(f"{folder}/"))
