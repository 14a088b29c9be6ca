"""The simulator's store."""

from dataclasses import dataclass, field

from everyitem.engine.messages import RetryChange, SaveCheckpoint
from everyitem.ports.store import Counters
from everyitem.testing.simulator.failed import SimulationFailed


@dataclass
class VirtualStore:
    """What is durable: survives every crash of the coordinator, refuses to record anything twice."""

    items: int
    max_attempts: int
    marks: bytearray = field(default_factory=bytearray)
    pending: dict[int, RetryChange] = field(default_factory=dict)
    counters: Counters = Counters()
    segments: int = 0

    def __post_init__(self) -> None:
        self.marks = bytearray(self.items)

    def apply(self, save: SaveCheckpoint) -> None:
        """One transaction."""
        for segment in save.segments:
            self.segments += 1
            for run in segment.successes:
                if len(run.result_texts()) != len(run) or len(run.indices()) != len(run):
                    raise SimulationFailed("a run's ranges, durations and results differ in length")
                if run.attempt > self.max_attempts:
                    raise SimulationFailed(f"attempt {run.attempt} of {run.indices()} is one too many")
                for index, text in zip(run.indices(), run.result_texts(), strict=True):
                    if text != str(index).encode():
                        raise SimulationFailed(f"item {index} got the result of item {text.decode()}")
                    self._record(index, 1)
            for failure in segment.failures:
                if failure.attempt > self.max_attempts:
                    raise SimulationFailed(
                        f"attempt {failure.attempt} of item {failure.index} is one too many"
                    )
                if failure.final:
                    self._record(failure.index, 2)
        for change in save.retries:
            if change.due is None:
                self.pending.pop(change.index, None)
            else:
                self.pending[change.index] = change
        self.counters = save.counters
        if (self.counters.succeeded, self.counters.failed) != (self.marks.count(1), self.marks.count(2)):
            raise SimulationFailed(f"counters {self.counters} differ from what is recorded")
        if any(self.marks[index] for index in self.pending):
            raise SimulationFailed("an item with an outcome still waits for a retry")

    def _record(self, index: int, mark: int) -> None:
        if self.marks[index]:
            raise SimulationFailed(f"a second outcome for item {index}")
        self.marks[index] = mark
