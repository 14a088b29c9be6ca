"""The events that go out and come in as an AsyncAPI 3.0 document: `everyitem schema asyncapi`."""

import copy
from importlib.metadata import version
from typing import Any

from everyitem.faces.documents.allocations import AllocationDocument
from everyitem.faces.documents.incoming import (
    BATCH_INITIALIZED,
    ITEM_PROCESSING_COMPLETED,
    RESOURCES_ALLOCATED,
)
from everyitem.faces.documents.schemas import batch_schema, event_schema
from everyitem.settings.publishing import PublishingSettings

_ABOUT = (
    "Events are CloudEvents 1.0 in JSON, at least once, in the order of their batch; one that comes again "
    "has the id it had. docs/events.md tells when each is sent, and what those that come in do."
)
_REFERENCE = "#/components/schemas/"


def asyncapi() -> dict[str, Any]:
    """Two channels: what everyitem sends, and what it receives."""
    outgoing = event_schema()
    schemas = {name: _moved(schema) for name, schema in outgoing["$defs"].items()}
    envelope = {key: outgoing[key] for key in ("type", "required", "properties")}
    schemas["CloudEvent"] = _moved(envelope)
    sent = {
        choice["properties"]["type"]["const"]: _moved(choice["properties"]["data"])
        for choice in outgoing["oneOf"]
    }
    received = _received(schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "everyitem", "version": version("everyitem"), "description": _ABOUT},
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "events": _channel(PublishingSettings().topic, sent),
            "inbox": _channel("everyitem.inbox", received),
        },
        "operations": {
            "publish": {"action": "send", "channel": {"$ref": "#/channels/events"}},
            "listen": {"action": "receive", "channel": {"$ref": "#/channels/inbox"}},
        },
        "components": {
            "messages": {
                **{name: _message(name, data, "CloudEvent") for name, data in sent.items()},
                **{name: _message(name, data, "Incoming") for name, data in received.items()},
            },
            "schemas": schemas,
        },
    }


def _received(schemas: dict[str, Any]) -> dict[str, Any]:
    """The data of each event that comes in; what it refers to is added to `schemas`."""
    schemas["Incoming"] = {
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "description": "With `source`, what it is known by."},
            "source": {"type": "string", "minLength": 1},
            "type": {"type": "string"},
            "dataref": {"type": "string", "description": "Where the data is, when it does not come along."},
        },
    }
    named = {BATCH_INITIALIZED: batch_schema(), RESOURCES_ALLOCATED: AllocationDocument.model_json_schema()}
    received = {}
    for name, schema in named.items():
        schemas.update({key: _moved(one) for key, one in schema.pop("$defs", {}).items()})
        schema.pop("$schema", None)
        schemas[name] = _moved(schema)
        received[name] = {"$ref": _REFERENCE + name}
    return received | {ITEM_PROCESSING_COMPLETED: _completed()}


def _completed() -> dict[str, Any]:
    one, name = {"type": "integer", "minimum": 1}, {"type": "string", "minLength": 1}
    error = {
        "type": "object",
        "required": ["message"],
        "properties": {
            "code": {"enum": ["ITEM_ERROR", "TIMEOUT_ERROR", "RESOURCE_ERROR", "SYSTEM_ERROR"]},
            "type": name,
            "message": {"type": "string"},
            "retryable": {"type": "boolean"},
        },
    }
    return {
        "type": "object",
        "required": ["batchId", "itemId", "attempt", "status"],
        "properties": {
            "batchId": name,
            "itemId": name,
            "attempt": one,
            "execution": one,
            "status": {"enum": ["SUCCEEDED", "FAILED"]},
            "result": {},
            "error": error,
        },
    }


def _channel(address: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in data},
    }


def _message(name: str, data: dict[str, Any], envelope: str) -> dict[str, Any]:
    own = {"properties": {"type": {"const": name}, "data": data}}
    return {
        "name": name,
        "contentType": "application/cloudevents+json",
        "payload": {"allOf": [{"$ref": _REFERENCE + envelope}, own]},
    }


def _moved(schema: Any) -> Any:
    """The schema with its references where the document keeps what they mean."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", _REFERENCE) if key == "$ref" else _moved(value)
            for key, value in schema.items()
        }
    return [_moved(one) for one in schema] if isinstance(schema, list) else copy.copy(schema)
