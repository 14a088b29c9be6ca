"""Requests to the routes of a server, without a server."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from everyitem.faces.http.app import build_routes
from everyitem.faces.http.context import Context


def asked(path: str, service: object) -> list[dict[str, Any]]:
    """The messages a server whose service is this one answers with."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    app = Context(build_routes(SimpleNamespace(service=service, stopping=threading.Event())))  # type: ignore[arg-type]
    asyncio.run(app(scope, receive, send))
    return sent
