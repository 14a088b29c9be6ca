"""What the API hands back about an execution: frozen values with the contract's names in their JSON form.

Attributes are snake_case, `to_dict()` and `to_json()` print the camelCase of contract section 4. Results and
items are kept as the JSON text that was recorded and decoded only when somebody looks.
"""

from typing import Any, Self

import msgspec
from msgspec import UNSET, UnsetType

from everyitem.model.alerts import Alert
from everyitem.model.cloud_event import CloudEvent
from everyitem.model.errors import ErrorCode
from everyitem.model.figures import Figures
from everyitem.model.items import item_id_of
from everyitem.model.response import Availabilities, rfc3339, shown_share
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import SegmentHeader
from everyitem.ports.doubt import LEFT_BEHIND, Intent
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem, Outcome
from everyitem.ports.queue import Action

_encode = msgspec.json.Encoder().encode

#: Characters of a result that `repr` shows.
_SHOWN = 80


def moment(epoch: float | None) -> str | None:
    """RFC 3339 for epoch seconds; None stays None."""
    return None if epoch is None else rfc3339(epoch)


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A value with a JSON form."""

    def to_json(self) -> bytes:
        """One line of JSON text (UTF-8)."""
        return _encode(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python values."""
        decoded: dict[str, Any] = msgspec.json.decode(self.to_json())
        return decoded


class ItemError(View, frozen=True, kw_only=True):
    """Why an item (or one attempt of it) failed."""

    #: One of the specification's codes: ITEM_ERROR, TIMEOUT_ERROR, RESOURCE_ERROR, SYSTEM_ERROR.
    code: str
    #: Class name of the exception, or ItemTimeout, WorkerDied, UnusableResult.
    type: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.type}: {self.message}"


class ItemResult(View, frozen=True, kw_only=True):
    """The recorded outcome of one item: a line of `results`."""

    item_id: str
    #: 0-based position in the batch.
    index: int
    #: SUCCEEDED or FAILED.
    status: str
    #: Attempts used in the latest round.
    attempts: int
    #: The result as recorded (JSON text); absent when the item failed.
    result_json: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name="result")
    error: ItemError | UnsetType = UNSET
    #: Milliseconds over all attempts of the latest round.
    duration_ms: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the item has a result."""
        return self.status == "SUCCEEDED"

    @property
    def result(self) -> Any:
        """The decoded result; None for a failed item."""
        return None if self.result_json is UNSET else msgspec.json.decode(self.result_json)

    def __repr__(self) -> str:
        return f"<ItemResult {self.item_id!r}: {self.error or _short(self.result_json)}>"

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """The view of a stored outcome."""
        return cls(
            item_id=outcome.item_id,
            index=outcome.index,
            status="SUCCEEDED" if outcome.succeeded else "FAILED",
            attempts=outcome.attempts,
            result_json=msgspec.Raw(outcome.result or b"null") if outcome.succeeded else UNSET,
            error=UNSET
            if outcome.succeeded
            else ItemError(code=outcome.code, type=outcome.type, message=outcome.message),
            duration_ms=round(outcome.duration_ms, 3),
        )


class Failed(View, frozen=True, kw_only=True):
    """One item that counts as failed now: a line of `failures`."""

    item_id: str
    index: int
    status: str = "FAILED"
    attempts: int
    error: ItemError
    duration_ms: float
    #: The item as accepted (JSON text).
    item_json: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name="item")

    @property
    def item(self) -> Any:
        """The decoded item; None where only listing was asked for."""
        return None if self.item_json is UNSET else msgspec.json.decode(self.item_json)

    def __repr__(self) -> str:
        return f"<Failed {self.item_id!r}: {self.error}>"

    @classmethod
    def of(cls, failed: FailedItem) -> Self:
        """The view of a stored failure."""
        return cls(
            item_id=failed.item_id,
            index=failed.index,
            attempts=failed.attempts,
            error=ItemError(code=failed.code, type=failed.type, message=failed.message),
            duration_ms=round(failed.duration_ms, 3),
            item_json=UNSET if failed.item is None else msgspec.Raw(failed.item),
        )

    @classmethod
    def in_doubt(cls, intent: Intent, item: bytes) -> Self:
        """The view of an item in doubt (`status` says so); `item` is its JSON text."""
        return cls(
            item_id=item_id_of(item, intent.index),
            index=intent.index,
            status="IN_DOUBT",
            attempts=intent.attempt,
            error=ItemError(code=ErrorCode.SYSTEM_ERROR, type="InDoubt", message=intent.doubt or LEFT_BEHIND),
            duration_ms=0.0,
            item_json=msgspec.Raw(item),
        )


def _short(json: msgspec.Raw | UnsetType) -> str:
    """The beginning of a result, for `repr`."""
    text = "" if json is UNSET else bytes(json).decode("utf-8")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


class Status(View, frozen=True, kw_only=True):
    """Where an execution stands (contract section 4, `status`)."""

    batch_id: str
    execution: int
    round: int
    state: ExecutionStatus
    items: int
    succeeded: int
    failed: int
    open: int
    in_flight: int
    retries_waiting: int
    rate_per_second: float
    eta_seconds: float | None
    #: RFC 3339, None before the first checkpoint.
    last_checkpoint: str | None
    runs: int
    #: Control totals as of the last checkpoint, exact sums as texts; empty where none are asked for.
    control_totals: dict[str, dict[str, str]]
    #: Open items that may have been called (at-most-once); `settle` them.
    in_doubt: int
    #: Open items whose outcome will come as an event (`Deferred`).
    deferred: int
    processor: str
    checkpoints: int
    created_at: str | None
    finished_at: str | None
    #: Shares of the time they were needed at which store and slots were there, over all runs.
    availability: Availabilities = Availabilities()

    @classmethod
    def of(cls, record: ExecutionRecord) -> Self:
        """What the record says; the owner's progress counts while it lives, the checkpoints otherwise."""
        counters, live = record.counters, record.progress if record.owned else None
        state = record.status
        if record.owned and not state.is_active:
            state = ExecutionStatus.RUNNING  # its owner is about to say so
        elif record.queued and not record.owned:
            state = ExecutionStatus.PAUSED if record.held else ExecutionStatus.QUEUED
        elif not record.owned and (state.is_active or (state is ExecutionStatus.QUEUED and record.runs)):
            state = ExecutionStatus.INTERRUPTED  # its owner died without a word
        # what is paused has no pace, whatever it had before
        moving = live if state is not ExecutionStatus.PAUSED else None
        succeeded = max(counters.succeeded, live.succeeded) if live else counters.succeeded
        failed = max(counters.failed, live.failed) if live else counters.failed
        return cls(
            batch_id=record.batch_id,
            execution=record.execution,
            round=record.round,
            state=state,
            items=record.item_count,
            succeeded=succeeded,
            failed=failed,
            open=max(0, record.item_count - succeeded - failed),
            in_doubt=record.in_doubt,
            deferred=live.deferred if live else record.deferred,
            in_flight=live.in_flight if live else 0,
            retries_waiting=live.retries_waiting if live else 0,
            rate_per_second=round(moving.rate_per_second, 1) if moving else 0.0,
            eta_seconds=round(moving.eta_seconds, 1) if moving and moving.eta_seconds is not None else None,
            control_totals={name: total.texts() for name, total in counters.totals.items()},
            last_checkpoint=moment(record.last_checkpoint_at),
            runs=record.runs,
            processor=record.processor,
            checkpoints=counters.checkpoints,
            created_at=moment(record.created_at),
            finished_at=moment(record.finished_at),
            availability=_availability(record),
        )


