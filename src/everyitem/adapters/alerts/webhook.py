"""Alerts as JSON by HTTP POST."""

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import msgspec

from everyitem.model.alerts import Page
from everyitem.model.errors import UsageError


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An alert goes where the operator said, and nowhere else."""

    def redirect_request(self, *request: Any) -> None:
        """Follow none: the answer counts as a failure."""


class Webhook:
    """Whoever answers with a 2xx has been reached."""

    def __init__(self, name: str, url: str, *, timeout: float) -> None:
        """`timeout`: seconds for each step of the exchange."""
        if urlsplit(url).scheme not in ("http", "https"):
            raise UsageError(f"[alerts] channels.{name}: the URL must begin with http:// or https://")
        self.name = name
        self._url, self._timeout = url, timeout
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, page: Page) -> None:
        body = msgspec.json.encode({**page.to_dict(), "title": page.title, "body": page.body})
        headers = {"Content-Type": "application/json", "User-Agent": "everyitem"}
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=self._timeout):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise ConnectionError(f"the webhook answered {error.code} {error.reason}") from None
