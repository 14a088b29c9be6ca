"""The witness: knows what really happened, and believes nobody."""

from collections import Counter

from everyitem.ports.node import Lease
from everyitem.ports.store import Recorded
from everyitem.testing.simulator.day import Day
from everyitem.testing.simulator.failed import SimulationFailed


class Witness:
    """Sees every call of every process, owner or not, and checks that there is a reason for it."""

    def __init__(self, day: Day) -> None:
        self._day = day
        #: Who owns the execution by the store's word, and what was recorded when it began.
        self.owner: object | None = None
        self._recorded = b""
        self._used: dict[int, int] = {}
        self.round = 1
        #: Calls by the present owner of (index, attempt), and how many more than one there may be.
        self._calls: Counter[tuple[int, int]] = Counter()
        self._excused: Counter[tuple[int, int]] = Counter()
        self._running: set[tuple[object, int]] = set()
        #: Items that killed their worker, and the attempts used up by then.
        self._charged: dict[int, int] = {}
        self._laters: Counter[tuple[int, int]] = Counter()
        #: (round, index) of items charged for a death that was not their fault.
        self.unlucky: set[tuple[int, int]] = set()
        self.calls = self.repeats = 0
        self._ever: set[tuple[int, int, int]] = set()

    def begins_run(self, owner: object, recorded: Recorded, round_: int) -> None:
        """An owner has read what is recorded; whatever is not, may happen once more."""
        self.owner, self.round = owner, round_
        self._recorded = bytes(recorded.ledger)
        self._used = {retry.index: retry.attempts for retry in recorded.retries}
        self._calls.clear()
        self._excused.clear()
        self._charged = {retry.index: retry.attempts for retry in recorded.retries if retry.alone}

    def starts(self, process: object, lease: Lease, index: int, *, on_disk: int, alone: bool) -> None:
        """A call begins; `on_disk` are the item's attempts as the store knows them.

        `alone`: the call has just this item and so has the lease.
        """
        if (process, index) in self._running:
            raise SimulationFailed(f"I8: item {index} runs twice at the same time")
        self._running.add((process, index))
        self.calls += 1
        if process is not self.owner:
            return
        if self._recorded[index]:
            raise SimulationFailed(f"I8: item {index} runs again, though its outcome was recorded")
        if lease.attempt <= self._used.get(index, 0):
            raise SimulationFailed(f"I4: attempt {lease.attempt} of item {index} is forgotten")
        if charged := self._charged.get(index):
            if on_disk < charged:
                raise SimulationFailed(f"I4: item {index} runs before its worker's death is charged on disk")
            if not alone:
                raise SimulationFailed(f"item {index} killed its worker and does not run alone")
        key = (index, lease.attempt)
        self._calls[key] += 1
        if self._calls[key] > 1 + self._excused[key]:
            raise SimulationFailed(f"I8: attempt {lease.attempt} of item {index} is repeated without a cause")
        self.repeats += (self.round, *key) in self._ever
        self._ever.add((self.round, *key))

    def ends(self, process: object, index: int) -> None:
        """A call is over, however."""
        self._running.discard((process, index))

    def excuse(self, process: object, index: int, attempt: int) -> None:
        """What came of a call is lost with its worker, or it asked for another: it may be repeated."""
        if process is self.owner:
            self._excused[index, attempt] += 1

    def charge(self, process: object, index: int, attempt: int) -> None:
        """An item's worker died, and it is the item's fault."""
        if process is self.owner and attempt < self._day.max_attempts:
            self._charged[index] = attempt

    def asks_again(self, index: int) -> bool:
        """Whether the item raises RetryLater this time."""
        self._laters[self.round, index] += 1
        return self._laters[self.round, index] <= self._day.fates[index].times
