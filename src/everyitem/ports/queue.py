"""The queue: executions services are to carry out, the services there are, and who asked for what.

A ticket says what shall become of an execution (run, be held, be cancelled), not what is happening to it:
that is in the execution's own state. Services read tickets and bring the one in line with the other, so a
request survives whoever was to carry it out. Times are epoch seconds by the store's clock.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from everyitem.model.configuration import Priority
from everyitem.model.items import Items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.inbox import IncomingEvent
from everyitem.ports.progress import Progress


class Wish(StrEnum):
    """What shall become of an execution in the queue."""

    RUN = "run"
    #: Rest, running or not, until somebody resumes it.
    HOLD = "hold"
    CANCEL = "cancel"


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution needs of a machine."""

    #: Items at once: as few as it may be given, and as many as it can use.
    least: int
    most: int
    #: Thousandths of a core one of its slots is counted as.
    millicores: int
    #: Memory of coordinator and workers together, in MB.
    memory_mb: int


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something somebody did to an execution."""

    at: float
    #: Who: a user of an API, or `user@host`.
    actor: str
    #: What: submit, pause, resume, cancel, redrive, rerun, priority, parallelism, settle, ...
    action: str
    #: The particulars, as JSON text (an object).
    detail: bytes = b"{}"
    #: Position in the store, 0 before it was written.
    position: int = 0


class NewTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the queue to be asked for."""

    priority: Priority
    demand: Demand
    actor: str
    #: What a person asked for besides: never more items at once than this.
    parallelism: int | None = None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """One execution in the queue, with what its dispatch depends on."""

    execution_key: int
    batch_id: str
    execution: int
    #: Order of submission; a ticket that is put in again is a new one.
    number: int
    #: When it was put in.
    since: float
    priority: Priority
    wish: Wish
    demand: Demand
    actor: str
    parallelism: int | None
    #: The living service that has it, None while it waits.
    service_id: str | None
    status: ExecutionStatus
    #: Runs of the execution before the ticket, and by now.
    runs_before: int
    runs: int
    #: Whether a living process carries the execution out, and which one on which host.
    owned: bool
    owner_pid: int | None
    owner_host: str | None
    #: What that one last told of it; None while nobody does.
    progress: Progress | None

    @property
    def has_ended(self) -> bool:
        """Whether a run since the ticket was put in came to an end: there is nothing left to do."""
        ends = (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
        at_rest = self.status.is_finished or self.status in ends
        return at_rest and not self.owned and self.runs > self.runs_before

    @property
    def waits(self) -> bool:
        """Whether it waits for a service to take it."""
        return self.wish is Wish.RUN and self.service_id is None and not self.owned


class ServiceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A living service and what it has to give."""

    service_id: str
    host: str
    pid: int
    millicores: int
    memory_mb: int
    #: Executions it carries out at once at most.
    batches: int


class QueueIsFull(Exception):
    """As many executions wait as may; nothing was stored."""


class BatchQueue(Protocol):
    """The queue of one store. Safe to use from one thread at a time.

    Every method raises `StoreError` when the store is out of reach.
    """

    def enqueue(
        self,
        new: NewExecution,
        items: Items,
        ticket: NewTicket,
        action: Action,
        *,
        room: int,
        event: IncomingEvent | None = None,
    ) -> int | None:
        """Store an accepted batch, its ticket and who brought it, in one transaction; its execution key.

        So is the event that brought it, if one did. None when that execution exists already. Raises
        `QueueIsFull` when `room` executions wait already, and `EventIsKnown`.
        """
        ...

    def put(self, execution_key: int, ticket: NewTicket, action: Action, *, room: int | None) -> bool:
        """Put a stored execution that nobody carries out into the queue; False when it is in there.

        Raises `QueueIsFull` as `enqueue` does, unless there is always `room` (None).
        """
        ...

    def change(
        self,
        execution_key: int,
        *,
        action: Action | None = None,
        wish: Wish | None = None,
        priority: Priority | None = None,
        parallelism: int | None = None,
    ) -> bool:
        """Change a ticket; False (and nothing is written) when the execution is not in the queue."""
        ...

    def remove(self, execution_key: int, *, number: int) -> bool:
        """Take a ticket out: nothing is left to do. False when another one was put in meanwhile."""
        ...

    def tickets(self) -> list[Ticket]:
        """Everything in the queue, in order of submission."""
        ...

    def ticket(self, execution_key: int) -> Ticket | None:
        """The ticket of one execution."""
        ...

    def claim(self, ticket: Ticket, service_id: str) -> bool:
        """Have a ticket from now on; False when it has changed, or another living service has it."""
        ...

    def give_back(self, service_id: str, execution_keys: Sequence[int]) -> None:
        """Let other services have these tickets."""
        ...

    def renew(self, service: ServiceRecord) -> None:
        """Say that a service lives; it is believed for the length of a lease."""
        ...

    def leave(self, service_id: str) -> None:
        """A service ends; what it has is free."""
        ...

    def services(self) -> list[ServiceRecord]:
        """The living services."""
        ...

    def note(self, execution_key: int, action: Action) -> None:
        """Write down what somebody did to an execution."""
        ...

    def actions(self, execution_key: int, after: int = 0, limit: int | None = None) -> list[Action]:
        """What people did to an execution behind a position, oldest first."""
        ...

    def page(self, *, before: int | None, limit: int) -> list[ExecutionRecord]:
        """Executions of the store, newest first, behind an execution key."""
        ...

    def input_bytes(self, execution_key: int) -> int:
        """Length of an execution's items as JSON text."""
        ...

    def now(self) -> float:
        """The store's clock."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...
