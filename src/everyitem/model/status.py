"""The states of an execution and the legal moves between them."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """State of an execution as `status` prints it (contract section 4)."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    #: Stopped by a signal, a crash or a store failure; a resume continues it.
    INTERRUPTED = "INTERRUPTED"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    #: Ended with an ERROR response (timeout, tolerance, resources, ...); still resumable.
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_finished(self) -> bool:
        """Every item has an outcome and the response is recorded."""
        return self in (ExecutionStatus.COMPLETED, ExecutionStatus.COMPLETED_WITH_ERRORS)

    @property
    def is_active(self) -> bool:
        """A living owner is expected to work on it."""
        return self in (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)


#: States in which an execution stays until somebody wants it otherwise.
AT_REST = frozenset(
    (
        ExecutionStatus.COMPLETED,
        ExecutionStatus.COMPLETED_WITH_ERRORS,
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELLED,
    )
)

_S = ExecutionStatus
_ENDS = {_S.INTERRUPTED, _S.COMPLETED, _S.COMPLETED_WITH_ERRORS, _S.FAILED, _S.CANCELLED}

#: Legal moves; stores refuse all others. A finished execution runs again only through a redrive, which opens
#: a new round, or for items whose checkpoints were damaged.
TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED, _S.INTERRUPTED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.PAUSED, *_ENDS}),
    _S.PAUSED: frozenset({_S.RUNNING, *_ENDS}),
    _S.INTERRUPTED: frozenset({_S.RUNNING, _S.CANCELLED}),
    # damage was found and accepted: the items of the damaged checkpoints are open again
    _S.COMPLETED: frozenset({_S.RUNNING}),
    _S.COMPLETED_WITH_ERRORS: frozenset({_S.RUNNING}),
    _S.FAILED: frozenset({_S.RUNNING, _S.CANCELLED}),
    _S.CANCELLED: frozenset({_S.RUNNING}),
}


def may_become(finish: ExecutionStatus) -> list[ExecutionStatus]:
    """The states from which an execution may go to `finish`."""
    return [start for start in ExecutionStatus if may_move(start, finish)]


def may_move(start: ExecutionStatus, finish: ExecutionStatus) -> bool:
    """Whether an execution may go from `start` to `finish`; staying is always legal."""
    return start == finish or finish in TRANSITIONS[start]
