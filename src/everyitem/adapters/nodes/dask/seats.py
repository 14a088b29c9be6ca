"""The holders of a Dask node as the engine knows them: who joined, who is there, who was lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from everyitem.adapters.nodes.dask.flights import Flight
from everyitem.adapters.nodes.slots import holder_name
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import HolderJoined, HolderLost, Post, WorkerView


@dataclass(eq=False, slots=True)
class _Seat:
    """One slot, and how many holders have sat in it."""

    number: int
    generation: int = 0
    #: The holder that is there now; empty while there is none.
    holder: str = ""
    #: Items that got their outcome here.
    done: int = 0


class Seats:
    """A seat for each slot. `views` may be called from any thread."""

    def __init__(self, node_id: str, slots: int, *, post: Post, clock: Callable[[], float]) -> None:
        self._node_id, self._post, self._clock = node_id, post, clock
        self._seats = [_Seat(number) for number in range(slots)]

    def __contains__(self, holder: str) -> bool:
        return any(seat.holder == holder for seat in self._seats)

    def add(self, slots: int) -> None:
        """Have so many seats, if there are fewer."""
        self._seats += [_Seat(number) for number in range(len(self._seats), slots)]

    def fill(self, *, round_trip: float) -> None:
        """Announce a holder for every seat that has none; `round_trip` are seconds to a worker and back."""
        for seat in self._seats:
            if not seat.holder:
                seat.generation += 1
                seat.holder = holder_name(self._node_id, seat.number, seat.generation)
                self._post(
                    HolderJoined(self._clock(), seat.holder, self._node_id, slots=1, round_trip=round_trip)
                )

    def count(self, holder: str, done: int) -> None:
        """So many items more got their outcome from this holder."""
        self._seat_of(holder).done += done

    def lose(
        self,
        holder: str,
        reason: str,
        block: OutcomeBlock | None = None,
        *,
        replaced: bool,
        **known: Any,
    ) -> None:
        """The holder is no more; `known` is what `HolderLost` can say of it."""
        self._seat_of(holder).holder = ""
        self._post(
            HolderLost(self._clock(), holder, block or OutcomeBlock(), reason, replaced=replaced, **known)
        )

    def lose_all(self, reason: str) -> None:
        """There are no holders any more, nor will there be."""
        for seat in self._seats:
            if seat.holder:
                self.lose(seat.holder, reason, replaced=False)

    def views(self, flights: Mapping[str, Flight]) -> list[WorkerView]:
        """What each holder does now, as last seen; `flights` by holder."""
        views = []
        for seat in self._seats:
            holder, flight = seat.holder, flights.get(seat.holder)
            index, since = (None, 0.0) if flight is None else (flight.index, flight.since)
            done = seat.done + (0 if flight is None else len(flight.answered))
            if holder:
                views.append(WorkerView(holder, index, since, done))
        return views

    def _seat_of(self, holder: str) -> _Seat:
        return next(seat for seat in self._seats if seat.holder == holder)
