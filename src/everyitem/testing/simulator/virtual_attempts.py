"""The used-up attempts on the simulator's disk, and which of them an outage may still excuse."""

from everyitem.model.outcome import Excuse, Failure
from everyitem.ports.checkpoint import PendingRetry
from everyitem.testing.simulator.failed import SimulationFailed


class VirtualAttempts:
    """What is recorded of the round's attempts; survives every crash, and checks each change."""

    def __init__(self) -> None:
        #: Items of the round that used up an attempt and got another one.
        self.retried: set[int] = set()
        #: The last attempt of each item that is recorded as used up, and what may be excused of it.
        self._latest: dict[int, int] = {}
        self._excusable: set[tuple[int, int]] = set()

    def begin_round(self) -> None:
        """A round has a fresh retry budget."""
        self.retried.clear()
        self._latest.clear()
        self._excusable.clear()

    def fail(self, failure: Failure, *, granted: bool) -> None:
        """An attempt that is not the item's last; `granted`: a person has had the item called again."""
        index, attempt = failure.index, failure.attempt
        if failure.used_up:
            if attempt <= self._latest.get(index, 0):
                raise SimulationFailed(f"I3: attempt {attempt} of item {index} comes twice")
            self._latest[index] = attempt
            self._note_retry(index, attempt, granted=granted)
            if _may_be_excused(failure):
                self._excusable.add((index, attempt))
        elif failure.excused and not _may_be_excused(failure):
            raise SimulationFailed(f"attempt {attempt} of item {index} is excused, but speaks of the item")

    def excuse(self, excuse: Excuse) -> None:
        """A recorded attempt does not count after all."""
        latest = self._latest.get(excuse.index, 0)
        if latest != excuse.attempt or (excuse.index, excuse.attempt) not in self._excusable:
            raise SimulationFailed(
                f"I3: attempt {excuse.attempt} of item {excuse.index} is excused after attempt {latest}"
            )
        self._excusable.remove((excuse.index, excuse.attempt))
        self._latest[excuse.index] = excuse.attempt - 1
        if excuse.attempt == 1:
            self.retried.discard(excuse.index)

    def end(self, index: int, attempt: int) -> None:
        """The item has its outcome of this attempt."""
        if attempt == 1:
            # what was stored as used up was excused before its failure was written
            self.retried.discard(index)

    def wait(self, retry: PendingRetry, *, granted: bool) -> None:
        """The item waits for its next attempt; `granted` as for `fail`."""
        if retry.attempts < self._latest.get(retry.index, 0):
            raise SimulationFailed(
                f"I4: item {retry.index} waits with {retry.attempts} attempts used up, recorded are "
                f"{self._latest[retry.index]}"
            )
        self._note_retry(retry.index, retry.attempts, granted=granted)

    def _note_retry(self, index: int, attempts: int, *, granted: bool) -> None:
        """So many attempts are used up and another one follows; one that a person granted is no retry."""
        if not attempts:
            # none, or none any more: it was stored as used up before it was excused
            self.retried.discard(index)
        elif not granted:
            self.retried.add(index)


def _may_be_excused(failure: Failure) -> bool:
    """Whether an outage may be to blame: nothing that speaks of the item, and no worker's death."""
    return not (failure.innate or failure.permanent or failure.alone)
