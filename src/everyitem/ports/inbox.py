"""What a store keeps of the events that come in, so that each counts once."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from everyitem.ports.completions import ToldFailure


class IncomingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is known when it comes again: by `source` and `event_id`."""

    source: str
    event_id: str
    type: str
    batch_id: str


class ItemCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """What an `ItemProcessingCompleted` says: of one attempt of one item, by the names events use."""

    item_id: str
    attempt: int
    #: None: the latest at the time the event comes in; the first where there is none yet.
    execution: int | None = None
    #: JSON text of the result, where it succeeded.
    result: bytes = b"null"
    failure: ToldFailure | None = None


class Inbox(Protocol):
    """The events that have come in. Every method may raise `StoreError`."""

    def receive(self, events: Sequence[tuple[IncomingEvent, ItemCompleted]]) -> list[bool]:
        """Remember events and, in the same transaction, what they say of items; which of them were new.

        One whose source and id were received before has no effect. What is said of an attempt that is not
        deferred yet waits for it; what is said of one again, or of an execution that is finished, has no
        effect.
        """
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
