"""What is written when a checkpoint is made, all of it or nothing, and what is known of it afterwards."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.model.status import ExecutionStatus
from everyitem.model.totals import Balance
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent, Settlement
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.progress import Progress


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
