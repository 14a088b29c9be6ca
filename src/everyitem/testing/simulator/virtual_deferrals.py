"""Deferred items on the simulator's disk, and what events have said of them."""

from collections.abc import Sequence

from everyitem.ports.checkpoint import Commit
from everyitem.ports.completions import Completion, ToldFailure
from everyitem.ports.deferral import Deferral
from everyitem.testing.simulator.day import Day, Kind
from everyitem.testing.simulator.failed import SimulationFailed


class VirtualDeferrals:
    """The deferrals as they stand on disk, beside an inbox; survives every crash, and checks each change."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self.on_disk: dict[int, Deferral] = {}
        #: Attempts whose event was not there in time, as (round, index, attempt).
        self.expired: set[tuple[int, int, int]] = set()
        #: What events said of (index, attempt) in the round, in the order they came.
        self._said: dict[tuple[int, int], Completion] = {}
        #: When each attempt that was ever deferred runs out of time (epoch seconds).
        self._dues: dict[tuple[int, int], float] = {}
        #: About which attempts which owner has asked when their time was over, and heard nothing.
        self._silent: set[tuple[int, int, int]] = set()
        self._events = 0

    def begin_round(self) -> None:
        """A round numbers attempts anew."""
        if self.on_disk:
            raise SimulationFailed(f"a round opens while items {sorted(self.on_disk)} are deferred")
        self._said.clear()
        self._silent.clear()
        self._dues.clear()

    # -- events -------------------------------------------------------------------------------------

    def hear(self, index: int, attempt: int, what: Kind) -> str:
        """An event has come; the first about an attempt counts. Returns what it finds, for the story."""
        self._events += 1
        failure = None
        if what is not Kind.GOOD:
            failure = ToldFailure("ITEM_ERROR", "Boom", "boom", retryable=what is not Kind.PERMANENT)
        key = index, attempt
        is_first = key not in self._said
        self._said.setdefault(key, Completion(self._events, index, attempt, b"%d" % index, failure))
        if not is_first:
            return "once more"
        if (held := self.on_disk.get(index)) is not None and held.attempt == attempt:
            return "in time"
        return "too late" if key in self._dues else "before its deferral is on disk"

    def matched(self, token: int, at: float) -> list[Completion]:
        """What was said of attempts that are deferred on disk, asked by an owner at `at` (epoch seconds)."""
        found = []
        for held in self.on_disk.values():
            word = self._said.get((held.index, held.attempt))
            if word is not None:
                found.append(word)
            elif self._day.clock_steps or held.due <= at + 1e-6:
                self._silent.add((token, held.index, held.attempt))
        return sorted(found, key=lambda word: word.position)

    # -- what a transaction writes ------------------------------------------------------------------

    def change(self, commit: Commit, round_: int, token: int, *, marks: Sequence[int]) -> None:
        """Clear and store, by the owner with this token; `marks` are the outcomes recorded by now.

        Who is cleared has an outcome, or has to be called again, or is in doubt: then it had no word in time.
        """
        again = {retry.index: retry.attempts for retry in commit.retries_set}
        again |= {intent.index: intent.attempt for intent in commit.intents_set if intent.doubt}
        for index, attempt in commit.deferrals_cleared:
            if again.get(index, 0) >= attempt:
                self.note_end(round_, index, attempt, token, timed_out=False)
            held = self.on_disk.get(index)
            if held is None or held.attempt != attempt:
                continue
            if not (marks[index] or index in again):
                raise SimulationFailed(f"item {index} is not deferred any more, and nothing follows")
            del self.on_disk[index]
        for one in commit.deferrals_set:
            if (one.index, one.attempt) in self._dues:
                raise SimulationFailed(f"attempt {one.attempt} of item {one.index} is deferred twice")
            self.on_disk[one.index] = one
            self._dues[one.index, one.attempt] = one.due

    def note_end(self, round_: int, index: int, attempt: int, token: int, *, timed_out: bool) -> None:
        """A deferred attempt did not succeed: an event said so, or its owner asked late and heard nothing.

        An event may have come after that and before it was on disk. One that says the item fails for good is
        not what the item was called again for.
        """
        key = index, attempt
        if key not in self._dues:
            if timed_out:
                raise SimulationFailed(f"attempt {attempt} of item {index} runs out of time it never had")
            return
        word = self._said.get(key)
        if word is not None and word.failure is not None and word.failure.retryable and not timed_out:
            return
        if (token, *key) not in self._silent:
            raise SimulationFailed(f"attempt {attempt} of item {index} is over, and its event came in time")
        self.expired.add((round_, index, attempt))
