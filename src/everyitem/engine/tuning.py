"""When to look at what is observed: windows in which the number of slots stays the same.

Pure. What began before a change still ends after it; that belongs to no window.
"""

from collections import deque
from typing import Final

from everyitem.engine.parallelism import Decision, Move, ParallelismController, Window

#: A window lasts at least so many seconds ...
SHORTEST: Final = 0.25
#: ... and so many calls in each slot, while climbing or where it is clear what follows, and else.
CLIMBING_ROUNDS: Final = 2
ROUNDS: Final = 6
#: Seconds after a change, beside the time of a call, until what arrives began after it.
SETTLING: Final = 0.1
#: Seconds after a change for which slots that are not there yet are waited for: workers take time to start.
ARRIVING: Final = 5.0
#: So many changes are remembered.
REMEMBERED: Final = 20


class Tuning:
    """Cuts what happens into windows, and asks the controller after each."""

    def __init__(self, controller: ParallelismController, *, at: float) -> None:
        self._controller = controller
        #: The latest changes of the number of slots, oldest first.
        self.changes: deque[Decision] = deque(maxlen=REMEMBERED)
        #: Seconds a call takes.
        self._call = 0.0
        self._changed_at = at
        self._begin(at)

    @property
    def slots(self) -> int:
        """Slots in use."""
        return self._controller.slots

    def awaits_slots(self, at: float) -> bool:
        """Whether slots that are in use, and not there, may still be on their way."""
        return at < self._changed_at + ARRIVING

    def note(self, at: float, *, succeeded: int, failed: int, busy: float) -> None:
        """Outcomes have arrived; `busy` is how many seconds they took in all."""
        if at < self._begins_at:
            self._call = busy / max(1, succeeded + failed)
            return
        self._succeeded += succeeded
        self._failed += failed
        self._busy += busy

    def limit(self, most: int, at: float, reason: str) -> Decision:
        """No more than `most` slots can be used from now on."""
        return self._follow(self._controller.limit(most, at, reason))

    def allow(self, least: int, most: int, at: float, reason: str) -> Decision:
        """Between `least` and `most` slots are allocated from now on."""
        return self._follow(self._controller.allow(least, most, at, reason))

    def stand_still(self, at: float) -> None:
        """What has happened until now says nothing about the number of slots (a pause, an outage)."""
        self._begin(at)

    def look(self, at: float) -> Decision | None:
        """What follows from the window, once it is long enough."""
        seconds, attempts = at - self._begins_at, self._succeeded + self._failed
        if seconds < SHORTEST or attempts < CLIMBING_ROUNDS * self.slots:
            return None
        window = Window(
            slots=self.slots,
            seconds=seconds,
            succeeded=self._succeeded,
            failed=self._failed,
            busy=self._busy,
        )
        is_enough = self._controller.is_climbing or attempts >= ROUNDS * self.slots
        if not is_enough and not self._controller.is_clear(window):
            return None
        self._call = self._busy / attempts
        return self._follow(self._controller.observe(at, window))

    def _follow(self, decision: Decision) -> Decision:
        if decision.move is Move.HOLD:
            self._begin(decision.at, settled=True)
        else:
            self.changes.append(decision)
            self._changed_at = decision.at
            self._begin(decision.at)
        return decision

    def _begin(self, at: float, *, settled: bool = False) -> None:
        self._begins_at = at if settled else at + SETTLING + self._call
        self._succeeded = self._failed = 0
        self._busy = 0.0
