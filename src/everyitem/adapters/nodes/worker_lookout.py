"""Looking at what worker processes are at, through their mappings: who runs long, and who gets nowhere."""

import logging
from collections.abc import Callable, Collection
from typing import Final

from everyitem.adapters.nodes.worker_process import Verdict, WorkerProcess
from everyitem.ports.node import ItemRunsLong, Lease, OutcomesArrived, Post

logger = logging.getLogger(__name__)

#: Seconds a young lease is left in peace, and between two looks at running ones.
LOOK: Final = 0.02
#: Seconds an item may run before `ItemRunsLong`.
_LONG: Final = 0.02
#: Looks after which a worker that does nothing between two items is taken for stopped: some ten seconds. They
#: are counted, not timed: after a stop of this process itself nobody is late.
_STALLED: Final = 500
#: Seconds between two drains of a ring whose slice runs on.
_DRAIN: Final = 0.1


class WorkerLookout:
    """Hands on what is seen, and condemns whoever is too late. Used from the node's thread."""

    def __init__(self, *, item_timeout: float | None, post: Post, clock: Callable[[], float]) -> None:
        """`item_timeout` in seconds; `clock` gives the times of messages."""
        self._timeout, self._post, self._clock = item_timeout, post, clock

    def look_at(self, worker: WorkerProcess, now: float) -> None:
        """See how far a worker is with its lease (`now` in monotonic seconds)."""
        lease = worker.lease
        if lease is None or now - worker.leased_at < LOOK:
            return
        if now - worker.drained_at >= _DRAIN:
            self.drain(worker, lease)
        flight = worker.in_flight
        if not flight:
            if worker.stands_still() >= _STALLED:
                worker.kill(Verdict.STALLED)
            return
        if now - worker.since > _LONG and worker.reported != flight.stop:
            worker.reported = flight.stop
            self._post(ItemRunsLong(self._clock(), worker.holder, lease.lease_id))
        # read once more before the kill: the item may have been finished meanwhile
        is_late = self._timeout is not None and now - worker.alive_at > self._timeout
        if is_late and worker.in_flight == flight:
            worker.condemn(flight.start, Verdict.ITEM_TIMEOUT)

    def drain(self, worker: WorkerProcess, lease: Lease) -> None:
        """Hand on what is finished of a lease that goes on."""
        block = worker.take()
        if block or block.logs:
            self._post(OutcomesArrived(self._clock(), worker.holder, lease.lease_id, block))

    def keep_vigil(self, workers: Collection[WorkerProcess]) -> None:
        """Kill the workers that get nowhere, whatever they are at; every `vigil.LOOK` seconds."""
        for worker in workers:
            if worker.verdict is None and (reason := worker.gets_nowhere()):
                logger.warning("%s: %s", worker.holder, reason)
                worker.give_up(reason)
