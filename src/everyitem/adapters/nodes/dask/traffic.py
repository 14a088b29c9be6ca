"""All slices under way, and what the engine is told when one of them is over."""

from collections.abc import Callable, Iterator
from typing import Any

from everyitem.adapters.nodes.dask.bisection import Bisection
from everyitem.adapters.nodes.dask.flights import Flight
from everyitem.adapters.nodes.dask.seats import Seats
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import Lease, Post, SliceFinished, WorkerView


class Traffic:
    """One flight for each holder at most. `views` may be called from any thread."""

    def __init__(
        self,
        seats: Seats,
        *,
        post: Post,
        clock: Callable[[], float],
        drop: Callable[[Any], None],
        replaces: Callable[[], bool],
    ) -> None:
        """`drop` forgets a task of Dask's; `replaces` says whether who is lost gets a successor."""
        self._seats, self._post, self._clock = seats, post, clock
        self._drop, self._replaces = drop, replaces
        self._flights: dict[str, Flight] = {}
        self._bisection = Bisection()

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        """As they are now: one may end while they are looked through."""
        return iter(list(self._flights.values()))

    def get(self, holder: str) -> Flight | None:
        """The flight of a holder."""
        return self._flights.get(holder)

    def numbered(self, lease_id: int) -> Flight | None:
        """The flight that carries a lease."""
        return next((one for one in self._flights.values() if one.lease.lease_id == lease_id), None)

    def begin(self, holder: str, lease: Lease, at: float) -> Flight:
        """A holder got a lease; of one whose items were lost before, only a part is sent."""
        flight = Flight(holder, lease, self._bisection.length(lease.indices), at)
        self._flights[holder] = flight
        return flight

    def finish(self, flight: Flight, block: OutcomeBlock) -> None:
        """The slice has come to its end, with these outcomes."""
        self._bisection.done(list(flight.answered))
        self._finish(flight, block)

    def give_back(self, flight: Flight) -> None:
        """Nothing of what has no outcome was begun."""
        self._finish(flight, OutcomeBlock())

    def leave(self, flight: Flight, reason: str, block: OutcomeBlock, **known: Any) -> None:
        """The holder of this flight is no more; `known` is what `HolderLost` can say of it."""
        self._end(flight)
        self._seats.lose(flight.holder, reason, block, replaced=self._replaces(), **known)

    def lose(self, flight: Flight, reason: str, *, blame: bool = False) -> None:
        """The worker or the way to it is gone; with `blame` one of the items may have been at fault."""
        unanswered = flight.unanswered
        failures = self._bisection.lost(unanswered, flight.lease.attempt) if blame and unanswered else []
        begun = tuple(unanswered) if flight.tries else ()
        self.leave(flight, reason, OutcomeBlock([], failures), begun=begun)

    def views(self) -> list[WorkerView]:
        """What each holder does now, as last seen."""
        return self._seats.views(self._flights)

    def _finish(self, flight: Flight, block: OutcomeBlock) -> None:
        self._end(flight)
        self._post(SliceFinished(self._clock(), flight.holder, flight.lease.lease_id, block))

    def _end(self, flight: Flight) -> None:
        del self._flights[flight.holder]
        self._seats.count(flight.holder, len(flight.answered))
        future, flight.future = flight.future, None
        if future is not None:
            self._drop(future)
