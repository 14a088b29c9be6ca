"""The store: where executions, their inputs, segments, failures, retries and events are kept.

Times are epoch seconds (wall clock) unless a name says otherwise. `execution_key` is the store's own
number of an execution. Outcomes are keyed by (execution, round, index).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from everyitem.model.allocation import Allocation
from everyitem.model.figures import Figures
from everyitem.model.items import Items
from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.model.status import ExecutionStatus
from everyitem.model.totals import Balance
from everyitem.ports.completions import Completion


class Decision(StrEnum):
    """What a person says about an item in doubt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    AGAIN = "again"


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A person's decision about an item in doubt; recorded in a segment, and so part of the chain."""

    index: int
    decision: Decision
    #: Who decided (user@host), and when (epoch seconds).
    by: str
    at: float
    #: Why, as that person said.
    reason: str = ""
    #: JSON text of the result, where it succeeded and has one.
    result: bytes = b"null"
    #: The attempt that was in doubt, and why it was.
    attempt: int = 0
    doubt: str = ""


class Intent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An at-most-once item that may be called from now on: on disk before it is, gone with its outcome."""

    index: int
    attempt: int
    #: Why its outcome will not come, once that is known: then it is in doubt. Empty while it may run.
    doubt: str = ""


#: Why items are in doubt that a run left with an intent and without an outcome.
LEFT_BEHIND = "the run ended without recording what came of it"


class SegmentDraft(msgspec.Struct, gc=False):
    """Outcomes and failed attempts between two checkpoints, not yet on disk.

    `failures` holds every failed attempt; those with `final` set are outcomes. A number comes twice only
    where the first one is excused, by itself or in `excuses`, or asked for more time (`Failure.used_up`).
    """

    successes: list[Successes]
    failures: list[Failure]
    logs: list[tuple[int, int, str, str]] = []
    settlements: list[Settlement] = []
    #: Control totals: what these outcomes add to the succeeded and to the failed total, by name.
    totals: dict[str, tuple[Decimal, Decimal]] = {}
    #: Failed attempts of earlier segments that do not count after all.
    excuses: list[Excuse] = []

    @property
    def succeeded(self) -> int:
        return sum(map(len, self.successes))

    @property
    def failed(self) -> int:
        return sum(failure.final for failure in self.failures)


class SegmentHeader(msgspec.Struct, frozen=True):
    """What the store knows of a segment without reading its body; what `checkpoints` lists."""

    sequence: int
    round: int
    created_at: float
    succeeded: int
    failed: int
    #: SHA-256 (hex) over the columns, the body and `previous`.
    digest: str
    previous: str
    #: Bytes of the body on disk.
    size: int


class PendingRetry(msgspec.Struct, frozen=True, array_like=True):
    """An item that failed and will be tried again."""

    index: int
    #: Attempts used up so far in this round.
    attempts: int
    #: Epoch seconds.
    due: float
    alone: bool = False


class Deferral(msgspec.Struct, frozen=True, array_like=True):
    """An item whose call has returned and whose outcome will come as an event."""

    index: int
    #: The attempt the event must name.
    attempt: int
    #: Epoch seconds by which it must have come.
    due: float
    #: How long the call took, in microseconds.
    duration_us: int = 0
    #: By which events name it.
    item_id: str = ""


class DeferralChange(msgspec.Struct, frozen=True, gc=False):
    """A deferral as of a save; `due` in the state machine's own time, None when it is over."""

    index: int
    attempt: int
    due: float | None
    duration_us: int = 0


class FailedItem(msgspec.Struct, frozen=True):
    """One item that failed for good in a round; a row of its own, for `failures` and redrive."""

    index: int
    item_id: str
    attempts: int
    code: str
    type: str
    message: str
    #: Sum over the attempts of the round.
    duration_ms: float
    #: JSON text of the item, None where only listing was asked for.
    item: bytes | None = None
    #: (file, line, function), outermost first.
    frames: list[tuple[str, int, str]] = []


class OutboxEvent(msgspec.Struct, frozen=True):
    """An event to be published: CloudEvents attributes and the JSON text of its data."""

    event_id: str
    type: str
    subject: str
    time: float
    data: bytes
    #: Position in the store, 0 before it was written.
    position: int = 0
    #: W3C trace context of the run it is about, as stored; empty without one.
    traceparent: str = ""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Running totals of the round in force, as of a checkpoint."""

    succeeded: int = 0
    failed: int = 0
    #: Items of the round in force that used up an attempt and got another one (`Failure.used_up`).
    retried: int = 0
    steals: int = 0
    #: Active milliseconds over all runs (pauses and downtime excluded).
    active_ms: int = 0
    #: Busy microseconds of workers over all runs.
    busy_us: int = 0
    checkpoints: int = 0
    #: `active_ms` at which the present window of the batch timeout began.
    window_ms: int = 0
    #: Control totals by name; empty where none are asked for, or a round has just begun.
    totals: dict[str, Balance] = {}


class WorkerNow(msgspec.Struct, frozen=True, array_like=True):
    """What one worker does, for who looks from another process."""

    worker: str
    #: Index of the item it runs, and seconds since it began it; None when idle.
    index: int | None
    busy_seconds: float | None
    #: Items finished so far.
    done: int
    #: The node it belongs to.
    node: str = ""


class StealNow(msgspec.Struct, frozen=True, array_like=True):
    """One node took over what another one had not started."""

    #: Epoch seconds.
    at: float
    thief: str
    victim: str
    items: int


class CauseNow(msgspec.Struct, frozen=True, array_like=True):
    """Failures of this run that are alike."""

    #: One of them, as `type: first line of the message`.
    cause: str
    #: Items that failed for good, and attempts that are followed by another one.
    failed: int
    retried: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a running owner tells `status` and `watch`, about once a second."""

    at: float = 0.0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    retries_waiting: int = 0
    deferred: int = 0
    rate_per_second: float = 0.0
    eta_seconds: float | None = None
    parallelism: int = 0
    active_ms: int = 0
    #: What the workers do, the first of them where there are many.
    workers: tuple[WorkerNow, ...] = ()
    #: The latest steals, oldest first, and the most frequent causes of failures, of this run.
    latest_steals: tuple[StealNow, ...] = ()
    causes: tuple[CauseNow, ...] = ()
    #: What is measured beside the counts; stays as the last run left it.
    figures: Figures = Figures()


