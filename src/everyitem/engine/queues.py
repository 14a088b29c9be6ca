"""Range queues: which unstarted items each node will do, and who takes from whom.

One queue per node, shared by its holders. Work is taken from the front (lowest index), given back where
it belongs, and stolen from the rear.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from everyitem.engine.ranking import Ranking

#: Steals that are remembered.
_REMEMBERED = 16


class Steal(NamedTuple):
    """One node took over what another one had not started."""

    #: Monotonic seconds.
    at: float
    thief: str
    victim: str
    items: int


class RangeQueue:
    """Disjoint ranges of unstarted items in ascending order; neighbours merge."""

    def __init__(self) -> None:
        # parallel lists, kept reversed: the front of the queue is at the end, where popping is cheap
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.remaining = 0

    def __bool__(self) -> bool:
        return self.remaining > 0

    def put(self, start: int, stop: int) -> None:
        """Add a range that overlaps nothing in the queue, merging it with neighbours."""
        if start >= stop:
            return
        at = bisect_left(self._starts, -start, key=lambda value: -value)
        # at - 1 holds the next higher range, at the next lower one
        if at > 0 and self._starts[at - 1] < stop:
            raise AssertionError(f"range {start}..{stop} overlaps one that is queued already")
        if at < len(self._stops) and self._stops[at] > start:
            raise AssertionError(f"range {start}..{stop} overlaps one that is queued already")
        self.remaining += stop - start
        if at > 0 and self._starts[at - 1] == stop:
            self._starts[at - 1] = start
            if at < len(self._stops) and self._stops[at] == start:
                self._starts[at - 1] = self._starts.pop(at)
                self._stops.pop(at)
        elif at < len(self._stops) and self._stops[at] == start:
            self._stops[at] = stop
        else:
            self._starts.insert(at, start)
            self._stops.insert(at, stop)

    def take(self, count: int) -> range:
        """Up to `count` items from the front, contiguous; empty when the queue is."""
        if not self._starts or count < 1:
            return range(0)
        start, stop = self._starts[-1], self._stops[-1]
        end = min(stop, start + count)
        if end == stop:
            self._starts.pop()
            self._stops.pop()
        else:
            self._starts[-1] = end
        self.remaining -= end - start
        return range(start, end)

    def take_far(self, count: int) -> range:
        """Up to `count` items from the rear, contiguous; the queue must not be empty."""
        taken, *others = self.take_rear(count)
        for one in others:
            self.put(one.start, one.stop)
        return taken

    def take_rear(self, count: int) -> list[range]:
        """Exactly min(count, remaining) items from the rear."""
        taken = []
        while count > 0 and self._starts:
            start, stop = self._starts[0], self._stops[0]
            begin = max(start, stop - count)
            taken.append(range(begin, stop))
            count -= stop - begin
            self.remaining -= stop - begin
            if begin == start:
                del self._starts[0], self._stops[0]
            else:
                self._stops[0] = begin
        return taken


class NodeQueues:
    """The queues of all nodes, and stealing between them."""

    def __init__(self, rate_of: Callable[[str], float]) -> None:
        """`rate_of` tells the items per second of a node, by which the victim of a steal is chosen."""
        self._rate_of = rate_of
        self._queues: dict[str, RangeQueue] = {}
        self._victims = Ranking(self._seconds_left)
        self.remaining = 0
        self.steals = 0
        #: The latest steals, oldest first.
        self.latest: deque[Steal] = deque(maxlen=_REMEMBERED)

    def put(self, node_id: str, start: int, stop: int) -> None:
        """Give a range to a node."""
        self._queue(node_id).put(start, stop)
        self.remaining += max(0, stop - start)
        self._victims.touch(node_id)

    def take(self, node_id: str, count: int, *, at: float = 0.0, far: bool = False) -> range:
        """Up to `count` items for a node, stolen from another at `at` if it has none of its own.

        `far`: from the other end, away from what has run last.
        """
        queue = self._queue(node_id)
        if not queue and not self._steal(node_id, at):
            return range(0)
        taken = queue.take_far(count) if far else queue.take(count)
        self.remaining -= len(taken)
        self._victims.touch(node_id)
        return taken

    def measured(self, node_id: str) -> None:
        """The rate of a node may be another one now."""
        if node_id in self._queues:
            self._victims.touch(node_id)

    def _queue(self, node_id: str) -> RangeQueue:
        queue = self._queues.get(node_id)
        if queue is None:
            queue = self._queues[node_id] = RangeQueue()
            self._victims.touch(node_id)
        return queue

    def _seconds_left(self, node_id: str) -> float | None:
        """What its queue would take a node; None: it is empty."""
        remaining = self._queues[node_id].remaining
        return remaining / max(self._rate_of(node_id), 1e-9) if remaining else None

    def _steal(self, thief: str, at: float) -> bool:
        """Move the rear half of the queue that would take longest to `thief`'s queue, which is empty."""
        name = self._victims.best()
        if name is None:
            return False
        victim = self._queues[name]
        half = (victim.remaining + 1) // 2
        for part in victim.take_rear(half):
            self._queues[thief].put(part.start, part.stop)
        self._victims.touch(name)
        self._victims.touch(thief)
        self.steals += 1
        self.latest.append(Steal(at, thief, name, half))
        return True
