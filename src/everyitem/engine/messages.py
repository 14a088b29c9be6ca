"""What the state machine hears beside the nodes' own messages, and what it answers.

Every message carries its own time (`at`, monotonic seconds); commands are carried out in order.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from everyitem.model.errors import ErrorCode, Problem
from everyitem.model.resources import AllocatedResources, NodeSpec
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters, SegmentDraft
from everyitem.ports.completions import Completion
from everyitem.ports.deferral import DeferralChange
from everyitem.ports.doubt import Intent, Settlement
from everyitem.ports.node import Lease, NodeMessage


class TimePassed(msgspec.Struct, frozen=True, gc=False):
    """The moment asked for by `WakeAt` has come (or somebody just says what time it is)."""

    at: float


class CheckpointSaved(msgspec.Struct, frozen=True, gc=False):
    """Everything up to and including save number `ticket` is durable."""

    at: float
    ticket: int


class StoreFailed(msgspec.Struct, frozen=True, gc=False):
    """The store gave up on us for good; nothing more can be recorded."""

    at: float
    code: ErrorCode
    reason: str


class PauseAsked(msgspec.Struct, frozen=True, gc=False):
    """Finish what runs, checkpoint, start nothing until `ResumeAsked`."""

    at: float


class ResumeAsked(msgspec.Struct, frozen=True, gc=False):
    """End a pause."""

    at: float


class CancelAsked(msgspec.Struct, frozen=True, gc=False):
    """Drain and end CANCELLED."""

    at: float


class SettleAsked(msgspec.Struct, frozen=True, gc=False):
    """A person decided about an item in doubt; without effect on any other."""

    at: float
    settlement: Settlement


class SlotsGranted(msgspec.Struct, frozen=True, gc=False):
    """From now on use at most so many of the slots allocated; where the number is fixed, it is this one."""

    at: float
    slots: int


class ResourcesAllocated(msgspec.Struct, frozen=True, gc=False):
    """From now on these nodes are allocated, and no others; without effect unless the version is new."""

    at: float
    version: int
    resources: AllocatedResources


class EventsHeard(msgspec.Struct, frozen=True, gc=False):
    """The store was asked for events about deferred items, and had these.

    `up_to` is the moment of asking (monotonic seconds) where these are all there are, and None otherwise.
    """

    at: float
    completions: Sequence[Completion]
    up_to: float | None


class StopAsked(msgspec.Struct, frozen=True, gc=False):
    """Drain and end INTERRUPTED; `at_once` interrupts items instead of waiting for them."""

    at: float
    reason: str
    at_once: bool = False


Message = (
    NodeMessage
    | TimePassed
    | CheckpointSaved
    | StoreFailed
    | PauseAsked
    | ResumeAsked
    | CancelAsked
    | SettleAsked
    | SlotsGranted
    | ResourcesAllocated
    | EventsHeard
    | StopAsked
)


class Ending(StrEnum):
    """Why an execution's run ended."""

    COMPLETED = "completed"
    FAILED_FAST = "failed fast"
    TOLERANCE_EXCEEDED = "tolerance exceeded"
    TIMED_OUT = "timed out"
    OUT_OF_RESOURCES = "out of resources"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    IN_DOUBT = "in doubt"
    STORE_FAILED = "store failed"


class Verdict(msgspec.Struct, frozen=True):
    """The end of a run, and the error it is reported as (None: all items have an outcome, or a stop)."""

    ending: Ending
    message: str = ""
    code: ErrorCode | None = None
    #: What there is to list beside the message, at most `MOST_CAUSES`.
    causes: tuple[Problem, ...] = ()
    #: Items in doubt, where nothing else is left.
    doubts: tuple[Intent, ...] = ()

    @property
    def status(self) -> ExecutionStatus:
        """The state the execution is left in (COMPLETED becomes COMPLETED_WITH_ERRORS by its counts)."""
        match self.ending:
            case Ending.COMPLETED:
                return ExecutionStatus.COMPLETED
            case Ending.CANCELLED:
                return ExecutionStatus.CANCELLED
            case Ending.INTERRUPTED:
                return ExecutionStatus.INTERRUPTED
            case _:
                return ExecutionStatus.FAILED


class RunSlice(msgspec.Struct, frozen=True, gc=False):
    """Send a lease to a holder of a node."""

    node_id: str
    holder: str
    lease: Lease


class RevokeSlice(msgspec.Struct, frozen=True, gc=False):
    """Take back the unstarted rest of a lease."""

    node_id: str
    holder: str
    lease_id: int
    #: Nothing more of it may start at all (see `ports.node.Node.revoke`).
    drains: bool = False


class ResizeNode(msgspec.Struct, frozen=True, gc=False):
    """Let a node use so many slots from now on; one that has not been started yet is started."""

    node_id: str
    slots: int


class AddNode(msgspec.Struct, frozen=True, gc=False):
    """A node has been allocated that was not there; `ResizeNode` starts it."""

    node: NodeSpec


class RetryChange(msgspec.Struct, frozen=True, gc=False):
    """A pending retry as of a save; `due` in the state machine's own time, None when it is over."""

    index: int
    attempts: int
    due: float | None
    alone: bool = False


class SaveCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """Make these outcomes, retries and counters durable; answered by `CheckpointSaved(ticket)`.

    Without segments it only secures pending retries (the charge of a worker's death).
    """

    ticket: int
    segments: Sequence[SegmentDraft]
    retries: Sequence[RetryChange]
    counters: Counters
    #: Something waits for this save: it must not wait for company.
    is_urgent: bool = False
    #: Items that may be called once this is durable, or are known to be in doubt; and whose intent is over.
    intents: Sequence[Intent] = ()
    intents_cleared: Sequence[int] = ()
    deferrals: Sequence[DeferralChange] = ()


class InterruptNodes(msgspec.Struct, frozen=True, gc=False):
    """End items in flight by force."""


class ChangeStatus(msgspec.Struct, frozen=True, gc=False):
    """Record that the execution is RUNNING or PAUSED now."""

    status: ExecutionStatus


class WakeAt(msgspec.Struct, frozen=True, gc=False):
    """Send `TimePassed` at this moment; replaces any earlier wish. None: not needed."""

    at: float | None


class Finish(msgspec.Struct, frozen=True, gc=False):
    """All is recorded and nothing runs: consolidate and answer."""

    verdict: Verdict


Command = (
    RunSlice
    | RevokeSlice
    | ResizeNode
    | AddNode
    | SaveCheckpoint
    | InterruptNodes
    | ChangeStatus
    | WakeAt
    | Finish
)
