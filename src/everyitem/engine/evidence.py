"""What attempts say for and against an outage. Pure; the breaker (`breaker.py`) judges by it.

`Evidence` is the latest few first attempts, `Shares` what there was of each kind among a thousand or so, and
`Alibis` the items that were excused: an outage is over for all of them, bad items stay bad beside good ones.
"""

from collections import Counter, deque
from typing import Final

#: What a success is told as, beside the causes of failures.
WELL: Final = "well"
#: Of so many the shares are known; of twice as many each counts half.
MEMORY: Final = 1_000
#: So often what was excused must have failed again while others succeeded, over so many seconds.
CONTRADICTIONS: Final = 3
CONTRADICTED_FOR: Final = 1_800.0


class Shares:
    """Which part of the latest ones was what."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.total = 0

    def add(self, what: str, count: int = 1) -> None:
        """So many more."""
        self._counts[what] = self._counts.get(what, 0) + count
        self.total += count
        while self.total > 2 * MEMORY:
            self._counts = {one: number // 2 for one, number in self._counts.items() if number > 1}
            self.total = sum(self._counts.values())

    def count(self, what: str) -> int:
        """How many of them were that."""
        return self._counts.get(what, 0)

    def of(self, what: str) -> float:
        """Their part of all; 0 of none."""
        return self.count(what) / self.total if self.total else 0.0


class Evidence:
    """The latest `needed` first attempts, and how many of them say what; those before them are `before`."""

    def __init__(self, needed: int, before: Shares) -> None:
        self.needed = needed
        self.before = before
        #: (when, cause or empty, index, type of the error, how many), the latest last. Of successes and of
        #: failures that speak against an outage the cause is empty; of successes the type, too.
        self._runs: deque[tuple[float, str, int, str, int]] = deque()
        self._size = 0
        self._alike: dict[str, int] = {}

    def add(self, at: float, cause: str, index: int = -1, type_: str = "", *, count: int = 1) -> None:
        """One more; of successes any number."""
        if count >= self.needed:
            self._forget_all()
            self.before.add(WELL, count - self.needed)
            count = self.needed
        self._runs.append((at, cause, index, type_, count))
        self._alike[cause] = self._alike.get(cause, 0) + count
        self._size += count
        if self._size > self.needed:
            self._forget(self._size - self.needed)

    def share(self, cause: str, *, since: float) -> float:
        """The part of them with this cause; 0 while there are not as many as needed, from `since` on."""
        if self._size < self.needed or self._runs[0][0] < since:
            return 0.0
        return self._alike.get(cause, 0) / self.needed

    def items(self, cause: str) -> list[int]:
        """The items that failed by it."""
        return [index for _, one, index, _, _ in self._runs if one == cause]

    def types(self, cause: str) -> list[str]:
        """The types of their errors, the most frequent first."""
        found = Counter(type_ for _, one, _, type_, _ in self._runs if one == cause)
        return [type_ for type_, _ in found.most_common()]

    def need(self, needed: int) -> None:
        """So many count from now on."""
        self.needed = needed
        if self._size > needed:
            self._forget(self._size - needed)

    def _forget_all(self) -> None:
        """As `_forget`, the way it mostly goes: items that succeed come in by hundreds."""
        for _, cause, _, type_, count in self._runs:
            self.before.add(cause if type_ else WELL, count)
        self._runs.clear()
        self._alike.clear()
        self._size = 0

    def _forget(self, count: int) -> None:
        """Let go of the oldest."""
        runs = self._runs
        self._size -= count
        while count:
            at, cause, index, type_, length = runs.popleft()
            gone = min(count, length)
            if gone < length:
                runs.appendleft((at, cause, index, type_, length - gone))
            count -= gone
            self.before.add(cause if type_ else WELL, gone)
            self._alike[cause] -= gone
            if not self._alike[cause]:
                del self._alike[cause]


class Alibis:
    """The items that were excused by an outage, held against those that succeed meanwhile."""

    def __init__(self) -> None:
        self._excused: set[int] = set()
        self._has_witness = False
        self._contradictions = 0
        self._since = 0.0

    def excuse(self, index: int) -> None:
        """An item has failed, and it is said to be none of its fault."""
        self._excused.add(index)

    def succeeded(self, index: int) -> None:
        """An item has succeeded: others could have as well. One that was excused was so rightly."""
        self._has_witness = True
        if index in self._excused:
            self._excused.discard(index)
            self._contradictions = 0

    def are_false(self, index: int, at: float) -> bool:
        """An item fails once more: whether that, after all the others, is too often to be an outage.

        One that was excused fails again although another has succeeded since: that is one contradiction.
        """
        if self._has_witness and index in self._excused:
            self._has_witness = False
            self._since = self._since if self._contradictions else at
            self._contradictions += 1
        return self._contradictions >= CONTRADICTIONS and at - self._since >= CONTRADICTED_FOR

    def withdraw(self) -> int:
        """They were none; returns how many items had one."""
        count = len(self._excused)
        self._excused.clear()
        self._has_witness = False
        self._contradictions = 0
        return count
