"""The witness: knows what really happened, and believes nobody."""

from collections import Counter
from typing import Protocol

from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent
from everyitem.ports.execution import Recorded
from everyitem.ports.node import Lease
from everyitem.testing.simulator.day import Day
from everyitem.testing.simulator.failed import SimulationFailed


class Caller(Protocol):
    """A process whose workers call items."""

    @property
    def round(self) -> int: ...


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
        #: (round, index, attempt) of calls that met an outage of what items depend on.
        self.outages: set[tuple[int, int, int]] = set()
        #: How often each (round, index, attempt) was called, by whomever.
        self._ever: Counter[tuple[int, int, int]] = Counter()
        #: Under at-most-once: what had an intent on disk, what asked for another call, what is in doubt.
        self.intended: set[tuple[int, int, int]] = set()
        #: Calls of owners that never came back and about which no person has decided.
        self.unanswered: set[tuple[int, int, int]] = set()
        self._asked: Counter[tuple[int, int, int]] = Counter()
        self._doubts: dict[int, int] = {}

    def begins_run(self, owner: object, recorded: Recorded, round_: int) -> None:
        """An owner has read what is recorded; whatever is not, may happen once more."""
        self.owner, self.round = owner, round_
        self._recorded = bytes(recorded.ledger)
        self._used = {retry.index: retry.attempts for retry in recorded.retries}
        self._doubts = {intent.index: intent.attempt for intent in recorded.intents}
        self._calls.clear()
        self._excused.clear()
        self._charged = {retry.index: retry.attempts for retry in recorded.retries if retry.alone}

    def starts(
        self,
        process: Caller,
        lease: Lease,
        index: int,
        *,
        on_disk: int,
        intent: Intent | None,
        alone: bool,
        deferral: Deferral | None,
    ) -> None:
        """A call begins; `on_disk` are the item's attempts as the store knows them, and so the rest.

        `alone`: the call has just this item and so has the lease.
        """
        if (process, index) in self._running:
            raise SimulationFailed(f"I8: item {index} runs twice at the same time")
        self._running.add((process, index))
        self.calls += 1
        key = (process.round, index, lease.attempt)
        self.repeats += key in self._ever
        self._ever[key] += 1
        if self._day.at_most_once:
            self._check_intent(key, intent if process is self.owner else None)
        if process is not self.owner:
            return
        if self._recorded[index]:
            raise SimulationFailed(f"I8: item {index} runs again, though its outcome was recorded")
        if deferral is not None and lease.attempt <= deferral.attempt:
            raise SimulationFailed(f"item {index} is deferred on disk and is called all the same")
        if lease.attempt <= self._used.get(index, 0):
            raise SimulationFailed(f"I4: attempt {lease.attempt} of item {index} is forgotten")
        if charged := self._charged.get(index):
            if on_disk < charged:
                raise SimulationFailed(f"I4: item {index} runs before its worker's death is charged on disk")
            if not alone:
                raise SimulationFailed(f"item {index} killed its worker and does not run alone")
        if self._day.at_most_once:
            self._check_answers(key)
        if lease.attempt <= self._doubts.get(index, 0):
            raise SimulationFailed(f"item {index} was found in doubt and is called all the same")
        own = (index, lease.attempt)
        self._calls[own] += 1
        if self._calls[own] > 1 + self._excused[own]:
            raise SimulationFailed(f"I8: attempt {lease.attempt} of item {index} is repeated without a cause")

    def _check_intent(self, key: tuple[int, int, int], present: Intent | None) -> None:
        """At-most-once: no attempt is called twice by anybody, and none without an intent on disk before.

        `present` is the owner's, as it stands; who was replaced meanwhile had one when it last looked.
        """
        _, index, attempt = key
        if self._ever[key] > 1 + self._asked[key]:
            raise SimulationFailed(f"attempt {attempt} of item {index} is called a second time")
        if key not in self.intended or (present and (present.attempt != attempt or present.doubt)):
            raise SimulationFailed(f"attempt {attempt} of item {index} is called without an intent on disk")

    def _check_answers(self, key: tuple[int, int, int]) -> None:
        """At-most-once: nothing is called while it is not known what became of an earlier attempt."""
        round_, index, attempt = key
        for earlier in range(1, attempt):
            if (round_, index, earlier) in self.unanswered:
                raise SimulationFailed(
                    f"attempt {attempt} of item {index} is called, though nobody knows of attempt {earlier}"
                )
        self.unanswered.add(key)

    def answered(self, process: Caller, index: int, attempt: int) -> None:
        """A call came back with what the item returned or raised."""
        self.ends(process, index)
        self.unanswered.discard((process.round, index, attempt))

    def ends(self, process: object, index: int) -> None:
        """A call is over, however."""
        self._running.discard((process, index))

    def excuse(self, process: object, index: int, attempt: int) -> None:
        """What came of a call is lost with its worker, or it asked for another: it may be repeated."""
        if process is self.owner:
            self._excused[index, attempt] += 1

    def asked_again(self, process: Caller, index: int, attempt: int) -> None:
        """The item itself asked for another call of the same attempt."""
        self._asked[process.round, index, attempt] += 1
        self.excuse(process, index, attempt)

    def refused(self, process: Caller, index: int, attempt: int) -> None:
        """A call has met an outage: it may be excused, and made once more."""
        self.outages.add((process.round, index, attempt))
        self.asked_again(process, index, attempt)

    def charge(self, process: object, index: int, attempt: int) -> None:
        """An item's worker died, and it is the item's fault."""
        if process is self.owner and attempt < self._day.max_attempts and not self._day.at_most_once:
            self._charged[index] = attempt

    def uncharge(self, index: int, attempt: int) -> None:
        """Nobody was told that the item was at fault before all of its node was gone."""
        if self._charged.get(index) == attempt:
            del self._charged[index]

    def asks_again(self, index: int) -> bool:
        """Whether the item raises RetryLater this time."""
        self._laters[self.round, index] += 1
        return self._laters[self.round, index] <= self._day.fates[index].times
