"""Pausing, resuming and cancelling from any process: a request to the living owner, or the change itself.

Where services are to carry the execution out, its ticket says so too: whatever becomes of the request and of
the owner, they bring the execution in line with it.
"""

import time

import msgspec

from everyitem.model.configuration import Priority
from everyitem.model.errors import UsageError, WrongState
from everyitem.model.status import ExecutionStatus
from everyitem.ports.control import ControlKind
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.queue import Action, BatchQueue, Wish
from everyitem.ports.store import Store

#: How long to look whether the owner has reacted, and how often. It reads its inbox five times a second.
_REACTION = 2.0
_LOOK_EVERY = 0.1

_encode = msgspec.json.Encoder().encode


def action(name: str, actor: str, **detail: object) -> Action:
    """What somebody does, for the record."""
    return Action(at=time.time(), actor=actor, action=name, detail=_encode(detail))


def pause(store: Store, queue: BatchQueue, record: ExecutionRecord, actor: str) -> None:
    """Ask the owner to pause; what waits in the queue of a service is held there.

    Raises:
        WrongState: nobody is executing it, nor going to.
    """
    if not record.owned and not record.queued:
        state = ExecutionStatus.INTERRUPTED if record.status.is_active else record.status
        raise WrongState(
            f"batch {record.batch_id!r} is not running (it is {state}), so there is nothing to pause"
        )
    _wish(queue, record, Wish.HOLD, action("pause", actor))
    if record.owned:
        _request(store, record, ControlKind.PAUSE, actor, until={ExecutionStatus.PAUSED})


def unpause(store: Store, queue: BatchQueue, record: ExecutionRecord, actor: str) -> None:
    """Let what is paused or held go on."""
    _wish(queue, record, Wish.RUN, action("resume", actor))
    if record.owned and record.status is ExecutionStatus.PAUSED:
        _request(store, record, ControlKind.RESUME, actor, until={ExecutionStatus.RUNNING})


def cancel(store: Store, queue: BatchQueue, record: ExecutionRecord, actor: str) -> None:
    """Ask the owner to cancel, or cancel what nobody executes. A cancelled execution stays resumable.

    Raises:
        WrongState: every item has its outcome already.
    """
    _refuse_finished(record)
    if record.status is ExecutionStatus.CANCELLED and not record.owned and not record.queued:
        return
    _wish(queue, record, Wish.CANCEL, action("cancel", actor))
    ownership = store.claim(record.execution_key)
    if ownership is None:
        _request(store, record, ControlKind.CANCEL, actor, until={ExecutionStatus.CANCELLED})
        return
    # between the look and the claim the former owner may have come to the end
    now = store.find(record.batch_id, record.execution) or record
    ownership.release(None if now.status.is_finished else ExecutionStatus.CANCELLED)
    _refuse_finished(now)


def change_priority(queue: BatchQueue, record: ExecutionRecord, priority: Priority, actor: str) -> None:
    """Change the priority of what services are to carry out.

    Raises:
        WrongState: they are not.
    """
    noted = action("priority", actor, priority=priority)
    if not queue.change(record.execution_key, priority=priority, action=noted):
        raise WrongState(
            f"batch {record.batch_id!r} is in no service's queue, and priority takes effect nowhere else"
        )


def change_parallelism(queue: BatchQueue, record: ExecutionRecord, parallelism: int, actor: str) -> None:
    """Change how many items at once services may run of an execution they are to carry out.

    Raises:
        UsageError: it is no number of items.
        WrongState: no service is to carry it out.
    """
    if parallelism < 1:
        raise UsageError(f"parallelism must be a whole number of at least 1, not {parallelism}")
    noted = action("parallelism", actor, parallelism=parallelism)
    if not queue.change(record.execution_key, parallelism=parallelism, action=noted):
        raise WrongState(f"batch {record.batch_id!r} is in no service's queue")


def _refuse_finished(record: ExecutionRecord) -> None:
    if record.status.is_finished:
        raise WrongState(
            f"batch {record.batch_id!r} is finished ({record.status}); there is nothing to cancel"
        )


def _wish(queue: BatchQueue, record: ExecutionRecord, wish: Wish, noted: Action) -> None:
    """Say to services what shall become of the execution, and write down who said it, in any case."""
    if not queue.change(record.execution_key, wish=wish, action=noted):
        queue.note(record.execution_key, noted)


def _request(
    store: Store, record: ExecutionRecord, kind: ControlKind, actor: str, *, until: set[ExecutionStatus]
) -> None:
    """Leave a request and wait a moment for the owner to act; a drain may take it longer than that."""
    store.request(record.execution_key, kind, actor)
    patience = time.monotonic() + _REACTION
    while time.monotonic() < patience:
        now = store.find(record.batch_id, record.execution)
        if now is None or now.status in until or not now.owned:
            return
        time.sleep(_LOOK_EVERY)