def _availability(record: ExecutionRecord) -> Availabilities:
    figures = Figures() if record.progress is None else record.progress.figures
    return Availabilities(
        shown_share(figures.store_availability.share), shown_share(figures.node_availability.share)
    )


class Checkpoint(View, frozen=True, kw_only=True):
    """One durable, verifiable point of an execution."""

    sequence: int
    round: int
    created_at: str | None
    #: Outcomes this checkpoint recorded.
    succeeded: int
    failed: int
    #: Bytes on disk.
    size: int
    #: SHA-256 over this checkpoint and the digest before it.
    digest: str

    @classmethod
    def of(cls, header: SegmentHeader) -> Self:
        """The view of a segment's header."""
        return cls(
            sequence=header.sequence,
            round=header.round,
            created_at=moment(header.created_at),
            succeeded=header.succeeded,
            failed=header.failed,
            size=header.size,
            digest=header.digest,
        )


class Verification(View, frozen=True, kw_only=True):
    """What checking everything stored of an execution against its digests found."""

    batch_id: str
    execution: int
    sound: bool
    #: Texts naming the damaged record, empty when sound.
    faults: tuple[str, ...] = ()


class AlertView(View, frozen=True, kw_only=True):
    """What the operations team was or will be told."""

    alert_id: str
    batch_id: str
    execution: int
    #: What is wrong, and how much it matters (`warning`, `critical`).
    kind: str
    level: str
    #: `standing`, `acknowledged` or `resolved`.
    state: str
    text: str
    raised_at: str | None
    resolved_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str
    #: How often the condition came, and how often somebody was told, through which channel last.
    occurrences: int
    pages: int
    channel: str

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """The view of a stored alert."""
        state = "standing" if alert.acknowledged_at is None else "acknowledged"
        return cls(
            alert_id=alert.alert_id,
            batch_id=alert.batch_id,
            execution=alert.execution,
            kind=alert.kind,
            level=alert.level,
            state=state if alert.resolved_at is None else "resolved",
            text=alert.text,
            raised_at=moment(alert.raised_at),
            resolved_at=moment(alert.resolved_at),
            acknowledged_at=moment(alert.acknowledged_at),
            acknowledged_by=alert.acknowledged_by,
            occurrences=alert.occurrences,
            pages=alert.pages,
            channel=alert.channel,
        )


class Deed(View, frozen=True, kw_only=True):
    """Something somebody did to an execution: a line of `history`."""

    #: RFC 3339.
    at: str | None
    #: Who: a user of the service, or `user@host`.
    actor: str
    #: submit, pause, resume, cancel, redrive, rerun, priority, parallelism, settle, ...
    action: str
    #: The particulars (JSON text).
    detail_json: msgspec.Raw = msgspec.field(name="detail")
    #: Hand it back to read on from there.
    position: int

    @property
    def detail(self) -> Any:
        """The decoded particulars."""
        return msgspec.json.decode(self.detail_json)

    @classmethod
    def of(cls, action: Action) -> Self:
        """The view of a stored action."""
        return cls(
            at=moment(action.at),
            actor=action.actor,
            action=action.action,
            detail_json=msgspec.Raw(action.detail),
            position=action.position,
        )


class Event(CloudEvent, View, frozen=True, kw_only=True):
    """A CloudEvents 1.0 event as it leaves the outbox."""

    @classmethod
    def of(cls, event: OutboxEvent) -> Self:
        """The view of an outbox row."""
        return cls(
            id=event.event_id,
            type=event.type,
            subject=event.subject,
            time=moment(event.time),
            data_json=msgspec.Raw(event.data),
            sequence=event.position,
            traceparent=event.traceparent or UNSET,
        )
