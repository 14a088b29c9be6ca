"""What the document tests share."""

from typing import Any

import pytest

from everyitem.faces.documents import ReadDocument, read_document
from everyitem.model.errors import DocumentRefused
from everyitem.settings import Settings


def document(**fields: Any) -> dict[str, Any]:
    """A sound batch document with some fields replaced."""
    return {
        "batchId": "b",
        "batchItems": [{"itemId": "t-1"}, {"itemId": "t-2"}],
        "processingConfiguration": {"processor": "p"},
        "allocatedResources": {},
        "executionPlan": {},
    } | fields


@pytest.fixture
def make():
    """Makes a sound document with some fields replaced."""
    return document


@pytest.fixture
def accept():
    """Reads a sound document with some fields replaced."""

    def read(settings: Settings | None = None, **fields: Any) -> ReadDocument:
        return read_document(document(**fields), settings=settings or Settings())

    return read


@pytest.fixture
def problems_of():
    """What is wrong with a document: {path: message}."""

    def read(given: Any, settings: Settings | None = None, **how: Any) -> dict[str, str]:
        with pytest.raises(DocumentRefused) as refused:
            read_document(given, settings=settings or Settings(), **how)
        return {problem.path: problem.message for problem in refused.value.problems}

    return read
