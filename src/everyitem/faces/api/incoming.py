"""Taking in events from outside, each once, whoever sends it how often and in which order."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from everyitem.faces.api.views import View
from everyitem.ports.inbox import Inbox

if TYPE_CHECKING:
    from everyitem.faces.documents.incoming import BatchBrought
    from everyitem.ports.inbox import Effect, IncomingEvent

    #: Has a batch executed that an event brings; the event as it is known, and whether it is new. Raises
    #: `EventRefused`.
    Begin = Callable[[BatchBrought], tuple[IncomingEvent, bool]]

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


def take_in(inbox: Inbox, text: bytes, *, begin: "Begin | None" = None) -> list[Receipt]:
    """Take in the events of a text: one object, an array of them, or one on each line.

    `begin` takes the batches events bring; without it they are refused. An event that is refused leaves the
    others alone. Raises `UsageError` where no event can be told from the next, and `StoreError`; what was
    taken in by then is known when it comes again.
    """
    # loads pydantic with its package
    from everyitem.faces.documents.incoming import BatchBrought, EventRefused, read_event, split_events

    gathered = _Gathering(inbox)
    for number, part in enumerate(split_events(text), start=1):
        try:
            said = read_event(part)
            if not isinstance(said, BatchBrought):
                gathered.add(number, said)
                continue
            # what came before it may be about an execution it follows
            gathered.take()
            if begin is None:
                raise EventRefused(
                    "a batch is a service's to take: POST /v1/events, or `everyitem events push`"
                )
            gathered.receipt(number, *begin(said))
        except EventRefused as refused:
            gathered.receipts.append(Receipt(number=number, state=Taken.REFUSED, reason=str(refused)))
    gathered.take()
    return sorted(gathered.receipts, key=lambda receipt: receipt.number)


class _Gathering:
    """Events on their way into the inbox, some at a time."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._some: list[tuple[int, tuple[IncomingEvent, Effect]]] = []
        self.receipts: list[Receipt] = []

    def add(self, number: int, said: "tuple[IncomingEvent, Effect]") -> None:
        """One more."""
        self._some.append((number, said))
        if len(self._some) == _AT_ONCE:
            self.take()

    def take(self) -> None:
        """Hand over what was gathered."""
        some, self._some = self._some, []
        new = self._inbox.receive([said for _, said in some]) if some else []
        for (number, (event, _)), is_new in zip(some, new, strict=True):
            self.receipt(number, event, is_new)

    def receipt(self, number: int, event: "IncomingEvent", is_new: bool) -> None:
        """What became of an event that was not refused."""
        self.receipts.append(
            Receipt(
                number=number,
                state=Taken.ACCEPTED if is_new else Taken.KNOWN,
                id=event.event_id,
                source=event.source,
                batch_id=event.batch_id,
            )
        )
