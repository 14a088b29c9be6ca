"""Events on their way out, written in the transaction of what they report."""

import msgspec


class OutboxEvent(msgspec.Struct, frozen=True):
    """An event to be published: CloudEvents attributes and the JSON text of its data."""

    event_id: str
    type: str
    subject: str
    time: float
    data: bytes
    #: Position in the store, 0 before it was written.
    position: int = 0
    #: W3C trace context of the run it is about, as stored; empty without one.
    traceparent: str = ""
