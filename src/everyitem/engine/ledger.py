"""The ledger: one byte per item, and the only place where items are counted."""

from collections.abc import Sequence
from enum import IntEnum


class Mark(IntEnum):
    """Where an item stands. The first three are what is durable; the others exist while a run lives."""

    OPEN = 0
    SUCCEEDED = 1
    FAILED = 2
    #: Some holder may be working on it now.
    LEASED = 3
    #: It failed and waits for its retry.
    WAITING = 4
    #: Its call may have happened and its outcome is unknown: only a person moves it on (at-most-once).
    IN_DOUBT = 5
    #: Its call has returned, and its outcome will come as an event; nobody works on it.
    DEFERRED = 6


_LEASED, _SUCCEEDED = bytes((Mark.LEASED,)), bytes((Mark.SUCCEEDED,))


class Ledger:
    """Marks of all items with running counts; `items == succeeded + failed + open` at any moment."""

    def __init__(self, recorded: bytearray) -> None:
        """`recorded` holds OPEN, SUCCEEDED or FAILED per item and is taken over, not copied."""
        self._marks = recorded
        self.items = len(recorded)
        self.succeeded = recorded.count(Mark.SUCCEEDED)
        self.failed = recorded.count(Mark.FAILED)
        #: Open items whose fate is unknown.
        self.in_doubt = 0
        #: Open items whose outcome will come as an event.
        self.deferred = 0

    @property
    def open(self) -> int:
        """Items without an outcome, whatever is being done about them."""
        return self.items - self.succeeded - self.failed

    def mark(self, index: int) -> int:
        """The mark of one item."""
        return self._marks[index]

    def lease(self, start: int, stop: int) -> None:
        """Mark a range of open items as leased."""
        self._expect(Mark.OPEN, start, stop)
        self._marks[start:stop] = bytes((Mark.LEASED,)) * (stop - start)

    def lease_one(self, index: int) -> None:
        """Mark one waiting item as leased."""
        if self._marks[index] != Mark.WAITING:
            self._expect(Mark.WAITING, index, index + 1)
        self._marks[index] = Mark.LEASED

    def succeed(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Record the success of leased items, given as (first, count).

        The recorded-once guard: False, and nothing recorded, unless every one still awaits its outcome.
        """
        marks, leased = self._marks, Mark.LEASED.value
        for done, (first, count) in enumerate(ranges):
            if marks.count(leased, first, first + count) != count:
                for earlier, length in ranges[:done]:
                    marks[earlier : earlier + length] = _LEASED * length
                return False
            marks[first : first + count] = _SUCCEEDED * count
        self.succeeded += sum([count for _, count in ranges])
        return True

    def fail(self, index: int) -> None:
        """Record the final failure of a leased item."""
        self._expect(Mark.LEASED, index, index + 1)
        self._marks[index] = Mark.FAILED
        self.failed += 1

    def doubt(self, index: int) -> None:
        """A leased item (or an open one when a run begins) may have been called, with unknown outcome."""
        self._leave_open_or_leased(index, Mark.IN_DOUBT)
        self.in_doubt += 1

    def defer(self, index: int) -> None:
        """A leased item (or an open one when a run begins) awaits the event that completes it."""
        self._leave_open_or_leased(index, Mark.DEFERRED)
        self.deferred += 1

    def end_deferral(self, index: int) -> None:
        """The event has come, or its time is over: the item awaits its outcome like any leased one."""
        self._expect(Mark.DEFERRED, index, index + 1)
        self._marks[index] = Mark.LEASED
        self.deferred -= 1

    def settle(self, index: int, mark: Mark) -> None:
        """Somebody decided about an item in doubt: SUCCEEDED, FAILED, or WAITING for another attempt."""
        self._expect(Mark.IN_DOUBT, index, index + 1)
        self._marks[index] = mark
        self.in_doubt -= 1
        self.succeeded += mark is Mark.SUCCEEDED
        self.failed += mark is Mark.FAILED

    def wait(self, index: int) -> None:
        """An item awaits a retry (a leased one that failed, or an open one when a run begins)."""
        self._marks[index] = Mark.WAITING

    def reopen(self, index: int) -> None:
        """A leased item is open again and nobody's."""
        self._expect(Mark.LEASED, index, index + 1)
        self._marks[index] = Mark.OPEN

    def reopen_leased(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Make what is still leased in a range open again; returns it as (start, stop) ranges."""
        ranges = self.runs(Mark.LEASED, start, stop)
        for first, last in ranges:
            self._marks[first:last] = bytes(last - first)
        return ranges

    def runs(self, mark: Mark, start: int = 0, stop: int | None = None) -> list[tuple[int, int]]:
        """The maximal ranges of one mark as (start, stop), found at the speed of a byte search."""
        stop = self.items if stop is None else stop
        ranges = []
        first = self._marks.find(mark, start, stop)
        while first >= 0:
            last = _first_other(self._marks, mark, first, stop)
            ranges.append((first, last))
            first = self._marks.find(mark, last, stop)
        return ranges

    def _leave_open_or_leased(self, index: int, mark: Mark) -> None:
        if self._marks[index] != Mark.OPEN:
            self._expect(Mark.LEASED, index, index + 1)
        self._marks[index] = mark

    def _expect(self, mark: Mark, start: int, stop: int) -> None:
        if self._marks.count(mark, start, stop) != stop - start:
            story = [(index, Mark(self._marks[index]).name) for index in range(start, min(stop, start + 5))]
            raise AssertionError(f"items {start} to {stop - 1} should be {mark.name}, but: {story}")


def _first_other(marks: bytearray, mark: int, start: int, stop: int) -> int:
    """The first position from `start` on whose byte is not `mark` (galloping, then bisecting)."""
    step = 1
    low = start
    while low < stop:
        high = min(low + step, stop)
        if marks.count(mark, low, high) == high - low:
            low = high
            step *= 2
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if marks.count(mark, low, middle) == middle - low:
                low = middle
            else:
                high = middle
        return low
    return stop
