"""Only some types of events: the others are nobody's, and count as sent."""

from collections.abc import Collection, Sequence

from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import Publisher


class ChosenTypes:
    """Hands events of some types on."""

    def __init__(self, publisher: Publisher, types: Collection[str]) -> None:
        self._publisher, self._types = publisher, frozenset(types)
        self.at_once = publisher.at_once

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        if chosen := [event for event in events if event.type in self._types]:
            self._publisher.publish(chosen)

    def close(self) -> None:
        self._publisher.close()
