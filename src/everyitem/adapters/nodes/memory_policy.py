"""What is done about memory, and in which order: decided here, without looking at anything itself.

    below 80 % of the limit   nothing
    80 %                      PAUSE: no slot begins another item, what runs is awaited
      it went down            SHRINK: the items are large, so go on with as many at a time as have room
      it stays                RECYCLE: the workers have grown, so they are replaced by fresh ones, and RESUME
    95 %                      END: the item that takes most is ended

After a while of calm the parallelism grows again, step by step, while there is room for one more. Nor does it
grow beyond that when the node is to use more slots. *Pressure* is memory in use over the limit, and room is
judged by what items took of it lately, more than there was without any.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

PAUSE_AT: Final = 0.80
RESUME_AT: Final = 0.70
#: Up to here there is room: what varies from item to item is not to pause all of them.
FULL_AT: Final = 0.78
END_AT: Final = 0.95
#: Below this for `GROW_AFTER` seconds, one more slot may work, where nobody knows what an item takes.
CALM_AT: Final = 0.60
GROW_AFTER: Final = 2.0
#: What items took counts for so many seconds, and for as many again.
REMEMBERED: Final = 5.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of a node's memory at one time; memory as a part of the limit."""

    pressure: float
    #: Items that run, and workers that start or end.
    running: int
    #: Whether there are workers which have grown and can be replaced.
    recyclable: bool = False
    #: Of those that run: how many have items.
    busy: int
    #: What was there without any item.
    base: float = 0.0
    #: Workers there are, and what each more takes before its first item; none where items share a process.
    workers: int = 0
    worker: float = 0.0


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
        #: Whether an item was ended in this pause: nobody knows what it would have taken.
        self._has_ended = False
        self._calm_since: float | None = None
        #: Slots of which a calm has said that there is room for them.
        self._proved = 0
        self._sight = Sight(pressure=0.0, running=0, busy=0)
        self._needs = _Needs()

    def resize(self, slots: int) -> bool:
        """The node uses another number of slots; what memory leaves stays as it is. Whether that is less now.

        Who uses no more slots than are left must still hear when more are. More of them than there is room
        for are not tried: what is too large would be ended.
        """
        former, self._slots = self._slots, slots
        self._before = max(self._before, slots)
        room = self._room(self._sight)
        if self.is_paused or room is None:
            return False
        most = max(former, self._proved, room)
        if most >= self.parallelism:
            return False
        self.left = most
        return True

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

    def observe(self, at: float, sight: Sight) -> Measure:
        """Take note of what is seen at a time (seconds)."""
        self._sight = sight
        if sight.busy:
            self._needs.note(at, (sight.pressure - sight.base) / sight.busy)
        if sight.pressure >= END_AT:
            self._pause()
            self._has_ended = True
            return Measure.END
        if sight.pressure < RESUME_AT:
            self._has_tried_all = False
        if self.is_paused:
            return self._while_paused(sight)
        if sight.pressure >= PAUSE_AT and not self._has_tried_all:
            self._pause()
            return Measure.PAUSE
        return self._when_calm(at, sight)

    def _pause(self) -> None:
        self.is_paused = True
        self._calm_since, self._proved = None, 0

    def _while_paused(self, sight: Sight) -> Measure:
        is_high = sight.pressure >= RESUME_AT
        if sight.running and is_high:
            return Measure.HOLD
        if is_high and sight.recyclable:
            self._has_recycled = True
            return Measure.RECYCLE
        self.is_paused = False
        self._has_tried_all = is_high
        has_helped, self._has_recycled = self._has_recycled and not is_high, False
        has_ended, self._has_ended = self._has_ended, False
        if has_helped:
            return Measure.RESUME
        if self.left is None:
            self._before = self._slots
        left = 1 if is_high else self._fewer(sight, has_ended=has_ended)
        self.left = left if left < self._before else None
        return Measure.SHRINK

    def _fewer(self, sight: Sight, *, has_ended: bool) -> int:
        """As many as there is room for; half as many where nobody knows how many that is."""
        room = self._room(sight)
        most = self.parallelism // 2 if room is None or has_ended else self.parallelism - 1
        return max(1, most if room is None else min(most, room))

    def _room(self, sight: Sight) -> int | None:
        """How many items at a time there is room for; None where nobody knows what one takes."""
        need, free = self._needs.greatest, FULL_AT - sight.base
        if need <= 0.0:
            return None
        if free / need > sight.workers:
            # more workers would have to be started
            return int((free + sight.workers * sight.worker) / (need + sight.worker))
        return max(0, int(free / need))

    def _when_calm(self, at: float, sight: Sight) -> Measure:
        more = self._needs.greatest + (sight.worker if self.parallelism >= sight.workers else 0.0)
        is_calm = sight.pressure < (FULL_AT - more if more > 0.0 else CALM_AT)
        if not is_calm or self.left is None or self._slots < self.left:
            # with fewer in use than are left, calm says nothing about one more
            self._calm_since = None
            return Measure.HOLD
        if self._calm_since is None:
            self._calm_since = at
        if at - self._calm_since < GROW_AFTER:
            return Measure.HOLD
        self._calm_since, self._proved = at, self.left + 1
        self.left = self._proved if self._proved < self._before else None
        return Measure.RESUME


class _Needs:
    """What an item takes, by the most that those at work took on average at one time, lately."""

    def __init__(self) -> None:
        self._since = 0.0
        self._former = self._latest = 0.0

    def note(self, at: float, need: float) -> None:
        if at - self._since >= REMEMBERED:
            self._former = self._latest if at - self._since < 2 * REMEMBERED else 0.0
            self._since, self._latest = at, 0.0
        self._latest = max(self._latest, need)

    @property
    def greatest(self) -> float:
        return max(self._former, self._latest)


def look_again_in(headroom: float) -> float:
    """Seconds until memory might be at its limit, `headroom` bytes away: until then nobody need look."""
    return min(LATEST, max(SOONEST, headroom / GROWTH))


def has_grown(now: int, fresh: int) -> bool:
    """Whether a worker that took `fresh` bytes before its first item has become notably larger."""
    return now > fresh * GROWN_FACTOR + GROWN_BYTES
