"""What a service hands back, with the contract's names in its JSON form."""

from typing import Any, Self

import msgspec

from everyitem.faces.api.views import Status, View, moment
from everyitem.model.configuration import Priority
from everyitem.model.figures import LATENCY_BOUNDS
from everyitem.model.response import rfc3339
from everyitem.ports.execution import ExecutionRecord


class _Named(msgspec.Struct):
    """The part of an envelope that says the priority."""

    priority: Any = None


class BatchStatus(Status, frozen=True, kw_only=True):
    """Where an execution stands (as `everyitem status` says it), and its place in the service."""

    #: LOW, NORMAL, HIGH or CRITICAL: as changed last, else as the document says.
    priority: str = Priority.NORMAL
    #: Who brought it, where a service took it in.
    submitted_by: str | None = None
    #: Place among those that wait, 1 is next; None when it does not wait.
    queue_position: int | None = None
    #: RFC 3339: when it is likely to start; None when it does not wait or nobody can say.
    expected_start: str | None = None
    #: Why it waits, in words; None when it does not.
    waits_for: str | None = None
    #: Items it may run at once now; None unless it runs in a service.
    parallelism: int | None = None
    #: The most items at once a person allows; None when nobody said.
    parallelism_limit: int | None = None

    @classmethod
    def of(cls, record: ExecutionRecord) -> Self:
        """What the record says; the place in the service is added by who knows the queue."""
        named = msgspec.json.decode(record.envelope, type=_Named).priority
        priority = named if named in list(Priority) else Priority.NORMAL
        return msgspec.structs.replace(super().of(record), priority=str(priority))


class Submission(View, frozen=True, kw_only=True):
    """What became of a document that was handed in."""

    batch_id: str
    execution: int
    #: False when it is new (202), True when the same content was here before (200).
    known: bool
    state: str
    #: Place among those that wait, 1 is next; None when it does not wait.
    queue_position: int | None
    #: RFC 3339, None when it does not wait or nobody can say.
    expected_start: str | None
    #: Things worth saying about the document.
    warnings: tuple[str, ...] = ()


class Page(View, frozen=True, kw_only=True):
    """A part of the list of executions, newest first."""

    batches: tuple[BatchStatus, ...]
    #: Hand it back to read on; None at the end.
    next_cursor: str | None


class Health(View, frozen=True, kw_only=True):
    """How the service itself does."""

    #: Whether it can take batches in and carry them out.
    ready: bool
    #: What is in the way, in words; empty when nothing is.
    obstacles: tuple[str, ...]
    #: Batches it carries out now, and how many wait.
    running: int
    waiting: int
    cores: float
    memory_mb: int
    #: Batches at once at most.
    batches: int
    #: Services that live on this store, this one included.
    services: int


class Worker(View, frozen=True, kw_only=True):
    """What one worker does."""

    worker: str
    #: Index of the item it runs, and seconds since it began it; None when idle.
    index: int | None
    busy_seconds: float | None
    #: Items finished so far.
    done: int
    node: str


class LatestSteal(View, frozen=True, kw_only=True):
    """One node took over what another one had not started."""

    #: RFC 3339.
    at: str
    thief: str
    victim: str
    items: int


class LiveCause(View, frozen=True, kw_only=True):
    """Failures that differ in numbers, ids and quoted parts only."""

    #: One of them, as `type: first line of the message`.
    cause: str
    #: Items that failed for good, and attempts that are followed by another one, in this run.
    failed: int
    retried: int


class Live(View, frozen=True, kw_only=True):
    """How an execution runs at this moment, about once a second, or how it ran last."""

    #: RFC 3339; None when it has not run.
    at: str | None
    succeeded: int = 0
    failed: int = 0
    steals: int = 0
    retries: int = 0
    #: Attempts by duration: one class for each bound, in seconds, and one beyond.
    latency: tuple[int, ...] = ()
    latency_bounds: tuple[float, ...] = LATENCY_BOUNDS
    #: Active seconds of the batch timeout's window: in all, and used up.
    window: float = 0.0
    window_used: float = 0.0
    workers: tuple[Worker, ...] = ()
    #: The latest steals of this run, oldest first.
    latest_steals: tuple[LatestSteal, ...] = ()
    #: What fails in this run, the most frequent first.
    causes: tuple[LiveCause, ...] = ()

    @classmethod
    def of(cls, record: ExecutionRecord) -> Self:
        """What the owner told last."""
        progress = record.progress
        if progress is None:
            return cls(at=None)
        figures = progress.figures
        return cls(
            at=moment(progress.at),
            succeeded=progress.succeeded,
            failed=progress.failed,
            steals=figures.steals,
            retries=figures.retries,
            latency=figures.latency,
            window=figures.window,
            window_used=figures.window_used,
            workers=tuple(
                Worker(
                    worker=one.worker,
                    index=one.index,
                    busy_seconds=one.busy_seconds,
                    done=one.done,
                    node=one.node,
                )
                for one in progress.workers
            ),
            latest_steals=tuple(
                LatestSteal(at=rfc3339(one.at), thief=one.thief, victim=one.victim, items=one.items)
                for one in progress.latest_steals
            ),
            causes=tuple(
                LiveCause(cause=one.cause, failed=one.failed, retried=one.retried) for one in progress.causes
            ),
        )
