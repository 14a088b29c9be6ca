"""What the disk must know of deferrals, and when they are over there.

Pure. A deferral is saved as soon as can be: until then its event finds nothing to complete. One that has led
to an outcome goes with the segment that holds it, in the same transaction; one that has led to a retry goes
with that.
"""

from collections.abc import Iterable

from everyitem.ports.checkpoint import SegmentDraft
from everyitem.ports.deferral import DeferralChange


class DeferralRecord:
    """Changes of deferrals since the last save, and those the store holds."""

    def __init__(self, stored: Iterable[tuple[int, int]] = ()) -> None:
        """`stored` are the deferrals on disk, as (index, attempt)."""
        self._stored = dict(stored)
        self._changes: dict[int, DeferralChange] = {}

    @property
    def is_due(self) -> bool:
        """Whether a save is wanted for them."""
        return bool(self._changes)

    @property
    def stored(self) -> int:
        """How many the store holds, or will with the next save."""
        return len(self._stored)

    def begin(self, change: DeferralChange) -> None:
        """An item is deferred."""
        self._changes[change.index] = change

    def end(self, index: int) -> None:
        """The deferral has led to something that is saved without an outcome: a retry, or a doubt."""
        attempt = self._stored.pop(index, None)
        if attempt is None:
            # it never came to the disk
            self._changes.pop(index, None)
        else:
            self._changes[index] = DeferralChange(index, attempt, None)

    def take(self, segments: Iterable[SegmentDraft]) -> list[DeferralChange]:
        """What the save that holds these segments must change."""
        changes, self._changes = list(self._changes.values()), {}
        if self._stored:
            for segment in segments:
                over = [failure.index for failure in segment.failures if failure.final]
                for run in segment.successes:
                    over += self._stored.keys() & run.indices()
                for index in over:
                    attempt = self._stored.pop(index, None)
                    if attempt is not None:
                        changes.append(DeferralChange(index, attempt, None))
        self._stored.update((change.index, change.attempt) for change in changes if change.due is not None)
        return changes
