"""What a running owner tells those who look, about once a second."""

import msgspec

from everyitem.model.figures import Figures


class WorkerNow(msgspec.Struct, frozen=True, array_like=True):
    """What one worker does, for who looks from another process."""

    worker: str
    #: Index of the item it runs, and seconds since it began it; None when idle.
    index: int | None
    busy_seconds: float | None
    #: Items finished so far.
    done: int
    #: The node it belongs to.
    node: str = ""


class StealNow(msgspec.Struct, frozen=True, array_like=True):
    """One node took over what another one had not started."""

    #: Epoch seconds.
    at: float
    thief: str
    victim: str
    items: int


class CauseNow(msgspec.Struct, frozen=True, array_like=True):
    """Failures of this run that are alike."""

    #: One of them, as `type: first line of the message`.
    cause: str
    #: Items that failed for good, and attempts that are followed by another one.
    failed: int
    retried: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a running owner tells `status` and `watch`, about once a second."""

    at: float = 0.0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    retries_waiting: int = 0
    deferred: int = 0
    rate_per_second: float = 0.0
    eta_seconds: float | None = None
    parallelism: int = 0
    active_ms: int = 0
    #: What the workers do, the first of them where there are many.
    workers: tuple[WorkerNow, ...] = ()
    #: The latest steals, oldest first, and the most frequent causes of failures, of this run.
    latest_steals: tuple[StealNow, ...] = ()
    causes: tuple[CauseNow, ...] = ()
    #: What is measured beside the counts; stays as the last run left it.
    figures: Figures = Figures()
