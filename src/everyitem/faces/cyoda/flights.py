"""Single flight: however often an entity is dispatched, it is executed once, and everybody is answered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")

#: Tenant and entity id.
Key = tuple[str, str]


class Boarding(Enum):
    """What came of a dispatch."""

    #: Nobody executes this entity yet: execute it.
    FIRST = auto()
    #: It is being executed; the answer will be this one's, too.
    ATTACHED = auto()
    #: It is being executed with other inputs: refuse this one.
    DIFFERENT = auto()


@dataclass
class _Flight(Generic[Waiter]):
    fingerprint: str
    waiting: list[Waiter] = field(default_factory=list)


class Flights(Generic[Waiter]):
    """The entities that are being executed, and who waits for each."""

    def __init__(self) -> None:
        self._flying: dict[Key, _Flight[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._flying)

    def board(self, key: Key, fingerprint: str, waiter: Waiter) -> Boarding:
        """Someone wants this entity executed; `fingerprint` is of its inputs."""
        flight = self._flying.get(key)
        if flight is not None and flight.fingerprint != fingerprint:
            return Boarding.DIFFERENT
        first = flight is None
        if flight is None:
            flight = self._flying[key] = _Flight(fingerprint)
        flight.waiting.append(waiter)
        return Boarding.FIRST if first else Boarding.ATTACHED

    def land(self, key: Key) -> list[Waiter]:
        """The execution has ended; who is still waiting for it, the newest first.

        The platform takes the answer to its newest request and discards the others.
        """
        flight = self._flying.pop(key, None)
        return flight.waiting[::-1] if flight else []

    def leave(self, gone: Callable[[Waiter], bool]) -> None:
        """Some waiters cannot be answered any more; the executions go on."""
        for flight in self._flying.values():
            flight.waiting[:] = [one for one in flight.waiting if not gone(one)]
