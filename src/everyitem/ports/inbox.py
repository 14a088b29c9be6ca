"""What a store keeps of the events that come in, so that each counts once."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from everyitem.model.allocation import Allocation
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


class ResourcesGiven(msgspec.Struct, frozen=True, kw_only=True):
    """What a `ResourcesAllocated` says."""

    allocation: Allocation
    #: As for items.
    execution: int | None = None


class BatchKnown(msgspec.Struct, frozen=True):
    """A `BatchInitialized` about a batch that is stored already: there is nothing to do."""


#: What an event does.
Effect = ItemCompleted | ResourcesGiven | BatchKnown


class EventIsKnown(Exception):
    """The event was taken in before; nothing was stored."""


class Inbox(Protocol):
    """The events that have come in. Every method may raise `StoreError`."""

    def receive(self, events: Sequence[tuple[IncomingEvent, Effect]]) -> list[bool]:
        """Remember events and, in the same transaction, do what they say; which of them were new.

        One whose source and id were received before has no effect. What is said of an attempt that is not
        deferred yet waits for it, as what is allocated to a batch waits for the batch. What is said of an
        attempt again, or of an execution that is finished, has no effect, as has an allocation of no higher
        version than one before.
        """
        ...

    def is_known(self, event: IncomingEvent) -> bool:
        """Whether the event was taken in before."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
