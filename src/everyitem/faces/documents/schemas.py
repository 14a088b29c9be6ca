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
            "type": {"enum": ["BatchExecuted", "ExecutionFailed", "CheckpointCreated"]},
            "subject": {"type": "string", "description": "The batchId, or batchId/itemId."},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "traceparent": {"type": "string", "description": "The trace of the run (W3C Trace Context)."},
            "data": {},
        },
        "oneOf": [
            _event("BatchExecuted", {"$ref": "#/$defs/SuccessResponse"}),
            _event("ExecutionFailed", {"$ref": "#/$defs/ErrorResponse"}),
            _event("CheckpointCreated", {"$ref": "#/$defs/CheckpointCreated"}),
        ],
        "$defs": {**response["$defs"], "CheckpointCreated": _CHECKPOINT},
    }


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"type": {"const": name}, "data": data}}


_COUNT = {"type": "integer", "minimum": 0}
_CHECKPOINT: dict[str, Any] = {
    "type": "object",
    "required": ["batchId", "execution", "round", "sequence", "itemsSuccessful", "itemsFailed"],
    "properties": {
        "batchId": {"type": "string"},
        "execution": {"type": "integer", "minimum": 1},
        "round": {"type": "integer", "minimum": 1},
        "sequence": _COUNT,
        "itemsSuccessful": _COUNT,
        "itemsFailed": _COUNT,
    },
}
