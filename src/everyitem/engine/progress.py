"""How far an execution is: snapshots for displays and listeners, throughput and the time it will take."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from everyitem.engine.breaker import BreakerView
from everyitem.engine.parallelism import Decision
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import WorkerView

#: Throughput is that of the last so many seconds.
RATE_SPAN = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An execution at one moment. `items == succeeded + failed + open` holds in every snapshot."""

    #: Monotonic seconds; differences between snapshots are meaningful, the value is not.
    at: float
    batch_id: str
    execution: int
    round: int
    status: ExecutionStatus
    items: int
    succeeded: int
    failed: int
    open: int
    in_flight: int
    retries_waiting: int
    #: Items that needed more than one attempt, over all runs of the execution.
    retried: int
    steals: int
    rate_per_second: float
    #: Expected seconds to the last outcome; None while unknown.
    eta_seconds: float | None
    #: Slots in use.
    parallelism: int
    checkpoints: int
    #: Epoch seconds of the last durable checkpoint of this run, None before the first.
    last_checkpoint_at: float | None
    workers: tuple[WorkerView, ...]
    #: Final failures by cause, most frequent first.
    failures_by_cause: tuple[tuple[str, int], ...]
    #: Active seconds of this run.
    elapsed: float
    #: The latest changes of the slots in use and their reasons, oldest first; none where that is fixed.
    parallelism_changes: tuple[Decision, ...] = ()
    #: Whether items are held back because what they depend on fails; None where nobody can tell.
    breaker: BreakerView | None = None
    #: Open items that await an event.
    deferred: int = 0


#: Called about five times a second and once at the end, from the engine's thread; must not block.
Listener = Callable[[Snapshot], None]


class RateMeter:
    """Outcomes per second over the recent past. Pure: it is told the time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def observe(self, at: float, outcomes: int) -> None:
        """Take note of the number of outcomes so far."""
        self._samples.append((at, outcomes))
        while len(self._samples) > 2 and self._samples[0][0] < at - RATE_SPAN:
            self._samples.popleft()

    @property
    def rate(self) -> float:
        """Outcomes per second; 0.0 while nothing is known."""
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else 0.0

    def eta(self, open_items: int) -> float | None:
        """Seconds until no item is open at this rate; None when it cannot be told."""
        if not open_items:
            return 0.0
        return open_items / self.rate if self.rate > 0 else None
