"""Work in virtual time: slots call something that takes its time, slows down or refuses, and are tuned.

No clock and no threads: the next end of a call is the next thing that happens. What a call takes depends on
how many there are when it begins, and on chance, which is seeded.
"""

import heapq
import random
from collections.abc import Callable
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

    #: Items a second after a tenth of them, and over all.
    late: float
    whole: float
    #: Slots in use at the end.
    slots: int


def run(
    call: Call, items: int, *, most: int, fixed: int | None = None, start: int = START, seed: int = 1
) -> Run:
    """Run a batch on a fixed number of slots, or let the controller find one between 1 and `most`."""
    chance = random.Random(seed)
    controller = ParallelismController(slots=start, least=1, most=most)
    tuning = Tuning(controller, at=0.0)
    now, left, done, number = 0.0, items, 0, 0
    tenth_at = 0.0
    ends: list[tuple[float, int, float, bool]] = []
    while done < items:
        slots = fixed or tuning.slots
        while left and len(ends) < slots:
            seconds, succeeds = call(now, len(ends) + 1, chance)
            left, number = left - 1, number + 1
            heapq.heappush(ends, (now + seconds, number, seconds, succeeds))
        now, _, seconds, succeeds = heapq.heappop(ends)
        done += succeeds
        left += not succeeds
        if done <= items // 10:
            tenth_at = now
        tuning.note(now, succeeded=succeeds, failed=not succeeds, busy=seconds)
        tuning.look(now)
    return Run((items - items // 10) / (now - tenth_at), items / now, fixed or tuning.slots)
