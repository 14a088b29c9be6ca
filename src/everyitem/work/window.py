"""The window: the few numbers a slot and its watcher share while a lease runs.

Any sequence of at least `CELLS` assignable integers serves: a list inside one process, a
`memoryview.cast("q")` over shared memory between two. Positions count within the lease.

Revocation is exact without a lock because of the order of the accesses. The slot writes STARTED and then
reads END before it starts an item; who revokes writes END and then reads STARTED. So once END was lowered
to e and STARTED then read as s, nothing at or behind `max(e, s + 1)` ever starts: to start position p the
slot must first have written STARTED = p; if that happened after s was read, the slot reads the lowered END
afterwards and sees p >= e; if it happened before, p <= s. The item at s itself may or may not run, so it
counts as started. (Between processes a store may become visible late: wait 1 ms between write and read.)
"""

from typing import Final, Protocol

#: Position of the last item begun (of a chunk: of its last item). Written by the slot.
STARTED: Final = 0
#: Position before which items may be begun. Lowered by whoever revokes.
END: Final = 1
#: When the current item was begun, `time.monotonic_ns()`. Written by the slot.
SINCE: Final = 2
#: When the current item last called `heartbeat()`, same clock; 0 for never.
HEARTBEAT: Final = 3
#: Not 0 once the item should stop of its own accord (`context.cancelled`). Written by the watcher.
CANCELLED: Final = 4
CELLS: Final = 5


class Window(Protocol):
    """Shared integers, addressed by the constants of this module."""

    def __getitem__(self, cell: int, /) -> int: ...

    def __setitem__(self, cell: int, value: int, /) -> None: ...


def new_window(first: int, end: int) -> list[int]:
    """A window within one process, for the positions `first` to `end` (excluded)."""
    return [first, end, 0, 0, 0]
