"""The AsyncAPI document describes the events there are, and refers to nothing it does not define."""

import json
from typing import Any

import jsonschema_rs  # comes with schemathesis
import pytest

from everyitem.faces.documents.asyncapi import asyncapi
from everyitem.faces.documents.incoming import read_event

DOCUMENT = asyncapi()


def schema_of(name: str) -> dict[str, Any]:
    """The payload of a message as a schema of its own."""
    return {**DOCUMENT["components"]["messages"][name]["payload"], "components": DOCUMENT["components"]}


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        here = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return here.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def test_every_reference_leads_somewhere():
    """Within the document."""
    found = references(DOCUMENT)
    assert found
    for reference in found:
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_message_is_in_a_channel():
    """Those that go out in one, those that come in in the other."""
    channels = DOCUMENT["channels"]
    assert "BatchExecuted" in channels["events"]["messages"]
    assert set(channels["inbox"]["messages"]) == {
        "BatchInitialized", "ResourcesAllocated", "ItemProcessingCompleted"
    }  # fmt: skip
    assert set(DOCUMENT["components"]["messages"]) == {
        name for channel in channels.values() for name in channel["messages"]
    }


DONE = {"batchId": "b", "itemId": "i", "attempt": 1, "status": "SUCCEEDED", "result": 1}
FAILED = {"batchId": "b", "itemId": "i", "attempt": 1, "status": "FAILED", "error": {"message": "no"}}
NODES = {"batchId": "b", "version": 1, "allocatedResources": {"nodes": [{"slots": 2}]}}
BATCH = {
    "batchId": "b",
    "batchItems": [1],
    "processingConfiguration": {"processor": "p"},
    "allocatedResources": {},
    "executionPlan": {},
}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("ItemProcessingCompleted", DONE),
        ("ItemProcessingCompleted", FAILED),
        ("ResourcesAllocated", NODES),
        ("BatchInitialized", BATCH),
    ],
)
def test_what_is_taken_in_is_what_is_described(kind, data):
    """By the reader and by the document; what lacks a part of it is neither."""
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": kind, "data": data}
    read_event(json.dumps(event).encode())
    jsonschema_rs.validate(schema_of(kind), event)
    del event["source"]
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema_of(kind), event)
