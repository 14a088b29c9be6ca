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

from everyitem.adapters.nodes.dask.cluster_view import ClusterView, Place
from everyitem.adapters.nodes.dask.flights import Flight
from everyitem.adapters.nodes.dask.frames import Ask, Opening, Report, Task, encode
from everyitem.adapters.nodes.dask.link import Link, LinkLost, Lost, NoCluster
from everyitem.adapters.nodes.dask.lookout import Lookout
from everyitem.adapters.nodes.dask.patience import Patience
from everyitem.adapters.nodes.dask.seats import Seats
from everyitem.adapters.nodes.dask.traffic import Traffic
from everyitem.model.errors import ErrorCode, StoreError
from everyitem.model.items import Items
from everyitem.ports.node import Lease, NodeFailed, Post, WorkerView
from everyitem.work.failures import in_short
from everyitem.work.outcomes import ranges_of
from everyitem.work.stretch import MAX_ITEMS
from everyitem.work.wire import RunSlice

logger = logging.getLogger(__name__)

#: Seconds between two turns of the loop, and between two looks at who belongs to the cluster.
_TURN: Final = 0.05
_CENSUS: Final = 1.0
#: Seconds the last outcomes have to arrive after an interruption.
_GRACE: Final = 2.0

#: Connects to the scheduler: (on_begun, on_gone) -> link.
Connect = Callable[[Callable[[str, int, str], None], Callable[[str], None]], Awaitable[Link]]


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
        self._traffic = Traffic(
            self._seats, post=post, clock=clock, drop=self._drop, replaces=lambda: not self._is_ending
        )
        self._lookout = Lookout(
            self,
            self._traffic,
            node_id=node_id,
            run_id=opening.run_id,
            at_most_once=self._at_most_once,
            patience=patience,
            post=post,
            clock=clock,
        )
        self._cluster = ClusterView()
        self._link: Link | None = None
        self._connecting: asyncio.Future[Link] | None = None
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
                self._lookout.round_trip = self._lookout.round_trip or await link.round_trip(
                    self._cluster.allowed
                )
                self._fill_seats()
            elif now - capable > self._patience_now or self._is_unfit():
                raise _Hopeless(
                    self._cluster.problems
                    or f"no Dask worker that answers has been there for {self._patience_now:g} s"
                )
            self._lookout.look(link, self._cluster, now)
            await self._rest(_TURN)

    @property
    def _patience_now(self) -> float:
        """The first worker may take longer to come than any that follows it."""
        return self._patience.cluster if self._lookout.round_trip else self._patience.start

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
        opening = {self.do(self._open(link, [address])) for address in new}
        while wait and opening and not self._cluster.fit and not self._is_ending:
            _, opening = await asyncio.wait(opening, timeout=_CENSUS, return_when=asyncio.FIRST_COMPLETED)

    def reopen(self, link: Link, worker: str) -> None:
        """A worker has given its station up."""
        self.do(self._open(link, [worker]))

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

    def do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done meanwhile; a fault in it is one of the node."""
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
        self._submit(self._traffic.begin(holder, lease, time.monotonic()))

    def _submit(self, flight: Flight, *, with_opening: bool = False) -> None:
        link = self._link
        if link is None:
            self.lose(flight, "the connection to the Dask scheduler was lost")
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
                self._traffic.give_back(flight)
                return
            flight.worker, station, workers = place.address, place.station, [place.address]
        flight.tries += 1
        flight.submitted_at = time.monotonic()
        task = Task(self._opening.run_id, slice_, self._packed if with_opening else b"", station)
        key = f"everyitem-{self._opening.run_id}-{lease.lease_id}-{flight.tries}"
        flight.future = link.submit(key, task, workers)
        self.do(self._await(link, flight, flight.future))

    def _least_loaded(self) -> Place | None:
        """At-most-once leaves nothing to Dask: the station that may run a slice is known beforehand."""
        load = {place.address: 0 for place in self._cluster.fit}
        for flight in self._traffic:
            if flight.worker in load:
                load[flight.worker] += 1
        return min(self._cluster.fit, key=lambda place: load[place.address] / place.threads, default=None)

    def revoke(self, holder: str, lease_id: int) -> None:
        """Begin to take back what is unstarted of a lease, unless it is over."""
        flight = self._traffic.get(holder)
        if flight is None or flight.lease.lease_id != lease_id or flight.revoked:
            return
        flight.revoked = True
        if flight.has_begun and self._link is not None:
            self.do(self._lookout.ask(self._link, self._cluster, flight.worker))
        # else: when it begins, or when it has not begun for too long

    def resize(self, slots: int) -> None:
        """Have a holder for each slot in use; idle ones there are too many of stay."""
        self._seats.add(slots)
        if self._link is not None and self._cluster.fit:
            self._fill_seats()

    def interrupt(self) -> None:
        """End items in flight by force; nobody is charged."""
        self._begin_end()
        self.do(self._interrupt())

    async def _interrupt(self) -> None:
        """End what runs, and take what it had finished; only the stations know who has begun."""
        reason = "the slice was interrupted"
        if (link := self._link) is not None and self._traffic:
            flights = list(self._traffic)
            ask = Ask(
                self._opening.run_id,
                leases=[(flight.lease.lease_id, flight.blocks) for flight in flights],
                interrupt=True,
            )
            places = [place.address for place in self._cluster.fit]
            answers = await asyncio.gather(*(link.ask(place, ask, patience=_GRACE) for place in places))
            for place, answer in zip(places, answers, strict=True):
                for glimpse in answer.glimpses if answer else ():
                    if flight := self._traffic.numbered(glimpse.lease_id):
                        flight.worker, flight.has_begun = place, True
            for flight in flights:
                if not flight.has_begun and self._traffic.get(flight.holder) is flight:
                    self.lose(flight, reason)
            # the last reports are on the way; taking them is what the running tasks do
            waiting = [task for task in self._tasks if task is not asyncio.current_task()]
            if self._traffic and waiting:
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
        for flight in self._traffic:
            if flight.future is not None:
                self.do(link.drop(flight.future))
        ask = Ask(self._opening.run_id, close=True)
        places = [place.address for place in self._cluster.places.values() if not place.is_frozen]
        await asyncio.gather(*(link.ask(address, ask) for address in places))

    def views(self) -> list[WorkerView]:
        """What each holder does now, as last seen."""
        return self._traffic.views()

    # -- holders ---------------------------------------------------------------------------------------

    def _fill_seats(self) -> None:
        """Announce a holder for every slot that has none."""
        if not self._is_ending:
            self._seats.fill(round_trip=self._lookout.round_trip)

    def lose(self, flight: Flight, reason: str, *, blame: bool = False) -> None:
        """The worker or the way to it is gone; with `blame` one of the items may have been at fault."""
        self._traffic.lose(flight, reason, blame=blame)
        if self._link is not None and self._cluster.fit:
            self._fill_seats()

    def _drop(self, future: Any) -> None:
        if self._link is not None:
            self.do(self._link.drop(future))

    def _lose_all(self, reason: str) -> None:
        for flight in self._traffic:
            self.lose(flight, reason)

    def _fail(self, reason: str, code: ErrorCode = ErrorCode.RESOURCE_ERROR) -> None:
        """Nothing can run here any more: every holder says so, then the node."""
        was_ending = self._is_ending
        self._begin_end()
        for flight in self._traffic:
            self.lose(flight, reason)
        self._seats.lose_all(reason)
        if not was_ending:
            logger.warning("node %s: %s", self._node_id, reason)
            self._post(NodeFailed(self._clock(), self._node_id, reason, code))
        self._wake.set()

    # -- what workers say ------------------------------------------------------------------------------

    def _begun(self, run_id: str, lease_id: int, worker: str) -> None:
        """A worker has begun a slice. The second one to do so means that the first is gone."""
        flight = self._traffic.numbered(lease_id) if run_id == self._opening.run_id else None
        if flight is None:
            return
        if flight.has_begun and flight.worker != worker:
            self.lose(flight, f"the Dask worker {flight.worker} was lost", blame=True)
            return
        flight.worker, flight.has_begun = worker, True
        if (place := self._cluster.places.get(worker)) is not None:
            place.heard_at = time.monotonic()
        if flight.revoked and self._link is not None:
            self.do(self._lookout.ask(self._link, self._cluster, worker))

    def _gone(self, worker: str) -> None:
        """Dask has given a worker up: what it had begun is lost; what merely waited there goes elsewhere."""
        self._cluster.places.pop(worker, None)
        for flight in self._traffic:
            if flight.worker == worker and (flight.has_begun or self._at_most_once):
                self.lose(flight, f"the Dask worker {worker} was lost", blame=flight.has_begun)

    async def _await(self, link: Link, flight: Flight, future: Any) -> None:
        """Wait for what comes of a task, and take it if it is still wanted."""
        try:
            report = await link.result(future)
        except Lost as lost:
            if self._is_current(flight, future):
                self.lose(flight, f"Dask: {lost}", blame=flight.has_begun and link.is_up)
            return
        if self._is_current(flight, future):
            self._take_report(flight, report)
        else:
            self.dropped += 1

    def _is_current(self, flight: Flight, future: Any) -> bool:
        return flight.future is future and self._traffic.get(flight.holder) is flight

    def _take_report(self, flight: Flight, report: Report) -> None:
        place = self._cluster.places.get(report.worker)
        if place is not None:
            place.heard_at = time.monotonic()
        if report.problem:
            self._refuse_worker(place, report.problem)
            self._traffic.give_back(flight)
        elif report.taken_back:
            self._traffic.give_back(flight)
        elif report.refused:
            self.lose(flight, "Dask brought a slice twice, or to a worker process it was not meant for")
        elif report.glimpse is None:
            # no station there yet: the same again, with what is needed to open one
            self._submit(flight, with_opening=True)
        elif report.loss is not None:
            block = flight.take(report.glimpse.first, report.glimpse.blocks)
            loss = report.loss
            self._traffic.leave(flight, loss.reason, block, isolate=loss.isolate, begun=loss.begun)
            self._fill_seats()
        else:
            block = flight.take(report.glimpse.first, report.glimpse.blocks)
            self._traffic.finish(flight, block)

    def _refuse_worker(self, place: Place | None, problem: str) -> None:
        if place is not None:
            place.problem = problem
            logger.warning("node %s: Dask worker %s: %s", self._node_id, place.address, problem)


class _Hopeless(Exception):
    """The cluster cannot run the batch, or has not been there for too long."""
