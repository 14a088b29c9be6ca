"""The events an execution publishes (contract section 6): what is said, not how it is delivered.

Ids are made of what the event is about, so that a re-sent event has the id it had before.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from everyitem.model.totals import Balance
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.progress import Progress

BATCH_EXECUTED = "BatchExecuted"
EXECUTION_FAILED = "ExecutionFailed"
CHECKPOINT_CREATED = "CheckpointCreated"
BATCH_STARTED = "BatchStarted"
BATCH_PROGRESSED = "BatchProgressed"
ITEM_FAILED = "ItemFailed"
RESOURCES_CHANGED = "ResourcesChanged"
BATCH_DEADLINE_AT_RISK = "BatchDeadlineAtRisk"


def checkpoint_created(
    record: ExecutionRecord,
    *,
    sequence: int,
    succeeded: int,
    failed: int,
    at: float,
    totals: Mapping[str, Balance] | None = None,
) -> OutboxEvent:
    """A checkpoint is durable; `succeeded` and `failed` are the outcomes its segment holds.

    `totals` are the control totals with it, where any are asked for.
    """
    sums = {"controlTotals": {name: one.texts() for name, one in totals.items()}} if totals else {}
    return _event(
        record,
        f"checkpoint/{sequence}",
        CHECKPOINT_CREATED,
        at,
        {
            **_named(record),
            "sequence": sequence,
            "itemsSuccessful": succeeded,
            "itemsFailed": failed,
            **sums,
        },
    )


def batch_started(record: ExecutionRecord, *, at: float) -> OutboxEvent:
    """A run of the execution has begun; `run` counts them."""
    data = {"items": record.item_count, "run": record.runs, "processor": record.processor}
    return _event(record, f"started/{_run(record)}", BATCH_STARTED, at, _named(record) | data)


def item_failed(record: ExecutionRecord, item: FailedItem, *, at: float) -> OutboxEvent:
    """An item has failed for good, in this round."""
    error = {"code": item.code, "type": item.type, "message": item.message}
    data = {"itemId": item.item_id, "index": item.index, "attempts": item.attempts, "error": error}
    event = _event(record, f"failed/{record.round}.{item.index}", ITEM_FAILED, at, _named(record) | data)
    return msgspec.structs.replace(event, subject=f"{record.batch_id}/{item.item_id}")


def batch_progressed(record: ExecutionRecord, progress: Progress, *, number: int, at: float) -> OutboxEvent:
    """How far the run is; `number` counts these events of a run."""
    data = {
        "itemsSuccessful": progress.succeeded,
        "itemsFailed": progress.failed,
        "itemsOpen": record.item_count - progress.succeeded - progress.failed,
        "ratePerSecond": progress.rate_per_second,
        "etaSeconds": progress.eta_seconds,
        "parallelism": progress.parallelism,
    }
    return _event(record, f"progress/{_run(record)}.{number}", BATCH_PROGRESSED, at, _named(record) | data)


def resources_changed(
    record: ExecutionRecord, *, before: int, now: int, number: int, at: float
) -> OutboxEvent:
    """The run uses another number of slots; `number` counts these events of a run."""
    data = {"slots": now, "slotsBefore": before}
    return _event(record, f"resources/{_run(record)}.{number}", RESOURCES_CHANGED, at, _named(record) | data)


def deadline_at_risk(record: ExecutionRecord, progress: Progress, *, at: float) -> OutboxEvent:
    """Most of the batch timeout's window is used up, and the rest will not do; told once in a run."""
    data = {
        "windowSeconds": progress.figures.window,
        "windowUsedSeconds": round(progress.figures.window_used, 3),
        "etaSeconds": progress.eta_seconds,
    }
    return _event(record, f"deadline/{_run(record)}", BATCH_DEADLINE_AT_RISK, at, _named(record) | data)


def terminal_event(record: ExecutionRecord, *, response: bytes, success: bool, at: float) -> OutboxEvent:
    """The one event that goes with a response; its data is the response itself."""
    return _event(
        record,
        f"response/{record.round}.{record.runs}",
        BATCH_EXECUTED if success else EXECUTION_FAILED,
        at,
        msgspec.Raw(response),
    )


def _named(record: ExecutionRecord) -> dict[str, Any]:
    return {"batchId": record.batch_id, "execution": record.execution, "round": record.round}


def _run(record: ExecutionRecord) -> str:
    return f"{record.round}.{record.runs}"


def _event(record: ExecutionRecord, what: str, kind: str, at: float, data: Any) -> OutboxEvent:
    return OutboxEvent(
        event_id=f"{record.batch_id}@{record.execution}/{what}",
        type=kind,
        subject=record.batch_id,
        time=at,
        data=msgspec.json.encode(data),
    )
