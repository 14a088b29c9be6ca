"""JSON Schemas (2020-12) of what goes in and what comes out: `everyitem schema`."""

from typing import Any

import msgspec

from everyitem.faces.documents.schema import BatchDocument
from everyitem.model.response import ErrorResponse, SuccessResponse

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def batch_schema() -> dict[str, Any]:
    """The batch document (contract section 1)."""
    schema = BatchDocument.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": _DIALECT, **schema, "title": "ProcessingBatch"}


def response_schema() -> dict[str, Any]:
    """The success and the error response (contract section 2)."""
    return {"$schema": _DIALECT, **msgspec.json.schema(SuccessResponse | ErrorResponse), "title": "Response"}


def event_schema() -> dict[str, Any]:
    """The events that go out: CloudEvents 1.0 in JSON (contract section 6)."""
    response = msgspec.json.schema(SuccessResponse | ErrorResponse)
    return {
        "$schema": _DIALECT,
        "title": "Event",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "description": "Stable over re-sends."},
            "source": {"type": "string", "pattern": "^/everyitem/"},
            "type": {"enum": ["BatchExecuted", "ExecutionFailed", *_OWN_EVENTS]},
            "subject": {"type": "string", "description": "The batchId, or batchId/itemId."},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "traceparent": {"type": "string", "description": "The trace of the run (W3C Trace Context)."},
            "data": {},
        },
        "oneOf": [
            _event("BatchExecuted", {"$ref": "#/$defs/SuccessResponse"}),
            _event("ExecutionFailed", {"$ref": "#/$defs/ErrorResponse"}),
            *(_event(name, {"$ref": f"#/$defs/{name}"}) for name in _OWN_EVENTS),
        ],
        "$defs": {**response["$defs"], **_OWN_EVENTS},
    }


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"type": {"const": name}, "data": data}}


_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number", "minimum": 0}
_TEXT = {"type": "string"}
_PERHAPS = {"type": ["number", "null"]}


def _data(**members: dict[str, Any]) -> dict[str, Any]:
    """The data of an event: of which execution, and what else there always is."""
    one = {"type": "integer", "minimum": 1}
    properties = {"batchId": _TEXT, "execution": one, "round": one, **members}
    return {"type": "object", "required": list(properties), "properties": properties}


#: The data of events beside the responses, by type.
_OWN_EVENTS: dict[str, dict[str, Any]] = {
    "BatchStarted": _data(items=_COUNT, run=_COUNT, processor=_TEXT),
    "CheckpointCreated": _data(sequence=_COUNT, itemsSuccessful=_COUNT, itemsFailed=_COUNT),
    "ItemFailed": _data(
        itemId=_TEXT,
        index=_COUNT,
        attempts=_COUNT,
        error={
            "type": "object",
            "required": ["code", "type", "message"],
            "properties": {"code": _TEXT, "type": _TEXT, "message": _TEXT},
        },
    ),
    "BatchProgressed": _data(
        itemsSuccessful=_COUNT,
        itemsFailed=_COUNT,
        itemsOpen=_COUNT,
        ratePerSecond=_NUMBER,
        etaSeconds=_PERHAPS,
        parallelism=_COUNT,
    ),
    "ResourcesChanged": _data(slots=_COUNT, slotsBefore=_COUNT),
    "BatchDeadlineAtRisk": _data(windowSeconds=_NUMBER, windowUsedSeconds=_NUMBER, etaSeconds=_PERHAPS),
}
