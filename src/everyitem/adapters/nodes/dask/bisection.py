"""Which item makes whole Dask workers disappear: found by halving, since nobody is left to say.

Pure. An item that kills its own process is known at once and charged; what is meant here takes the Dask
worker along (a machine or a container out of memory). A lost slice says only that one of its unfinished
items may have been at fault, and most often none was. So its items are given back uncharged, and each
time they are lost together they run again in slices half as large. Who is lost alone too often is charged.
"""

from collections.abc import Sequence
from typing import Final

from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure

#: Losses all alone after which each one costs the item an attempt: machines do disappear by themselves.
FORGIVEN: Final = 2


class Bisection:
    """Remembers what was lost and says how much of a lease to run at a time."""

    def __init__(self) -> None:
        #: By index: most items that may run in one slice with it.
        self._together: dict[int, int] = {}
        self._alone: dict[int, int] = {}

    def length(self, indices: Sequence[int]) -> int:
        """How many items of a lease to run, from its first one on."""
        if not self._together:
            return len(indices)
        begins_suspect = indices[0] in self._together
        length = len(indices)
        for position, index in enumerate(indices):
            if position >= length:
                break
            together = self._together.get(index)
            if (together is not None) is not begins_suspect:
                # suspects and those nobody suspects do not run together
                return position
            length = min(length, together or length)
        return length

    def lost(self, indices: Sequence[int], attempt: int) -> list[Failure]:
        """Items were begun, or may have been, when their worker disappeared; returns who is charged."""
        half = max(1, len(indices) // 2)
        for index in indices:
            self._together[index] = min(half, self._together.get(index, half))
        if len(indices) != 1:
            return []
        [index] = indices
        self._alone[index] = self._alone.get(index, 0) + 1
        if self._alone[index] <= FORGIVEN:
            return []
        return [
            Failure(
                index,
                attempt,
                ErrorCode.SYSTEM_ERROR,
                "WorkerDied",
                f"the Dask worker was lost {self._alone[index]} times while it ran this item alone",
                alone=True,
            )
        ]

    def done(self, indices: Sequence[int]) -> None:
        """These items have come to their end: they are no suspects any more."""
        if self._together:
            for index in indices:
                self._together.pop(index, None)
                self._alone.pop(index, None)
