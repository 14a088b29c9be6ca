"""What is done about memory, and in which order: decided here, without looking at anything itself.

    below 80 % of the limit   nothing
    80 %                      PAUSE: no slot begins another item, what runs is awaited
      it went down            SHRINK: the items are large, so go on with half as many at a time
      it stays                RECYCLE: the workers have grown, so they are replaced by fresh ones, and RESUME
    95 %                      END: the item that takes most is ended

After a while of calm the parallelism grows again, step by step. *Pressure* is memory in use over the limit.
"""

from enum import Enum, auto
from typing import Final

PAUSE_AT: Final = 0.80
RESUME_AT: Final = 0.70
END_AT: Final = 0.95
#: Below this for `GROW_AFTER` seconds, one more slot may work.
CALM_AT: Final = 0.60
GROW_AFTER: Final = 2.0
#: Bytes a second by which memory may grow between two looks, and the seconds between them.
GROWTH: Final = 4_000_000_000
SOONEST: Final = 0.02
LATEST: Final = 0.5
#: A worker has grown when it takes this much more than when it was fresh.
GROWN_FACTOR: Final = 1.25
GROWN_BYTES: Final = 8 << 20


class Measure(Enum):
    """What to do now."""

    HOLD = auto()
    PAUSE = auto()
    SHRINK = auto()
    RECYCLE = auto()
    RESUME = auto()
    END = auto()


class MemoryPolicy:
    """The measures for one node."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        #: How many slots memory leaves, be more of them in use or not; None: as many as there are.
        self.left: int | None = None
        #: Slots in use when memory ran short: up to there it is given back step by step.
        self._before = slots
        self.is_paused = False
        #: Nothing but ending helps: one at a time goes on above `PAUSE_AT`.
        self._has_tried_all = False
        self._has_recycled = False
        self._calm_since: float | None = None

    def resize(self, slots: int) -> None:
        """The node uses another number of slots; what memory leaves stays as it is.

        Who uses no more slots than are left must still hear when more are.
        """
        self._before = max(self._before, slots)
        self._slots = slots

    @property
    def parallelism(self) -> int:
        """How many slots may work at a time when intake is not paused."""
        return self._slots if self.left is None else min(self._slots, self.left)

    @property
    def intake(self) -> int:
        """How many slots may begin items now."""
        return 0 if self.is_paused else self.parallelism

    @property
    def is_active(self) -> bool:
        """Whether anything is held back, so that it must be looked at again even if nothing runs."""
        return self.intake < self._slots

    def observe(self, at: float, pressure: float, *, running: int, recyclable: bool) -> Measure:
        """Take note of the pressure at a time (seconds), with so many items running.

        `recyclable` says whether there are workers which have grown and can be replaced.
        """
        if pressure >= END_AT:
            self._calm_since = None
            self.is_paused = True
            return Measure.END
        if pressure < RESUME_AT:
            self._has_tried_all = False
        if self.is_paused:
            return self._while_paused(pressure, running=running, recyclable=recyclable)
        if pressure >= PAUSE_AT and not self._has_tried_all:
            self._calm_since = None
            self.is_paused = True
            return Measure.PAUSE
        return self._when_calm(at, pressure)

    def _while_paused(self, pressure: float, *, running: int, recyclable: bool) -> Measure:
        if running and pressure >= RESUME_AT:
            return Measure.HOLD
        if pressure >= RESUME_AT and recyclable:
            self._has_recycled = True
            return Measure.RECYCLE
        self.is_paused = False
        self._has_tried_all = pressure >= RESUME_AT
        has_helped, self._has_recycled = self._has_recycled and not self._has_tried_all, False
        if has_helped:
            return Measure.RESUME
        if self.left is None:
            self._before = self._slots
        left = 1 if self._has_tried_all else max(1, self.parallelism // 2)
        self.left = left if left < self._before else None
        return Measure.SHRINK

    def _when_calm(self, at: float, pressure: float) -> Measure:
        if pressure >= CALM_AT or self.left is None or self._slots < self.left:
            # with fewer in use than are left, calm says nothing about one more
            self._calm_since = None
            return Measure.HOLD
        if self._calm_since is None:
            self._calm_since = at
        if at - self._calm_since < GROW_AFTER:
            return Measure.HOLD
        self._calm_since = at
        self.left = self.left + 1 if self.left + 1 < self._before else None
        return Measure.RESUME


def look_again_in(headroom: float) -> float:
    """Seconds until memory might be at its limit, `headroom` bytes away: until then nobody need look."""
    return min(LATEST, max(SOONEST, headroom / GROWTH))


def has_grown(now: int, fresh: int) -> bool:
    """Whether a worker that took `fresh` bytes before its first item has become notably larger."""
    return now > fresh * GROWN_FACTOR + GROWN_BYTES
