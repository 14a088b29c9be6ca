"""What a client hears of a mistake of the server's own."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from everyitem.faces.http.app import build_routes
from everyitem.faces.http.context import Context
from everyitem.faces.service.errors import ProcessorsUnusable


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
    app = Context(build_routes(SimpleNamespace(service=service)))  # type: ignore[arg-type]
    asyncio.run(app(scope, receive, send))
    return sent


def test_a_mistake_is_a_problem_document_and_nothing_of_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it, once, under the id the client was told."""

    def breaks(**_: object) -> None:
        raise RuntimeError("hunter2")

    start, body = asked("/v1/batches", SimpleNamespace(list=breaks))
    headers = dict(start["headers"])
    assert (start["status"], headers[b"content-type"]) == (500, b"application/problem+json")
    problem = json.loads(body["body"])
    assert problem["requestId"] == headers[b"x-request-id"].decode()
    assert "hunter2" not in str(problem)
    (record,) = caplog.records
    assert problem["requestId"] in record.getMessage()
    assert record.exc_info is not None


def test_item_processors_that_do_not_load_are_no_mistake_of_the_client() -> None:
    """The same request is right once the operator has mended them."""

    def breaks(**_: object) -> None:
        raise ProcessorsUnusable("processors.py does not load")

    start, body = asked("/v1/batches", SimpleNamespace(list=breaks))
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"5")
    assert "processors.py does not load" in json.loads(body["body"])["detail"]
