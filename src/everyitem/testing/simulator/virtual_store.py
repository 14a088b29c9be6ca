"""The simulator's store."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from everyitem.engine.messages import RetryChange, SaveCheckpoint
from everyitem.engine.settling import SETTLED_AS_FAILED, settled_failure, settled_success
from everyitem.ports.store import Counters, Decision, Intent, SegmentDraft, Settlement
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
    #: At-most-once: items that may be called, and those a crash left in doubt.
    intents: dict[int, Intent] = field(default_factory=dict)
    at_most_once: bool = False
    in_doubt_limit: int = 0
    #: Attempts people granted beyond the retries.
    granted: int = 0
    #: Failures people vouched for; these count towards no limit.
    settled_as_failed: int = 0

    def __post_init__(self) -> None:
        self.marks = bytearray(self.items)

    def apply(self, save: SaveCheckpoint) -> None:
        """One transaction."""
        for segment in save.segments:
            self.segments += 1
            for run in segment.successes:
                if len(run.result_texts()) != len(run) or len(run.indices()) != len(run):
                    raise SimulationFailed("a run's ranges, durations and results differ in length")
                if run.attempt > self.max_attempts + self.granted:
                    raise SimulationFailed(f"attempt {run.attempt} of {run.indices()} is one too many")
                for index, text in zip(run.indices(), run.result_texts(), strict=True):
                    if text != str(index).encode():
                        raise SimulationFailed(f"item {index} got the result of item {text.decode()}")
                    self._record(index, 1)
            for failure in segment.failures:
                if failure.attempt > self.max_attempts + self.granted:
                    raise SimulationFailed(
                        f"attempt {failure.attempt} of item {failure.index} is one too many"
                    )
                if failure.final:
                    self.settled_as_failed += failure.type == SETTLED_AS_FAILED
                    self._record(failure.index, 2)
        for change in save.retries:
            if change.due is None:
                self.pending.pop(change.index, None)
            else:
                self.pending[change.index] = change
        self._change_intents(save)
        self.counters = save.counters
        if (self.counters.succeeded, self.counters.failed) != (self.marks.count(1), self.marks.count(2)):
            raise SimulationFailed(f"counters {self.counters} differ from what is recorded")
        if any(self.marks[index] for index in self.pending):
            raise SimulationFailed("an item with an outcome still waits for a retry")

    def settle(self, said: Settlement) -> None:
        """A person's decision where nobody runs: one transaction, as `engine/settling.py` writes it."""
        doubt = self.intents[said.index]
        said = replace(said, attempt=doubt.attempt, doubt=doubt.doubt)
        segment = SegmentDraft([], [], settlements=[said])
        pending = RetryChange(said.index, 0, None)
        match said.decision:
            case Decision.SUCCEEDED:
                segment.successes.append(settled_success(said))
            case Decision.FAILED:
                segment.failures.append(settled_failure(said))
            case Decision.AGAIN:
                pending = RetryChange(said.index, doubt.attempt, said.at)
        counters = replace(
            self.counters,
            succeeded=self.counters.succeeded + segment.succeeded,
            failed=self.counters.failed + segment.failed,
            checkpoints=self.counters.checkpoints + 1,
        )
        self.apply(SaveCheckpoint(0, [segment], [pending], counters, intents_cleared=[said.index]))

    def _change_intents(self, save: SaveCheckpoint) -> None:
        for index in save.intents_cleared:
            self.intents.pop(index, None)
        self.intents.update((intent.index, intent) for intent in save.intents)
        undecided = sum(not intent.doubt for intent in self.intents.values())
        if self.at_most_once and undecided > self.in_doubt_limit:
            raise SimulationFailed(f"a crash would leave {undecided} items in doubt")
        if any(self.marks[index] for index in self.intents):
            raise SimulationFailed("an item with an outcome is still said to be in doubt")

    def _record(self, index: int, mark: int) -> None:
        if self.marks[index]:
            raise SimulationFailed(f"a second outcome for item {index}")
        self.marks[index] = mark
