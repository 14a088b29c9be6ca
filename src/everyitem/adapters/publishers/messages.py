"""Events as the messages publishers send: CloudEvents in JSON, whoever carries them."""

from typing import Final
from urllib.parse import quote

import msgspec

from everyitem.model.cloud_event import CloudEvent, encode_json
from everyitem.model.response import rfc3339
from everyitem.ports.outbox import OutboxEvent

#: The content type of one event in the structured mode.
STRUCTURED: Final = "application/cloudevents+json"


def to_json(event: OutboxEvent) -> bytes:
    """The event as JSON text."""
    return encode_json(
        CloudEvent(
            id=event.event_id,
            type=event.type,
            subject=event.subject,
            time=rfc3339(event.time),
            data_json=msgspec.Raw(event.data),
            sequence=event.position,
            traceparent=event.traceparent or msgspec.UNSET,
        )
    )


def batch_of(event: OutboxEvent) -> str:
    """The identity of the batch: the subject, but for an event about one item."""
    found = msgspec.json.decode(event.data)
    named = found.get("batchId") if isinstance(found, dict) else None
    return named if isinstance(named, str) else event.subject


def header_id(event: OutboxEvent) -> str:
    """The event's id where only printable ASCII may stand; the same whenever it is sent again."""
    return quote(event.event_id, safe="/@")
