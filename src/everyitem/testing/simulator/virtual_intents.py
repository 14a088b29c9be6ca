"""At-most-once on the simulator's disk: who may be called, who is in doubt, and what people decided."""

from collections import Counter

from everyitem.ports.checkpoint import Commit, SegmentDraft
from everyitem.ports.doubt import Decision, Intent
from everyitem.testing.simulator.day import Day
from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.witness import Witness


class VirtualIntents:
    """The intents as they stand on disk; survives every crash, and checks each change."""

    def __init__(self, day: Day, witness: Witness) -> None:
        self._day, self._witness = day, witness
        self.on_disk: dict[int, Intent] = {}
        #: Failures people vouched for: these count towards no limit.
        self.settled_as_failed = 0
        #: Attempts people granted in the round, by item.
        self._granted: Counter[int] = Counter()

    def begin_round(self) -> None:
        """What was granted is over with the round."""
        self._granted.clear()
        if self.on_disk:
            raise SimulationFailed(f"a round opens while items {sorted(self.on_disk)} are in doubt")

    def budget(self, index: int) -> int:
        """How many attempts the item may have in the round."""
        return self._day.max_attempts + self._granted[index]

    def was_granted(self, index: int) -> bool:
        """Whether somebody had the item called again in the round."""
        return self._granted[index] > 0

    def settle(self, draft: SegmentDraft, round_: int) -> None:
        """What people decided: about items in doubt only, and about the attempt that is."""
        for said in draft.settlements:
            doubt = self.on_disk.get(said.index)
            if doubt is None or doubt.attempt != said.attempt:
                raise SimulationFailed(f"attempt {said.attempt} of item {said.index} is settled: {doubt}")
            # from here on it is not the item's fate that decides
            self._witness.unlucky.add((round_, said.index))
            self._witness.unanswered.discard((round_, said.index, said.attempt))
            self._granted[said.index] += said.decision is Decision.AGAIN
            self.settled_as_failed += said.decision is Decision.FAILED

    def change(self, commit: Commit, round_: int) -> None:
        """Store and clear, and see that no crash could leave more in doubt than it may."""
        for index in commit.intents_cleared:
            self.on_disk.pop(index, None)
        for intent in commit.intents_set:
            self.on_disk[intent.index] = intent
            self._witness.intended.add((round_, intent.index, intent.attempt))
        if self.on_disk and not self._day.at_most_once:
            raise SimulationFailed("intents are written, though items may be called again")
        callable_now = sum(not intent.doubt for intent in self.on_disk.values())
        if callable_now > self._day.configuration.in_doubt_limit:
            raise SimulationFailed(f"a crash would leave {callable_now} items in doubt")
