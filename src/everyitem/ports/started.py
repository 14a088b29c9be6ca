"""The started-items file: which items are in flight in the coordinator's own process, told past its death.

A worker process that dies leaves its coordinator to say what it was on. Nobody is left to do that for items
on thread and async nodes: they run inside the coordinator and take it along. So what they have started is
noted where it outlives the process. The next run treats those items as suspects: they run by themselves,
and one is quarantined when the coordinator has died `DEATHS` times in a row while it ran there alone. Who
runs alone and is survived is no suspect any more, whether or not its outcome was recorded in time.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

#: Deaths of the coordinator while an item ran alone in it, after which the item is quarantined.
DEATHS: Final = 3


class Suspect(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An item that was in flight when a coordinator died, and has no outcome since."""

    index: int
    #: How often the coordinator died while this item ran alone in it.
    deaths: int = 0

    @property
    def is_convicted(self) -> bool:
        """Whether it is quarantined instead of being run again."""
        return self.deaths >= DEATHS


class Suspicion(msgspec.Struct, frozen=True):
    """Whom a run has to suspect because of the runs before it."""

    suspects: Sequence[Suspect] = ()
    #: How many of them may run at the same time, with nothing else beside them.
    together: int = 1


class StartedCells(Protocol):
    """Where one node notes what its workers have started. One caller at a time."""

    def begin(self, worker: object, indices: Sequence[int]) -> None:
        """The worker is about to start these items, in place of what it had before."""
        ...

    def narrow(self, worker: object, indices: Sequence[int]) -> None:
        """Of what the worker has started only these items are left."""
        ...

    def end(self, worker: object) -> None:
        """The worker runs nothing now."""
        ...


class StartedItems(Protocol):
    """The started-items file of one run. It never fails a run: what cannot be noted is a warning."""

    def begin(self, token: int, is_open: Callable[[int], bool]) -> Suspicion:
        """Take over what the run before left, and start noting under this ownership token.

        `is_open(index)` says whether an item has no outcome, whenever it is asked.
        """
        ...

    def excuse(self) -> None:
        """The run is ending on purpose: whatever kills the process from now on, no item is suspected."""
        ...

    def end(self) -> None:
        """The run has ended in good order: keep nothing but suspects that still have no outcome."""
        ...


class NothingStarted:
    """`StartedItems` of a run that has nothing to note and no run before it to hear of."""

    def begin(self, token: int, is_open: Callable[[int], bool]) -> Suspicion:
        return Suspicion()

    def excuse(self) -> None:
        """Nothing is noted."""

    def end(self) -> None:
        """Nothing is noted."""
