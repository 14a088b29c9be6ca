"""A Dask node's decisions: what happens when, in one event loop that owns all slices.

    lease ──▶ task ──begun──▶ looked at ──report──▶ SliceFinished
                │               │   └── item process died ──▶ HolderLost, and a successor
                │               └── worker gone or silent ──▶ HolderLost, and a successor
                └── not begun for too long ──▶ given back

Dask places the tasks, moves those that wait, and may run one twice. The node takes the first report of the
lease in force and drops every other one; a slice whose worker died is over for it, whatever Dask does then.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from everyitem.adapters.nodes.dask.bisection import Bisection
from everyitem.adapters.nodes.dask.cluster_view import ClusterView, Place
from everyitem.adapters.nodes.dask.flights import Flight
from everyitem.adapters.nodes.dask.frames import Ask, Glimpse, Opening, Report, Task, encode
from everyitem.adapters.nodes.dask.link import Link, LinkLost, Lost, NoCluster
from everyitem.adapters.nodes.dask.seats import Seats
from everyitem.model.errors import ErrorCode, StoreError
from everyitem.model.items import Items
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import (
    ItemRunsLong,
    Lease,
    NodeFailed,
    OutcomesArrived,
    Post,
    SliceFinished,
    SliceShortened,
    WorkerView,
)
from everyitem.work.failures import in_short
from everyitem.work.outcomes import ranges_of
from everyitem.work.stretch import MAX_ITEMS
from everyitem.work.wire import RunSlice

logger = logging.getLogger(__name__)

#: Seconds between two turns of the loop, and between two looks at who belongs to the cluster.
_TURN: Final = 0.05
_CENSUS: Final = 1.0
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
#: Seconds the last outcomes have to arrive after an interruption.
_GRACE: Final = 2.0

#: Connects to the scheduler: (on_begun, on_gone) -> link.
Connect = Callable[[Callable[[str, int, str], None], Callable[[str], None]], Awaitable[Link]]


class Patience:
    """How long a Dask node waits, in seconds."""

    #: For a scheduler out of reach, and for a worker that can run the batch, before the node counts as lost.
    cluster: float = 30.0
    #: The same for the first worker of a cluster that is started for the batch.
    start: float = 30.0
    #: For a sign of life from a worker that has begun a slice.
    silence: float = 15.0
    #: For Dask to begin a slice while workers have nothing to do.
    idle: float = 30.0


class Dispatch:
    """Keeps `slots` leases going through Dask and carries messages between it and the engine.

    `views` may be used from any thread, everything else runs in the event loop of `run`.
    """

    def __init__(
        self,
        *,
        node_id: str,
        slots: int,
        opening: Opening,
        items: Items,
        connect: Connect,
        post: Post,
        clock: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._node_id, self._items, self._post, self._clock = node_id, items, post, clock
        self._opening, self._packed = opening, encode(opening)
        self._at_most_once = opening.assignment.at_most_once
        self._connect, self._patience = connect, patience
        self._seats = Seats(node_id, slots, post=post, clock=clock)
        self._flights: dict[str, Flight] = {}
        self._bisection = Bisection()
        self._cluster = ClusterView()
        self._link: Link | None = None
        self._connecting: asyncio.Future[Link] | None = None
        self._round_trip = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._is_ending = self._is_closing = False
        #: Reports and outcomes that came for a slice that was over already.
        self.dropped = 0

    # -- the life of the node --------------------------------------------------------------------------

    async def run(self) -> None:
        """From the first connection to the closing of all stations."""
        reason = ""
        try:
            while not self._is_ending:
                await self._find_cluster()
                await self._serve()
                if not self._is_ending:
                    logger.warning("node %s: the connection to the Dask scheduler was lost", self._node_id)
                    self._lose_all("the connection to the Dask scheduler was lost")
                    await self._hang_up()
        except _Hopeless as hopeless:
            reason = str(hopeless)
        except Exception as error:  # a fault of ours must end the batch, not hang it
            logger.exception("the Dask node %s broke", self._node_id)
            reason = f"the node broke: {in_short(error)}"
        if reason:
            self._fail(reason)
        await self._wait_for_the_end()

    async def _wait_for_the_end(self) -> None:
        """After it has failed or was interrupted the node only waits to be closed."""
        while not self._is_closing:
            await self._rest(None)
        await self._close_stations()
        await self._hang_up()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _find_cluster(self) -> None:
        """Connect, and open stations; raises `_Hopeless` when patience is over."""
        until = time.monotonic() + self._patience.cluster
        while not self._is_ending:
            try:
                # a cluster may take long to start; whoever ends the node meanwhile does not wait for that
                self._connecting = asyncio.ensure_future(self._connect(self._begun, self._gone))
                self._link = await self._connecting
                await self._census(self._link, wait=True)
                return
            except asyncio.CancelledError:
                if not self._is_ending:
                    raise
            except NoCluster as failed:
                raise _Hopeless(str(failed)) from failed
            except LinkLost as lost:
                await self._hang_up()
                if time.monotonic() >= until:
                    raise _Hopeless(str(lost)) from lost
                await self._rest(0.5)

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        self._cluster = ClusterView()
        if link is not None:
            await link.close()

    async def _serve(self) -> None:
        """Look after the slices while the scheduler is there."""
        counted = capable = time.monotonic()
        while not self._is_ending and (link := self._link) is not None and link.is_up:
            now = time.monotonic()
            if now - counted >= _CENSUS:
                counted = now
                try:
                    await self._census(link)
                except LinkLost:
                    return
            if self._cluster.fit:
                capable = now
                # workers may come long after the connection: measured when the first one is there
                self._round_trip = self._round_trip or await link.round_trip(self._cluster.allowed)
                self._fill_seats()
            elif now - capable > self._patience_now or self._is_unfit():
                raise _Hopeless(
                    self._cluster.problems
                    or f"no Dask worker that answers has been there for {self._patience_now:g} s"
                )
            self._look(link, now)
            await self._rest(_TURN)

    @property
    def _patience_now(self) -> float:
        """The first worker may take longer to come than any that follows it."""
        return self._patience.cluster if self._round_trip else self._patience.start

    def _is_unfit(self) -> bool:
        """Workers are there, and every one of them has said why it cannot run the batch."""
        places = self._cluster.places.values()
        return bool(places) and all(place.problem for place in places)

    async def _rest(self, seconds: float | None) -> None:
        """Wait, or until something has changed that `run` must know."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        self._wake.clear()

    async def _census(self, link: Link, *, wait: bool = False) -> None:
        """See who belongs to the cluster now, and open stations where there are none.

        Each by itself: one that is frozen holds up no other. With `wait` until the first can run items.
        """
        new, gone = self._cluster.update(await link.workers(), time.monotonic())
        for address in gone:
            self._gone(address)
        opening = {self._do(self._open(link, [address])) for address in new}
        while wait and opening and not self._cluster.fit and not self._is_ending:
            _, opening = await asyncio.wait(opening, timeout=_CENSUS, return_when=asyncio.FIRST_COMPLETED)

    async def _open(self, link: Link, workers: list[str]) -> None:
        try:
            answers = await link.open(self._packed, workers)
        except LinkLost:
            return  # noticed by `run` too
        self._cluster.welcomed(answers, time.monotonic())
        self._wake.set()
        for address, welcome in answers.items():
            if welcome.problem:
                logger.warning("node %s: Dask worker %s: %s", self._node_id, address, welcome.problem)

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._did)
        return task

    def _did(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the Dask node %s broke", self._node_id, exc_info=error)
            self._fail(f"the node broke: {in_short(error)}")

    # -- what the engine asks --------------------------------------------------------------------------

    def run_slice(self, holder: str, lease: Lease) -> None:
        """Hand a lease on to Dask, unless its holder is gone."""
        if self._is_ending or holder not in self._seats:
            return
        flight = Flight(holder, lease, self._bisection.length(lease.indices), time.monotonic())
        self._flights[holder] = flight
        self._submit(flight)

    def _submit(self, flight: Flight, *, with_opening: bool = False) -> None:
        link = self._link
        if link is None:
            self._lose(flight, "the connection to the Dask scheduler was lost")
            return
        indices, lease = flight.indices, flight.lease
        cuts = range(0, len(indices), MAX_ITEMS)
        try:
            texts = [self._items.text(indices[cut : cut + MAX_ITEMS]) for cut in cuts]
        except StoreError as error:
            self._fail(f"the items cannot be read: {error}", ErrorCode.SYSTEM_ERROR)
            return
        slice_ = RunSlice(
            lease.lease_id, ranges_of(indices), lease.attempt, lease.budget, lease.until_failure, texts
        )
        station, workers = "", self._cluster.allowed
        if self._at_most_once:
            place = self._least_loaded()
            if place is None:
                self._give_back(flight)
                return
            flight.worker, station, workers = place.address, place.station, [place.address]
        flight.tries += 1
        flight.submitted_at = time.monotonic()
        task = Task(self._opening.run_id, slice_, self._packed if with_opening else b"", station)
        key = f"everyitem-{self._opening.run_id}-{lease.lease_id}-{flight.tries}"
        flight.future = link.submit(key, task, workers)
        self._do(self._await(link, flight, flight.future))

    def _least_loaded(self) -> Place | None:
        """At-most-once leaves nothing to Dask: the station that may run a slice is known beforehand."""
        load = {place.address: 0 for place in self._cluster.fit}
        for flight in self._flights.values():
            if flight.worker in load:
                load[flight.worker] += 1
        return min(self._cluster.fit, key=lambda place: load[place.address] / place.threads, default=None)

    def revoke(self, holder: str, lease_id: int) -> None:
        """Begin to take back what is unstarted of a lease, unless it is over."""
        flight = self._flights.get(holder)
        if flight is None or flight.lease.lease_id != lease_id or flight.revoked:
            return
        flight.revoked = True
        if flight.has_begun and self._link is not None:
            self._do(self._ask(self._link, flight.worker))
        # else: when it begins, or when it has not begun for too long

    def resize(self, slots: int) -> None:
        """Have a holder for each slot in use; idle ones there are too many of stay."""
        self._seats.add(slots)
        if self._link is not None and self._cluster.fit:
            self._fill_seats()

    def interrupt(self) -> None:
        """End items in flight by force; nobody is charged."""
        self._begin_end()
        self._do(self._interrupt())

    async def _interrupt(self) -> None:
        """End what runs, and take what it had finished; only the stations know who has begun."""
        reason = "the slice was interrupted"
        if (link := self._link) is not None and self._flights:
            flights = list(self._flights.values())
            ask = Ask(
                self._opening.run_id,
                leases=[(flight.lease.lease_id, flight.blocks) for flight in flights],
                interrupt=True,
            )
            places = [place.address for place in self._cluster.fit]
            answers = await asyncio.gather(*(link.ask(place, ask, patience=_GRACE) for place in places))
            for place, answer in zip(places, answers, strict=True):
                for glimpse in answer.glimpses if answer else ():
                    if flight := self._by_number(glimpse.lease_id):
                        flight.worker, flight.has_begun = place, True
            for flight in flights:
                if not flight.has_begun and self._flights.get(flight.holder) is flight:
                    self._lose(flight, reason)
            # the last reports are on the way; taking them is what the running tasks do
            waiting = [task for task in self._tasks if task is not asyncio.current_task()]
            if self._flights and waiting:
                await asyncio.wait(waiting, timeout=_GRACE)
        self._lose_all(reason)
        self._seats.lose_all("the node was interrupted")
        self._wake.set()

    def close(self) -> None:
        """Let idle item processes run `teardown`, end what is left, and end."""
        self._is_closing = True
        self._begin_end()
        self._wake.set()

    def _begin_end(self) -> None:
        if self._connecting is not None and not self._is_ending:
            # once: what there is of a connection is being closed from then on
            self._connecting.cancel()
        self._is_ending = True

    async def _close_stations(self) -> None:
        if (link := self._link) is None:
            return
        for flight in self._flights.values():
            if flight.future is not None:
                self._do(link.drop(flight.future))
        ask = Ask(self._opening.run_id, close=True)
        places = [place.address for place in self._cluster.places.values() if not place.is_frozen]
        await asyncio.gather(*(link.ask(address, ask) for address in places))

    def views(self) -> list[WorkerView]:
        """What each holder does now, as last seen."""
        return self._seats.views(self._flights)

    # -- holders ---------------------------------------------------------------------------------------

    def _fill_seats(self) -> None:
        """Announce a holder for every slot that has none."""
        if not self._is_ending:
            self._seats.fill(round_trip=self._round_trip)

    def _leave(self, flight: Flight, reason: str, block: OutcomeBlock, **known: Any) -> None:
        """The holder of this flight is no more."""
        self._end(flight)
        self._seats.lose(flight.holder, reason, block, replaced=not self._is_ending, **known)

    def _end(self, flight: Flight) -> None:
        """The flight is over for us."""
        del self._flights[flight.holder]
        self._seats.count(flight.holder, len(flight.answered))
        if self._link is not None and flight.future is not None:
            self._do(self._link.drop(flight.future))
        flight.future = None

    def _give_back(self, flight: Flight) -> None:
        """Nothing of what has no outcome was begun."""
        self._end(flight)
        self._post(SliceFinished(self._clock(), flight.holder, flight.lease.lease_id, OutcomeBlock()))

    def _lose(self, flight: Flight, reason: str, *, blame: bool = False) -> None:
        """The worker or the way to it is gone; with `blame` one of the items may have been at fault."""
        unanswered = flight.unanswered
        failures = self._bisection.lost(unanswered, flight.lease.attempt) if blame and unanswered else []
        begun = tuple(unanswered) if flight.tries else ()
        self._leave(flight, reason, OutcomeBlock([], failures), begun=begun)
        if self._link is not None and self._cluster.fit:
            self._fill_seats()

    def _lose_all(self, reason: str) -> None:
        for flight in list(self._flights.values()):
            self._lose(flight, reason)

    def _fail(self, reason: str, code: ErrorCode = ErrorCode.RESOURCE_ERROR) -> None:
        """Nothing can run here any more: every holder says so, then the node."""
        was_ending, self._is_ending = self._is_ending, True
        for flight in list(self._flights.values()):
            self._lose(flight, reason)
        self._seats.lose_all(reason)
        if not was_ending:
            logger.warning("node %s: %s", self._node_id, reason)
            self._post(NodeFailed(self._clock(), self._node_id, reason, code))
        self._wake.set()

    # -- what workers say ------------------------------------------------------------------------------

    def _begun(self, run_id: str, lease_id: int, worker: str) -> None:
        """A worker has begun a slice. The second one to do so means that the first is gone."""
        flight = self._by_number(lease_id) if run_id == self._opening.run_id else None
        if flight is None:
            return
        if flight.has_begun and flight.worker != worker:
            self._lose(flight, f"the Dask worker {flight.worker} was lost", blame=True)
            return
        flight.worker, flight.has_begun = worker, True
        if (place := self._cluster.places.get(worker)) is not None:
            place.heard_at = time.monotonic()
        if flight.revoked and self._link is not None:
            self._do(self._ask(self._link, worker))

    def _by_number(self, lease_id: int) -> Flight | None:
        return next((one for one in self._flights.values() if one.lease.lease_id == lease_id), None)

    def _gone(self, worker: str) -> None:
        """Dask has given a worker up: what it had begun is lost; what merely waited there goes elsewhere."""
        self._cluster.places.pop(worker, None)
        for flight in list(self._flights.values()):
            if flight.worker == worker and (flight.has_begun or self._at_most_once):
                self._lose(flight, f"the Dask worker {worker} was lost", blame=flight.has_begun)

    async def _await(self, link: Link, flight: Flight, future: Any) -> None:
        """Wait for what comes of a task, and take it if it is still wanted."""
        try:
            report = await link.result(future)
        except Lost as lost:
            if self._is_current(flight, future):
                self._lose(flight, f"Dask: {lost}", blame=flight.has_begun and link.is_up)
            return
        if self._is_current(flight, future):
            self._take_report(flight, report)
        else:
            self.dropped += 1

    def _is_current(self, flight: Flight, future: Any) -> bool:
        return flight.future is future and self._flights.get(flight.holder) is flight

    def _take_report(self, flight: Flight, report: Report) -> None:
        place = self._cluster.places.get(report.worker)
        if place is not None:
            place.heard_at = time.monotonic()
        if report.problem:
            self._refuse_worker(place, report.problem)
            self._give_back(flight)
        elif report.taken_back:
            self._give_back(flight)
        elif report.refused:
            self._lose(flight, "Dask brought a slice twice, or to a worker process it was not meant for")
        elif report.glimpse is None:
            # no station there yet: the same again, with what is needed to open one
            self._submit(flight, with_opening=True)
        elif report.loss is not None:
            block = flight.take(report.glimpse.first, report.glimpse.blocks)
            loss = report.loss
            self._leave(flight, loss.reason, block, isolate=loss.isolate, begun=loss.begun)
            self._fill_seats()
        else:
            block = flight.take(report.glimpse.first, report.glimpse.blocks)
            self._bisection.done(list(flight.answered))
            self._end(flight)
            self._post(SliceFinished(self._clock(), flight.holder, flight.lease.lease_id, block))

    def _refuse_worker(self, place: Place | None, problem: str) -> None:
        if place is not None:
            place.problem = problem
            logger.warning("node %s: Dask worker %s: %s", self._node_id, place.address, problem)

    # -- looking at what runs --------------------------------------------------------------------------

    def _look(self, link: Link, now: float) -> None:
        """Ask who has begun something; give up who is silent, and what is not begun."""
        pause = max(_LOOK, _LOOK_ROUND_TRIPS * self._round_trip)
        busy = {flight.worker for flight in self._flights.values() if flight.has_begun}
        for place in list(self._cluster.places.values()):
            silent = now - place.heard_at
            due = silent > (pause if place.address in busy else _KEEP_ALIVE)
            if place.station and due and not place.is_asked:
                self._do(self._ask(link, place.address))
            if place.address in busy and now - place.heard_at > self._patience.silence:
                self._freeze(place)
        for flight in list(self._flights.values()):
            if not flight.has_begun:
                self._look_at_waiting(flight, now, busy)

    def _look_at_waiting(self, flight: Flight, now: float, busy: set[str]) -> None:
        waits = now - flight.submitted_at
        is_stuck = waits > self._patience.idle and any(
            place.address not in busy for place in self._cluster.fit
        )
        if self._at_most_once:
            # only its station knows whether it has begun; one that never answers is given up as silent
            if is_stuck and not flight.revoked and self._link is not None:
                flight.revoked = True
                self._do(self._ask(self._link, flight.worker))
        elif is_stuck or (flight.revoked and waits > _UNBEGUN):
            self._give_back(flight)

    def _freeze(self, place: Place) -> None:
        """A worker gives no sign of life: what it had begun goes elsewhere, and nothing new goes there."""
        place.is_frozen = True
        logger.warning("node %s: Dask worker %s does not answer", self._node_id, place.address)
        for flight in list(self._flights.values()):
            if flight.worker == place.address and flight.has_begun:
                self._lose(flight, f"the Dask worker {place.address} did not answer")

    async def _ask(self, link: Link, worker: str) -> None:
        """Ask a worker's station how far it is, and tell it what is wanted back."""
        place = self._cluster.places.get(worker)
        if place is None:
            return
        flights = [flight for flight in self._flights.values() if flight.worker == worker]
        ask = Ask(
            self._opening.run_id,
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
            self._do(self._open(link, [worker]))
        for glimpse in answer.glimpses:
            flight = self._by_number(glimpse.lease_id)
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
        if glimpse.age > max(_LONG, _LONG_ROUND_TRIPS * self._round_trip) and not flight.said_long:
            flight.said_long = True
            self._post(ItemRunsLong(at, flight.holder, lease_id))
        flight.index, flight.since = glimpse.index, time.monotonic() - glimpse.age


class _Hopeless(Exception):
    """The cluster cannot run the batch, or has not been there for too long."""
