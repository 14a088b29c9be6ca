"""What a client hears of a mistake of the server's own."""

import json
from types import SimpleNamespace

import pytest
from tests.services.asgi import asked

from everyitem.faces.service.errors import ProcessorsUnusable


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
