"""Batches whose process crashed: how often in a row, and when the next start may be.

Pure: it is told the time (monotonic seconds).
"""

from everyitem.faces.supervision.supervisor import FIRST_WAIT, LONGEST_WAIT, MOST_CRASHES


class Crashes:
    """Crashes in a row without a checkpoint, by execution."""

    def __init__(self) -> None:
        self._in_a_row: dict[int, int] = {}
        self._not_before: dict[int, float] = {}

    def count(self, key: int, at: float) -> tuple[int, float | None]:
        """One more; how many that makes, and seconds to the next start, None when it is enough."""
        self._in_a_row[key] = crashes = self._in_a_row.get(key, 0) + 1
        if crashes >= MOST_CRASHES:
            return crashes, None
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (crashes - 1))
        self.rest(key, at + wait)
        return crashes, wait

    def rest(self, key: int, until: float) -> None:
        """It is not to be started before."""
        self._not_before[key] = until

    def has_rested(self, key: int, at: float) -> bool:
        """Whether it may be started."""
        return self._not_before.get(key, 0.0) <= at

    def progressed(self, key: int) -> None:
        """It got to a checkpoint: whatever ends it next is another matter."""
        self._in_a_row.pop(key, None)

    def forget(self, key: int) -> None:
        """It came to its end."""
        self._in_a_row.pop(key, None)
        self._not_before.pop(key, None)
