"""At-most-once: what must be on disk before an item starts, and which items are in doubt.

Pure. A lease is issued once its intents are durable. An item whose intent is durable and whose outcome will
not come (its worker died, it ran out of time, the coordinator crashed) may or may not have been called to
the end: it is in doubt, never runs again by itself, and waits for a person's decision.

The save that carries new intents carries every outcome that has arrived, and takes their intents away. So
at any moment the items with an intent and without an outcome are those leased now, and bounding the leased
ones bounds what a crash can leave in doubt.
"""

from collections.abc import Iterable

from everyitem.engine.messages import RunSlice
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure


def tells_outcome(failure: Failure) -> bool:
    """Whether the item processor itself ended the call: by raising, or by returning what is no result.

    A late item or one that took its process along may have done anything.
    """
    return not failure.alone and failure.code not in (ErrorCode.TIMEOUT_ERROR, ErrorCode.SYSTEM_ERROR)


class Intents:
    """Leases that wait for the disk."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, RunSlice]] = []

    def hold(self, ticket: int, command: RunSlice) -> None:
        """Keep a lease back until save `ticket` is durable."""
        self._waiting.append((ticket, command))

    def issue(self, ticket: int) -> list[RunSlice]:
        """The leases whose intents are durable now."""
        ready = [command for needed, command in self._waiting if needed <= ticket]
        self._waiting = [one for one in self._waiting if one[0] > ticket]
        return ready

    def take_back(self, holders: Iterable[str] | None = None) -> list[RunSlice]:
        """Leases that will not be issued: those of some holders, or all."""
        names = None if holders is None else set(holders)
        taken = [one for _, one in self._waiting if names is None or one.holder in names]
        self._waiting = [one for one in self._waiting if one[1] not in taken]
        return taken
