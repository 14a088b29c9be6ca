"""Work in virtual time: slots call something that takes its time, slows down or refuses, and are tuned.

No clock and no threads: the next end of a call is the next thing that happens. What a call takes depends on
how many there are when it begins, and on chance, which is seeded.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from everyitem.engine.parallelism import ParallelismController
from everyitem.engine.tuning import Tuning

#: Seconds and success of a call that begins at a moment beside so many others, itself included.
Call = Callable[[float, int, random.Random], tuple[float, bool]]
#: The number of slots the engine begins with.
START = 5


@dataclass(frozen=True)
class Run:
    """What came of a batch."""

    #: When each item was done.
    ends: Sequence[float]
    #: Slots in use at the end.
    slots: int

    @property
    def whole(self) -> float:
        """Items a second."""
        return len(self.ends) / self.ends[-1]

    @property
    def late(self) -> float:
        """Items a second after a tenth of them."""
        first = len(self.ends) // 10
        return self._rate(first, len(self.ends) - 1)

    def reached_after(self, rate: float) -> float:
        """The part of the items after which a tenth of them first came at this rate; 1: never."""
        count, span = len(self.ends), len(self.ends) // 10
        starts = range(0, count - span, max(1, count // 200))
        return next((first / count for first in starts if self._rate(first, first + span) >= rate), 1.0)

    def _rate(self, first: int, last: int) -> float:
        return (last - first) / (self.ends[last] - self.ends[first])


def run(
    call: Call, items: int, *, most: int, fixed: int | None = None, start: int = START, seed: int = 1
) -> Run:
    """Run a batch on a fixed number of slots, or let the controller find one between 1 and `most`."""
    chance = random.Random(seed)
    controller = ParallelismController(slots=start, least=1, most=most)
    tuning = Tuning(controller, at=0.0)
    now, left, number = 0.0, items, 0
    done: list[float] = []
    ends: list[tuple[float, int, float, bool]] = []
    while len(done) < items:
        slots = fixed or tuning.slots
        while left and len(ends) < slots:
            seconds, succeeds = call(now, len(ends) + 1, chance)
            left, number = left - 1, number + 1
            heapq.heappush(ends, (now + seconds, number, seconds, succeeds))
        now, _, seconds, succeeds = heapq.heappop(ends)
        if succeeds:
            done.append(now)
        else:
            left += 1
        tuning.note(now, succeeded=succeeds, failed=not succeeds, busy=seconds)
        tuning.look(now)
    return Run(done, fixed or tuning.slots)
