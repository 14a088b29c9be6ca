"""The store: where executions, their inputs, segments, failures, retries and events are kept.

Times are epoch seconds (wall clock) unless a name says otherwise. `execution_key` is the store's own
number of an execution. Outcomes are keyed by (execution, round, index).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from everyitem.model.allocation import Allocation
from everyitem.model.items import Items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters, SegmentHeader
from everyitem.ports.completions import Completion
from everyitem.ports.control import Control, ControlKind
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent, Settlement
from everyitem.ports.execution import ExecutionRecord, NewExecution, Recorded
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem, HistoryEntry, Outcome
from everyitem.ports.progress import Progress


class StoreFault(msgspec.Struct, frozen=True):
    """Something `verify` or a resume found wrong; names the record and the items it concerns."""

    record: str
    message: str
    #: The damaged segment's sequence number, where it is one.
    sequence: int | None = None


#: Takes each damaged segment a reader goes past.
OnDamage = Callable[[StoreFault], None]


class Ownership(Protocol):
    """The right to write to one execution, proved by a token in every transaction.

    Every method raises `OwnershipLost` when the token is no longer the current one, `StoreFull` when the
    disk is full and `StoreError` for anything else; after an error the handle has re-opened its connection
    and re-read its position, and the caller may try again.
    """

    execution_key: int
    token: int

    def commit(self, commit: Commit) -> int:
        """Write one checkpoint transaction; returns the sequence number of the last segment."""
        ...

    def renew(self, progress: Progress | None) -> list[Control]:
        """Prolong the lease, publish progress, and take the requests that have come in."""
        ...

    def controls(self) -> list[Control]:
        """Requests that have come in and were not taken yet (a cheap read)."""
        ...

    def completions(self, limit: int) -> list[Completion]:
        """What events say of items that are deferred on disk, of the attempt that is (a cheap read).

        At most `limit`, and none that this ownership has handed over before. They go with the deferral.
        """
        ...

    def allocation(self) -> Allocation | None:
        """The nodes events have allocated to it, of the highest version (a cheap read); None: none has."""
        ...

    def release(self, status: ExecutionStatus | None = None) -> None:
        """Give ownership back, leaving the execution in `status` (None: as it is)."""
        ...


class Store(Protocol):
    """All executions of one store. Safe to use from one thread; several processes may share the store."""

    url: str

    def find(self, batch_id: str, execution: int | None = None) -> ExecutionRecord | None:
        """The given execution of a batch, the latest by default."""
        ...

    def executions(self) -> list[ExecutionRecord]:
        """Every execution, newest first."""
        ...

    def create(self, new: NewExecution, items: Items) -> tuple[ExecutionRecord, Ownership] | None:
        """Store an accepted batch with its items and own it; None when that execution exists already."""
        ...

    def claim(self, execution_key: int, *, is_run: bool = True) -> Ownership | None:
        """Own an execution nobody alive owns, counting a new run; None while somebody else does.

        Without `is_run` nothing is going to be carried out, and no run is counted. A dead owner on
        this host is replaced at once, one elsewhere when its lease has run out.
        """
        ...

    def open_round(
        self, ownership: Ownership, indices: Sequence[int], corrections: Mapping[int, bytes]
    ) -> int:
        """Open the next round over some failed items, some with corrected payloads; returns its number."""
        ...

    def recorded(self, execution_key: int, *, accept_damage: bool = False) -> Recorded:
        """Walk the checkpoint chain, prove it, and say what is recorded.

        Raises `StoreDamaged` naming the damaged segment unless `accept_damage`, which reopens its items.
        """
        ...

    def items(self, execution_key: int, *, round_: int | None = None) -> Items:
        """The items as accepted, corrected ones replaced; as they were in `round_`, where it is given."""
        ...

    def outcomes(self, execution_key: int, *, on_damage: OnDamage | None = None) -> Iterator[Outcome]:
        """The latest outcome of every recorded item, in item order.

        Raises `StoreDamaged` before the first one when a segment is damaged; with `on_damage` each damaged
        segment is told to it instead, and its items are left out.
        """
        ...

    def failures(
        self, execution_key: int, *, with_items: bool = False, after: int = -1
    ) -> Iterator[FailedItem]:
        """Items that count as failed now, in item order; only those behind the index `after`."""
        ...

    def history(
        self, execution_key: int, index: int, *, on_damage: OnDamage | None = None
    ) -> list[HistoryEntry]:
        """Every recorded attempt of an item over all rounds, oldest first; `on_damage` as for `outcomes`."""
        ...

    def segments(self, execution_key: int) -> Iterator[SegmentHeader]:
        """Headers of all segments in order."""
        ...

    def recount(self, execution_key: int) -> tuple[Counters, list[int]]:
        """Count again from the segments' bodies; and a sample of item durations in microseconds (sorted)."""
        ...

    def verify(self, execution_key: int) -> list[StoreFault]:
        """Check everything that is stored of an execution against its digests; empty when sound."""
        ...

    def events(
        self,
        execution_key: int,
        after: int = 0,
        *,
        limit: int | None = None,
        without: Collection[str] = (),
    ) -> list[OutboxEvent]:
        """Outbox events behind a position, in order; at most `limit`, and none of the types `without`."""
        ...

    def intents(self, execution_key: int) -> list[Intent]:
        """Open items that may have been called, in item order; those with a `doubt` are known to be in it."""
        ...

    def deferrals(self, execution_key: int) -> list[Deferral]:
        """Open items that await an event, in item order."""
        ...

    def request(
        self,
        execution_key: int,
        kind: ControlKind,
        requested_by: str,
        settlement: Settlement | None = None,
        slots: int | None = None,
    ) -> None:
        """Leave a request for the owner; `settlement` says what a SETTLE asks for, `slots` what a GRANT."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
