"""How long items take, without an object for any of them."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import ceil


class Terrain:
    """Stretches of items that take equally long, one after the other; times in seconds of ordinary speed."""

    def __init__(self, stretches: Sequence[tuple[int, float]]) -> None:
        """`stretches` are (number of items, seconds of each), from item 0 on; empty ones are left out."""
        kept = [(count, seconds) for count, seconds in stretches if count]
        self._costs = [seconds for _, seconds in kept]
        self._firsts = [0, *accumulate(count for count, _ in kept)]
        self._sums = [0.0, *accumulate(count * seconds for count, seconds in kept)]

    @property
    def total(self) -> float:
        """Seconds all items take together."""
        return self._sums[-1]

    def seconds(self, start: int, stop: int) -> float:
        """What the items from `start` up to `stop` take."""
        return self._until(stop) - self._until(start)

    def reach(self, start: int, seconds: float) -> int:
        """The first item that does not begin within `seconds` from the beginning of item `start`.

        That is at least the one behind `start`, and the end of the terrain at most.
        """
        wanted = self._until(start) + seconds
        at = bisect_right(self._sums, wanted) - 1
        if at >= len(self._costs):
            return self._firsts[-1]
        # a hair less than a whole number is that number: times are sums of floats
        inside = ceil((wanted - self._sums[at]) / self._costs[at] - 1e-6)
        return max(start + 1, self._firsts[at] + inside)

    def first_longer(self, start: int, stop: int, seconds: float) -> int | None:
        """The first item of a range that takes longer than `seconds`."""
        at = bisect_right(self._firsts, start) - 1
        while at < len(self._costs) and self._firsts[at] < stop:
            if self._costs[at] > seconds:
                return max(start, self._firsts[at])
            at += 1
        return None

    def _until(self, index: int) -> float:
        at = min(bisect_right(self._firsts, index) - 1, len(self._costs) - 1)
        return self._sums[at] + (index - self._firsts[at]) * self._costs[at] if at >= 0 else 0.0


def terrain_with_block(items: int, seconds: float, *, slow: float, share: float) -> Terrain:
    """Items of `seconds`; a block in the middle, that part of them, takes `slow` times as long."""
    block = int(items * share) if slow > 1 else 0
    before = (items - block) // 2
    return Terrain([(before, seconds), (block, seconds * slow), (items - block - before, seconds)])
