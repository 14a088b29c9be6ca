"""Nodes: where items run. What the engine tells them, and what they tell the engine.

A *holder* is whoever holds leases: one worker of a process node, or the shared queue of a thread or async
node, whose slots pull items from it without asking the engine. The engine sends a holder leases; the
holder posts messages. Messages carry their own time (`at`, monotonic seconds), so that the decisions need
no clock.

Rules every node keeps (proved by `tests/contracts/test_nodes.py`):

- Every index of a lease comes back exactly once while the lease lives: as an outcome in a block of
  `OutcomesArrived`, `SliceFinished` or `HolderLost`, or by being absent from all of them when
  `SliceFinished` or `HolderLost` ends the lease. What is absent is given back unstarted and uncharged.
- After `SliceShortened(kept=k)` the positions from `k` on are given back; no outcome for them follows.
- `Node` methods are called from the engine's loop thread only. All but `close` return without waiting for
  anything but a lock. What goes wrong, when the node starts or later, is posted as a message, not raised.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import OutcomeBlock


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The right of one holder to work on some items now."""

    lease_id: int
    #: A `range` (fresh items) or a tuple (retries); positions in it are what `kept` counts.
    indices: Sequence[int]
    #: 1-based attempt number all items of the lease are on.
    attempt: int = 1
    #: Seconds after which the holder stops starting items and ends the slice.
    budget: float = 0.05
    #: True where final failures can stop the batch: the slice ends at the first failure that
    #: cannot be retried (permanent, or `attempt` is the last one), and with it every other lease the
    #: holder has, so that nothing starts before the engine has heard of the failure and deals anew.
    until_failure: bool = False


class HolderJoined(msgspec.Struct, frozen=True, gc=False):
    """A holder is ready for its first lease (workers are up, `setup` has run)."""

    at: float
    holder: str
    node_id: str
    #: Items the holder runs at the same time.
    slots: int
    #: True for a queue that several slots share: it may hold more than one lease at a time.
    shared: bool = False
    #: Seconds the holder is idle between two leases, because both have a way to go: slices last accordingly.
    round_trip: float = 0.0


class OutcomesArrived(msgspec.Struct, frozen=True, gc=False):
    """Some items of a running lease are done; the lease goes on."""

    at: float
    holder: str
    lease_id: int
    block: OutcomeBlock


class SliceFinished(msgspec.Struct, frozen=True, gc=False):
    """The lease is over; `block` holds what was not handed over before."""

    at: float
    holder: str
    lease_id: int
    block: OutcomeBlock


class SliceShortened(msgspec.Struct, frozen=True, gc=False):
    """Answer to a revocation: the lease ends before position `kept`; the rest was not started."""

    at: float
    holder: str
    lease_id: int
    kept: int


class ItemRunsLong(msgspec.Struct, frozen=True, gc=False):
    """The current item of this lease has run for more than 20 ms; said once per item.

    Only holders with one slot say it: in a shared queue nothing waits behind a slow item.
    """

    at: float
    holder: str
    lease_id: int


class HolderLost(msgspec.Struct, frozen=True, gc=False):
    """The holder is gone (worker died, timed out, was interrupted, its node went away).

    `block` holds what was recovered of its leases, and a charged failure for the item whose fault it
    was, if any. `isolate` lists items that may or may not be at fault (a chunk): they run again alone,
    uncharged. `replaced` says that a `HolderJoined` of a successor will follow. `begun` are all items it had
    begun without an outcome in `block` (those of a charged failure included); None: the node cannot tell.
    """

    at: float
    holder: str
    block: OutcomeBlock
    reason: str
    isolate: tuple[int, ...] = ()
    replaced: bool = True
    begun: tuple[int, ...] | None = None


class NodeFailed(msgspec.Struct, frozen=True, gc=False):
    """The node cannot run anything any more (workers do not start, too many abandoned threads)."""

    at: float
    node_id: str
    reason: str
    #: SYSTEM_ERROR where the store is at fault, not the workers.
    code: ErrorCode = ErrorCode.RESOURCE_ERROR


class IntakeLimited(msgspec.Struct, frozen=True, gc=False):
    """Memory is short: only so many slots of the node begin items for now; None: as many as it uses."""

    at: float
    node_id: str
    slots: int | None


NodeMessage = (
    HolderJoined
    | OutcomesArrived
    | SliceFinished
    | SliceShortened
    | ItemRunsLong
    | HolderLost
    | NodeFailed
    | IntakeLimited
)

#: How a node hands a message to the engine; thread-safe, never blocks.
Post = Callable[[NodeMessage], None]


class WorkerView(msgspec.Struct, frozen=True, gc=False):
    """What one worker is doing right now, for displays."""

    worker: str
    #: Index of the item it runs, or None when idle.
    index: int | None
    #: Monotonic seconds at which it started that item.
    since: float
    #: Items finished by this worker so far.
    done: int


class Node(Protocol):
    """A group of workers of one kind."""

    node_id: str

    def start(self, post: Post) -> None:
        """Start the workers; each holder announces itself with `HolderJoined`."""
        ...

    def run_slice(self, holder: str, lease: Lease) -> None:
        """Give a holder a lease; one that is gone ignores it (its `HolderLost` is under way)."""
        ...

    def revoke(self, holder: str, lease_id: int, *, drains: bool = False) -> None:
        """Take back what is unstarted of a lease; answered by `SliceShortened` unless the lease is over.

        Several slots may have left gaps before the last item started. Their items stay with the holder,
        which runs them next; with `drains` it does not, and they are absent from the outcomes of the lease.
        """
        ...

    def resize(self, slots: int) -> None:
        """Use so many slots from now on, be they more than those of its `NodeSpec`; before `start`: begin so.

        More workers are started as they are needed. What runs is not interrupted when there are fewer; idle
        workers stay. A shared queue that had announced itself with other slots does not do so again.
        """
        ...

    def interrupt(self) -> None:
        """End items in flight by force: kill processes, cancel coroutines, abandon threads.

        Each holder answers with `HolderLost` that charges nobody.
        """
        ...

    def close(self) -> None:
        """Stop the workers (running `teardown` where they are idle) and free everything."""
        ...

    def views(self) -> list[WorkerView]:
        """What each worker does now."""
        ...
