"""What the relay needs: events that are not published yet, and somebody who takes them."""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from everyitem.ports.monitoring import Outbox
from everyitem.ports.outbox import OutboxEvent


class Outgoing(msgspec.Struct, frozen=True):
    """An event on its way; those of one execution keep their order."""

    execution_key: int
    batch_id: str
    event: OutboxEvent


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that was given up, and why nobody wanted it."""

    event_id: str
    refusal: str


class PublisherAway(Exception):
    """Nobody takes events now, whichever they are: they are offered again later, for ever."""

    def __init__(self, reason: str, *, wait: float | None = None, partly: bool = False) -> None:
        """`wait`: seconds the other side asks for; `partly`: it has taken some of a group and others not."""
        super().__init__(reason)
        self.wait, self.partly = wait, partly


class EventsRefused(Exception):
    """The other side does not want these events; another one may be welcome."""


class Publisher(Protocol):
    """Hands events to others. Used from one thread."""

    #: Events it takes at a time, at most.
    at_once: int

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        """Hand them over; when this returns they are the other side's, in this order.

        Raises `PublisherAway` and `EventsRefused`; then none, some or all of them may have arrived.
        """
        ...

    def close(self) -> None:
        """Free the connection."""
        ...


class Outlet(Protocol):
    """The events of one store that are still to be published. Every method may raise `StoreError`."""

    def claim(self, holder: str, seconds: float) -> bool:
        """Be the one who publishes, for so long from now; False while another one is."""
        ...

    def give_back(self, holder: str) -> None:
        """Let another one publish."""
        ...

    def unsent(self, limit: int, *, without: Collection[int] = ()) -> list[Outgoing]:
        """Events nobody has taken, in the order they were written; none of these executions."""
        ...

    def sent(self, positions: Sequence[int]) -> None:
        """Somebody has taken these."""
        ...

    def park(self, position: int, refusal: str) -> None:
        """Give an event up: nobody wants it."""
        ...

    def backlog(self) -> Outbox:
        """What is still to be published."""
        ...

    def parked(self, limit: int) -> list[ParkedEvent]:
        """The first ones that are given up."""
        ...

    def unpark(self, batch_id: str | None = None) -> int:
        """Offer those that were given up again, of one batch or of all; how many that are."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
