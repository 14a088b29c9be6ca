"""The entity: from a `ProcessingBatch` of the platform to a document, and back with what came of it.

The top level is taken apart, its values stay JSON text. What we do not know goes back as it came.
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

#: Fields the execution writes; what an earlier one wrote is no input of the next.
OUTPUTS: Final = (
    "executionStatus",
    "processingTimestamp",
    "executionResults",
    "executionMetadata",
    "failedItems",
    "executionError",
)
#: Fields that decide what is executed and how; a change of any other is no other batch.
_INPUTS: Final = (
    "batchId",
    "batchItems",
    "itemSource",
    "processingConfiguration",
    "allocatedResources",
    "executionPlan",
    "priority",
    "checkpointInterval",
    "errorHandlingStrategy",
    "parallelismLevel",
)

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class EntityStatus(StrEnum):
    """`executionStatus`, by which the workflow routes."""

    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    FAILED = "FAILED"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution writes into every entity that waits for it."""

    status: EntityStatus
    #: RFC 3339; None for a failure.
    timestamp: str | None
    results: Mapping[str, Any]
    metadata: Mapping[str, Any]
    failed_items: Sequence[Mapping[str, Any]] = ()
    #: The specification's error response without its status.
    error: Mapping[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """The fields as they stand in the entity."""
        fields: dict[str, Any] = {"executionStatus": self.status}
        if self.timestamp is not None:
            fields["processingTimestamp"] = self.timestamp
        if self.results:
            fields["executionResults"] = self.results
        fields["executionMetadata"] = self.metadata
        if self.failed_items:
            fields["failedItems"] = self.failed_items
        if self.error is not None:
            fields["executionError"] = self.error
        return fields


class NotAnEntity(Exception):
    """The attached data is no JSON object."""


class Entity:
    """One `ProcessingBatch` entity as it was dispatched."""

    def __init__(self, data: bytes) -> None:
        """Raises `NotAnEntity`."""
        try:
            self._fields = _decode_fields(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NotAnEntity(f"the entity is no JSON object: {error}") from error
        self.size = len(data)

    @property
    def batch_id(self) -> str:
        """Its `batchId`; empty where it has none that is a text."""
        value = self._value("batchId")
        return value if isinstance(value, str) else ""

    @property
    def reference(self) -> str | None:
        """The outcome it carries already, as `resultReference` names it."""
        reference = _member(self._value("executionMetadata"), "resultReference")
        return reference if isinstance(reference, str) else None

    @property
    def timeout_hours(self) -> float | None:
        """Its own limit, where it has one."""
        hours = _member(self._value("processingConfiguration"), "timeoutHours")
        return float(hours) if isinstance(hours, int | float) and not isinstance(hours, bool) else None

    @property
    def item_source(self) -> Mapping[str, Any]:
        """Its `itemSource`; empty where there is none."""
        value = self._value("itemSource")
        return value if isinstance(value, dict) else {}

    def fingerprint(self) -> str:
        """The same for two dispatches that ask for the same execution, however their JSON is written."""
        inputs = {name: self._value(name) for name in _INPUTS if name in self._fields}
        return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()

    def document(self, defaults: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> bytes:
        """The batch document: the fields of the entity that are one's business; it may have others.

        `defaults` stand below its own `parameters`; `changes` replace whole fields.
        """
        fields: dict[str, Any] = {name: value for name, value in self._fields.items() if name in _INPUTS}
        if defaults:
            fields["processingConfiguration"] = self._configuration(defaults)
        return _encode(fields | dict(changes or {}))

    def with_outcome(self, outcome: Outcome) -> bytes:
        """The whole entity with what came of it; all other fields as they were, to the digit."""
        return self.with_fields(outcome.fields(), without=OUTPUTS)

    def with_fields(self, fields: Mapping[str, Any], *, without: Sequence[str] = ()) -> bytes:
        """The whole entity with these fields added or replaced."""
        kept = {name: value for name, value in self._fields.items() if name not in without}
        return _encode(kept | dict(fields))

    def has(self, name: str) -> bool:
        """Whether it has this field, with another value than null."""
        return name in self._fields and bytes(self._fields[name]).strip() != b"null"

    def _configuration(self, defaults: Mapping[str, Any]) -> Any:
        raw = self._fields.get("processingConfiguration")
        try:
            configuration: dict[str, Any] = dict(_decode_fields(raw)) if raw is not None else {}
            own = configuration.get("parameters")
            parameters = _decode_fields(own) if own is not None and bytes(own).strip() != b"null" else {}
        except msgspec.MsgspecError:
            return raw  # no object: the document's own check says so, with the path
        configuration["parameters"] = dict(defaults) | dict(parameters)
        return configuration

    def _value(self, name: str) -> Any:
        raw = self._fields.get(name)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw)
        except msgspec.MsgspecError:  # a number no double can hold: its text stands for it
            return bytes(raw).decode()


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
