"""The events an execution publishes (contract section 6): what is said, not how it is delivered.

Ids are made of what the event is about, so that a re-sent event has the id it had before.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from everyitem.model.totals import Balance
from everyitem.ports.store import ExecutionRecord, OutboxEvent

BATCH_EXECUTED = "BatchExecuted"
EXECUTION_FAILED = "ExecutionFailed"
CHECKPOINT_CREATED = "CheckpointCreated"


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
            "batchId": record.batch_id,
            "execution": record.execution,
            "round": record.round,
            "sequence": sequence,
            "itemsSuccessful": succeeded,
            "itemsFailed": failed,
            **sums,
        },
    )


def terminal_event(record: ExecutionRecord, *, response: bytes, success: bool, at: float) -> OutboxEvent:
    """The one event that goes with a response; its data is the response itself."""
    return _event(
        record,
        f"response/{record.round}.{record.runs}",
        BATCH_EXECUTED if success else EXECUTION_FAILED,
        at,
        msgspec.Raw(response),
    )


def _event(record: ExecutionRecord, what: str, kind: str, at: float, data: Any) -> OutboxEvent:
    return OutboxEvent(
        event_id=f"{record.batch_id}@{record.execution}/{what}",
        type=kind,
        subject=record.batch_id,
        time=at,
        data=msgspec.json.encode(data),
    )
