"""Who comes first, where scores change with every message and the question is asked now and then.

A heap that is put in order when it is asked, and only for those whose score may have changed since: so
a change costs next to nothing, and an answer costs the logarithm of how many there are for each change.
"""

import heapq
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

#: Entries that are out of date may be as many as those that are not, and these more, until they are swept up.
_SPARE = 64


class Ranking:
    """Names in descending order of their scores; of equals, who has been here for longest comes first."""

    def __init__(self, score: Callable[[str], float | None]) -> None:
        """`score` tells the score of a name as it is now; None: it is not to be chosen."""
        self._score = score
        self._numbers: dict[str, int] = {}
        self._number = 0
        self._touched: dict[str, None] = {}
        self._heap: list[tuple[float, int, str]] = []
        #: The entry of each name that counts; others in the heap are out of date.
        self._current: dict[str, tuple[float, int, str]] = {}

    def __len__(self) -> int:
        """How many names are here, with a score or without."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        """All names, those that have been here for longest first."""
        return iter(self._numbers)

    def touch(self, name: str) -> None:
        """Its score may have changed; a name that is new begins to count."""
        if name not in self._numbers:
            self._number += 1
            self._numbers[name] = self._number
        self._touched[name] = None

    def forget(self, name: str) -> None:
        """It does not count any more."""
        self._numbers.pop(name, None)
        self._touched.pop(name, None)
        self._current.pop(name, None)

    def walk(self) -> Generator[str]:
        """The names, best first, as long as somebody asks; what changes meanwhile counts the next time."""
        self._put_in_order()
        passed = []
        try:
            while self._heap:
                entry = heapq.heappop(self._heap)
                if self._current.get(entry[2]) is entry:
                    passed.append(entry)
                    yield entry[2]
        finally:
            for entry in passed:
                if self._current.get(entry[2]) is entry:
                    heapq.heappush(self._heap, entry)

    def best(self, but: Callable[[str], bool] | None = None) -> str | None:
        """Who comes first, `but` for those; None where nobody is to be chosen."""
        with closing(self.walk()) as names:
            return next((name for name in names if but is None or not but(name)), None)

    def _put_in_order(self) -> None:
        current = self._current
        for name in self._touched:
            score, known = self._score(name), current.get(name)
            if score is None:
                current.pop(name, None)
            elif known is None or known[0] != -score:
                entry = current[name] = (-score, self._numbers[name], name)
                heapq.heappush(self._heap, entry)
        self._touched.clear()
        if len(self._heap) > 2 * len(current) + _SPARE:
            self._heap = list(current.values())
            heapq.heapify(self._heap)
