"""Observers: who is told what happens in a run, and can do nothing about it.

Metrics, traces, logs and alerts are observers; the engine knows none of their libraries. Every method is
called from threads of the engine and returns at once: what takes longer belongs on a thread of the observer.
An observer that raises is called no more, and the run goes on.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from everyitem.model.alerts import Condition
from everyitem.model.figures import Figures
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import Lease, NodeMessage
from everyitem.ports.outcome import FailedItem


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """Which run it is."""

    #: The store's number of the execution.
    execution_key: int
    batch_id: str
    execution: int
    round: int
    #: 1-based, over all processes that carried the execution out.
    run: int
    processor: str
    items: int
    #: Epoch seconds.
    began_at: float
    #: W3C trace context that reaches item processors and events; empty without one.
    traceparent: str = ""


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is at one moment. `items == succeeded + failed + open` always holds."""

    batch_id: str
    execution: int
    status: ExecutionStatus
    items: int
    succeeded: int
    failed: int
    open: int
    in_doubt: int = 0
    in_flight: int = 0
    retries_waiting: int = 0
    rate_per_second: float = 0.0
    #: Seconds to the last outcome; None while it cannot be told.
    eta_seconds: float | None = None
    #: Checkpoints over all runs, and epoch seconds of the last one.
    checkpoints: int = 0
    last_checkpoint_at: float | None = None
    #: Active seconds over all runs.
    active: float = 0.0
    figures: Figures = Figures()
    #: Final failures that are tolerated; None where any number is.
    tolerated: int | None = None
    #: Outcomes were handed over to the store, and it has not confirmed them yet.
    is_unsaved: bool = False
    #: The store has not answered when it was asked last.
    store_is_away: bool = False


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to show of a store at one moment; None where it was not asked."""

    #: Executions somebody works on.
    vitals: Sequence[Vitals] = ()
    #: Executions by state, alerts that stand by level.
    executions: Mapping[str, int] | None = None
    alerts: Mapping[str, int] | None = None
    #: Events not published yet, and seconds since the oldest of them happened.
    outbox_events: int | None = None
    outbox_oldest: float | None = None


class Observer(Protocol):
    """What a run tells. Times (`at`, `began`, `ended`) are monotonic seconds."""

    def began(self, run: RunView) -> None:
        """The run begins; nothing of it has started yet."""
        ...

    def leased(self, at: float, node_id: str, holder: str, lease: Lease) -> None:
        """A holder was given a lease: its slice begins."""
        ...

    def heard(self, message: NodeMessage) -> None:
        """A node said something; outcomes in it may turn out to come too late."""
        ...

    def failed(self, failures: Sequence[FailedItem]) -> None:
        """Items failed for good, and that is recorded (from the writer's thread)."""
        ...

    def saved(self, began: float, ended: float, segments: int) -> None:
        """A transaction with so many checkpoints is durable (from the writer's thread)."""
        ...

    def looked(self, at: float, vitals: Vitals) -> None:
        """How the run is; about five times a second and once at the end."""
        ...

    def noticed(self, condition: Condition, *, stands: bool) -> None:
        """A part of the engine knows something to be wrong, or (`stands` is false) to be well again."""
        ...

    def ended(self, status: ExecutionStatus, code: str, message: str) -> None:
        """The run is over. `code` and `message` are the error's, where there is one."""
        ...


class NoObserver:
    """An observer that looks away; others need to say only what they do."""

    def began(self, run: RunView) -> None:
        """Nothing."""

    def leased(self, at: float, node_id: str, holder: str, lease: Lease) -> None:
        """Nothing."""

    def heard(self, message: NodeMessage) -> None:
        """Nothing."""

    def failed(self, failures: Sequence[FailedItem]) -> None:
        """Nothing."""

    def saved(self, began: float, ended: float, segments: int) -> None:
        """Nothing."""

    def looked(self, at: float, vitals: Vitals) -> None:
        """Nothing."""

    def noticed(self, condition: Condition, *, stands: bool) -> None:
        """Nothing."""

    def ended(self, status: ExecutionStatus, code: str, message: str) -> None:
        """Nothing."""
