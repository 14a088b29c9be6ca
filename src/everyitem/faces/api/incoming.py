"""Taking in events from outside, each once, whoever sends it how often and in which order."""

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from everyitem.faces.api.views import View
from everyitem.ports.inbox import Inbox

if TYPE_CHECKING:
    from everyitem.ports.inbox import IncomingEvent, ItemCompleted

#: Events of one transaction: few enough that others get their turn at the store.
_AT_ONCE = 500


class Taken(StrEnum):
    """What became of an event."""

    ACCEPTED = "ACCEPTED"
    #: It was taken in before; nothing was done.
    KNOWN = "KNOWN"
    #: Nothing was done, and nothing remembered.
    REFUSED = "REFUSED"


class Receipt(View, frozen=True, kw_only=True):
    """What became of one event, in the order they were given."""

    #: 1-based.
    number: int
    state: Taken
    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    batch_id: str | UnsetType = UNSET
    #: Why it was refused.
    reason: str | UnsetType = UNSET


def take_in(inbox: Inbox, text: bytes) -> list[Receipt]:
    """Take in the events of a text: one object, an array of them, or one on each line.

    An event that is refused leaves the others alone. Raises `UsageError` where no event can be told from
    the next, and `StoreError`; what was taken in by then is known when it comes again.
    """
    # loads pydantic with its package
    from everyitem.faces.documents.incoming import EventRefused, read_event, split_events

    receipts: list[Receipt] = []
    for parts in _some_at_a_time(enumerate(split_events(text), start=1)):
        sound: list[tuple[int, tuple[IncomingEvent, ItemCompleted]]] = []
        for number, part in parts:
            try:
                sound.append((number, read_event(part)))
            except EventRefused as refused:
                receipts.append(Receipt(number=number, state=Taken.REFUSED, reason=str(refused)))
        new = inbox.receive([event for _, event in sound]) if sound else []
        receipts += [
            Receipt(
                number=number,
                state=Taken.ACCEPTED if is_new else Taken.KNOWN,
                id=event.event_id,
                source=event.source,
                batch_id=event.batch_id,
            )
            for (number, (event, _)), is_new in zip(sound, new, strict=True)
        ]
    return sorted(receipts, key=lambda receipt: receipt.number)


def _some_at_a_time(parts: Iterator[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    while some := list(islice(parts, _AT_ONCE)):
        yield some
