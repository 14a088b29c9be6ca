"""Pausing and cancelling from any process: a request to the living owner, or the change itself."""

import os
import socket
import time

from everyitem.model.errors import UsageError
from everyitem.model.status import ExecutionStatus
from everyitem.ports.store import ControlKind, ExecutionRecord, Store

#: How long to look whether the owner has reacted, and how often. It reads its inbox five times a second.
_REACTION = 2.0
_LOOK_EVERY = 0.1


def pause(store: Store, record: ExecutionRecord) -> None:
    """Ask the owner to pause.

    Raises:
        UsageError: nobody is executing it.
    """
    if not record.owned:
        state = ExecutionStatus.INTERRUPTED if record.status.is_active else record.status
        raise UsageError(
            f"batch {record.batch_id!r} is not running (it is {state}), so there is nothing to pause"
        )
    _request(store, record, ControlKind.PAUSE, until={ExecutionStatus.PAUSED})


def unpause(store: Store, record: ExecutionRecord) -> None:
    """Ask the owner of a paused execution to go on."""
    _request(store, record, ControlKind.RESUME, until={ExecutionStatus.RUNNING})


def cancel(store: Store, record: ExecutionRecord) -> None:
    """Ask the owner to cancel, or cancel what nobody executes. A cancelled execution stays resumable.

    Raises:
        UsageError: every item has its outcome already.
    """
    _refuse_finished(record)
    if record.status is ExecutionStatus.CANCELLED and not record.owned:
        return
    ownership = store.claim(record.execution_key)
    if ownership is None:
        _request(store, record, ControlKind.CANCEL, until={ExecutionStatus.CANCELLED})
        return
    # between the look and the claim the former owner may have come to the end
    now = store.find(record.batch_id, record.execution) or record
    ownership.release(None if now.status.is_finished else ExecutionStatus.CANCELLED)
    _refuse_finished(now)


def _refuse_finished(record: ExecutionRecord) -> None:
    if record.status.is_finished:
        raise UsageError(
            f"batch {record.batch_id!r} is finished ({record.status}); there is nothing to cancel"
        )


def _request(
    store: Store, record: ExecutionRecord, kind: ControlKind, *, until: set[ExecutionStatus]
) -> None:
    """Leave a request and wait a moment for the owner to act; a drain may take it longer than that."""
    store.request(record.execution_key, kind, f"{socket.gethostname()}:{os.getpid()}")
    patience = time.monotonic() + _REACTION
    while time.monotonic() < patience:
        now = store.find(record.batch_id, record.execution)
        if now is None or now.status in until or not now.owned:
            return
        time.sleep(_LOOK_EVERY)
