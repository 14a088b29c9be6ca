"""Looking at what runs: how far workers are, who of them is silent, and what Dask does not begin."""

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from everyitem.adapters.nodes.dask.cluster_view import ClusterView, Place
from everyitem.adapters.nodes.dask.flights import Flight
from everyitem.adapters.nodes.dask.frames import Ask, Glimpse
from everyitem.adapters.nodes.dask.link import Link
from everyitem.adapters.nodes.dask.patience import Patience
from everyitem.adapters.nodes.dask.traffic import Traffic
from everyitem.ports.node import ItemRunsLong, OutcomesArrived, Post, SliceShortened

logger = logging.getLogger(__name__)

#: Seconds, and round trips, between two questions about the slices of a worker: each costs the scheduler one.
_LOOK: Final = 0.1
_LOOK_ROUND_TRIPS: Final = 5
#: Seconds, and round trips, an item may run before `ItemRunsLong`: less is not worth the way back.
_LONG: Final = 0.1
_LONG_ROUND_TRIPS: Final = 10
#: Seconds after which a station is asked though nothing runs there, so that it knows of us.
_KEEP_ALIVE: Final = 10.0
#: Seconds a slice that Dask has not begun stays with it once it is wanted back.
_UNBEGUN: Final = 0.5


class Home(Protocol):
    """What the lookout has the node do."""

    def lose(self, flight: Flight, reason: str) -> None: ...

    def reopen(self, link: Link, worker: str) -> None: ...

    def do(self, work: Coroutine[Any, Any, None]) -> object: ...


class Lookout:
    """Asks the stations of busy workers, and hands on what they say."""

    def __init__(
        self,
        home: Home,
        traffic: Traffic,
        *,
        node_id: str,
        run_id: str,
        at_most_once: bool,
        patience: Patience,
        post: Post,
        clock: Callable[[], float],
    ) -> None:
        self._home, self._traffic = home, traffic
        self._node_id, self._run_id, self._at_most_once = node_id, run_id, at_most_once
        self._patience, self._post, self._clock = patience, post, clock
        #: Seconds to a worker and back; 0 before it was measured.
        self.round_trip = 0.0

    def look(self, link: Link, cluster: ClusterView, now: float) -> None:
        """Ask who has begun something; give up who is silent, and what is not begun."""
        pause = max(_LOOK, _LOOK_ROUND_TRIPS * self.round_trip)
        busy = {flight.worker for flight in self._traffic if flight.has_begun}
        for place in list(cluster.places.values()):
            silent = now - place.heard_at
            due = silent > (pause if place.address in busy else _KEEP_ALIVE)
            if place.station and due and not place.is_asked:
                self._home.do(self.ask(link, cluster, place.address))
            if place.address in busy and now - place.heard_at > self._patience.silence:
                self._freeze(place)
        for flight in self._traffic:
            if not flight.has_begun:
                self._look_at_waiting(link, cluster, flight, now, busy)

    def _look_at_waiting(
        self, link: Link, cluster: ClusterView, flight: Flight, now: float, busy: set[str]
    ) -> None:
        waits = now - flight.submitted_at
        is_stuck = waits > self._patience.idle and any(place.address not in busy for place in cluster.fit)
        if self._at_most_once:
            # only its station knows whether it has begun; one that never answers is given up as silent
            if is_stuck and not flight.revoked:
                flight.revoked = True
                self._home.do(self.ask(link, cluster, flight.worker))
        elif is_stuck or (flight.revoked and waits > _UNBEGUN):
            self._traffic.give_back(flight)

    def _freeze(self, place: Place) -> None:
        """A worker gives no sign of life: what it had begun goes elsewhere, and nothing new goes there."""
        place.is_frozen = True
        logger.warning("node %s: Dask worker %s does not answer", self._node_id, place.address)
        for flight in self._traffic:
            if flight.worker == place.address and flight.has_begun:
                self._home.lose(flight, f"the Dask worker {place.address} did not answer")

    async def ask(self, link: Link, cluster: ClusterView, worker: str) -> None:
        """Ask a worker's station how far it is, and tell it what is wanted back."""
        place = cluster.places.get(worker)
        if place is None:
            return
        flights = [flight for flight in self._traffic if flight.worker == worker]
        ask = Ask(
            self._run_id,
            leases=[(flight.lease.lease_id, flight.blocks) for flight in flights if flight.has_begun],
            revoked=[flight.lease.lease_id for flight in flights if flight.revoked and not flight.shortened],
        )
        place.is_asked = True
        try:
            answer = await link.ask(worker, ask)
        finally:
            place.is_asked = False
        if answer is None:
            return
        place.heard_at, place.is_frozen = time.monotonic(), False
        if not answer.is_open:
            place.station = ""  # it thought us dead
            self._home.reopen(link, worker)
        for glimpse in answer.glimpses:
            flight = self._traffic.numbered(glimpse.lease_id)
            if flight is not None and flight.worker == worker:
                self._take_glimpse(flight, glimpse)

    def _take_glimpse(self, flight: Flight, glimpse: Glimpse) -> None:
        """Hand on what has become known of a running slice."""
        at, lease_id = self._clock(), flight.lease.lease_id
        block = flight.take(glimpse.first, glimpse.blocks)
        if block or block.logs:
            self._post(OutcomesArrived(at, flight.holder, lease_id, block))
        if glimpse.kept is not None and not flight.shortened:
            flight.shortened = True
            self._post(SliceShortened(at, flight.holder, lease_id, glimpse.kept))
        if glimpse.age > max(_LONG, _LONG_ROUND_TRIPS * self.round_trip) and not flight.said_long:
            flight.said_long = True
            self._post(ItemRunsLong(at, flight.holder, lease_id))
        flight.index, flight.since = glimpse.index, time.monotonic() - glimpse.age
