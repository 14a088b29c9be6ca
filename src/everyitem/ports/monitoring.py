"""What whoever looks after a store wants to know of it, and keeps in it."""

from typing import Protocol

import msgspec

from everyitem.ports.execution import ExecutionRecord


class Outbox(msgspec.Struct, frozen=True):
    """Events that are not published yet."""

    count: int = 0
    #: Epoch seconds at which the oldest of them happened; None without one.
    oldest: float | None = None


class Monitoring(Protocol):
    """The state of one store as a whole. Usable from any thread, one at a time."""

    def active(self) -> list[ExecutionRecord]:
        """Executions that have an owner, dead or alive (`owned` says which), newest first."""
        ...

    def states(self) -> dict[str, int]:
        """How many executions are in which state; those of dead owners count as INTERRUPTED."""
        ...

    def outbox(self) -> Outbox:
        """What still has to be published."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