class Commit(msgspec.Struct, kw_only=True):
    """Everything one checkpoint transaction writes: all of it or nothing."""

    segments: Sequence[SegmentDraft] = ()
    failed: Sequence[FailedItem] = ()
    retries_set: Sequence[PendingRetry] = ()
    retries_cleared: Sequence[int] = ()
    intents_set: Sequence[Intent] = ()
    intents_cleared: Sequence[int] = ()
    deferrals_set: Sequence[Deferral] = ()
    #: Those that are over, as (index, attempt).
    deferrals_cleared: Sequence[tuple[int, int]] = ()
    counters: Counters | None = None
    progress: Progress | None = None
    events: Sequence[OutboxEvent] = ()
    #: The trace the events belong to (W3C); empty without one.
    traceparent: str = ""
    status: ExecutionStatus | None = None
    #: The response (JSON text), recorded with the terminal status.
    response: bytes | None = None


class NewExecution(msgspec.Struct, kw_only=True):
    """An accepted batch about to be stored."""

    batch_id: str
    #: 1, or n + 1 for a rerun.
    execution: int
    content: str
    items_digest: str
    item_count: int
    named: bool
    processor: str
    #: Digest of the processor's code, to warn when it changes between runs.
    processor_code: str
    #: The document without its items (JSON text).
    envelope: bytes
    #: Settings in force and their origin (JSON text).
    settings: bytes = b"{}"
    #: `itemSource` as accepted (JSON text), None for inline items.
    source: bytes | None = None


class ExecutionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as stored."""

    execution_key: int
    batch_id: str
    execution: int
    round: int
    status: ExecutionStatus
    content: str
    items_digest: str
    item_count: int
    named: bool
    processor: str
    processor_code: str
    envelope: bytes
    settings: bytes
    source: bytes | None
    created_at: float
    finished_at: float | None
    runs: int
    counters: Counters
    progress: Progress | None
    response: bytes | None
    last_checkpoint_at: float | None
    #: Whether a living owner works on it now.
    owned: bool
    #: Since when only the record and its responses are kept (`ports.retention`); None while all of it is.
    pruned_at: float | None = None
    #: Items in doubt: known to be while somebody owns it, all with an intent otherwise.
    in_doubt: int = 0
    #: Whether services are to carry it out, and whether they shall hold it for now.
    queued: bool = False
    held: bool = False
    #: Items that await an event, as far as that is on disk.
    deferred: int = 0


class Recorded(msgspec.Struct, kw_only=True):
    """What a resume starts from."""

    #: One byte per item: 0 open, 1 succeeded, 2 failed (in the round in force).
    ledger: bytearray
    retries: list[PendingRetry]
    last_sequence: int
    counters: Counters
    #: Open items that may have been called: a run that begins finds them in doubt.
    intents: list[Intent] = []
    #: Open items that await an event.
    deferrals: list[Deferral] = []


class ControlKind(StrEnum):
    """Requests other processes leave for the owner."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SETTLE = "settle"
    GRANT = "grant"


class Control(msgspec.Struct, frozen=True):
    """One request in the control inbox."""

    position: int
    kind: ControlKind
    requested_at: float
    requested_by: str
    #: What a settlement says.
    settlement: Settlement | None = None
    #: What a grant says: how many items may run at once.
    slots: int | None = None


class StoreFault(msgspec.Struct, frozen=True):
    """Something `verify` or a resume found wrong; names the record and the items it concerns."""

    record: str
    message: str
    #: The damaged segment's sequence number, where it is one.
    sequence: int | None = None


#: Takes each damaged segment a reader goes past.
OnDamage = Callable[[StoreFault], None]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One item's latest recorded outcome, as `results` lists it."""

    index: int
    item_id: str
    succeeded: bool
    attempts: int
    duration_ms: float
    #: JSON text of the result, None for a failure.
    result: bytes | None = None
    code: str = ""
    type: str = ""
    message: str = ""
    #: The round it is of.
    round: int = 1


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one item, for `explain`."""

    round: int
    attempt: int
    succeeded: bool
    final: bool
    duration_ms: float
    checkpoint: int
    recorded_at: float
    result: bytes | None = None
    failure: Failure | None = None
    logs: list[tuple[str, str]] = []
    #: A person settled this attempt, which was in doubt.
    settlement: Settlement | None = None


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
