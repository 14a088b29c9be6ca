"""The supervision of a process node's workers: what happens when, in one thread that owns them all.

    spawn ──Ready──▶ idle ──lease──▶ busy ──SliceDone──▶ idle ──Leave──▶ gone
      │                                │
      └──CannotStart, death──▶ again   └──death, item timeout──▶ HolderLost, and a replacement

Nothing here blocks: workers are spoken to through non-blocking sockets, watched through their mappings,
and their deaths are descriptors that become readable.
"""

import logging
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Final

from everyitem.adapters.nodes import vigil
from everyitem.adapters.nodes.losses import Loss, assess, end_text, start_problem
from everyitem.adapters.nodes.memory_policy import Measure
from everyitem.adapters.nodes.reactor import Reactor
from everyitem.adapters.nodes.slots import Slot
from everyitem.adapters.nodes.worker_lookout import LOOK, WorkerLookout
from everyitem.adapters.nodes.worker_memory import WorkerMemory
from everyitem.adapters.nodes.worker_process import Phase, Verdict, WorkerProcess
from everyitem.model.errors import ErrorCode, StoreError
from everyitem.model.items import Items
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    IntakeLimited,
    Lease,
    NodeFailed,
    Post,
    SliceFinished,
    SliceShortened,
    WorkerView,
)
from everyitem.work.assignment import Assignment
from everyitem.work.stretch import MAX_ITEMS
from everyitem.work.wire import CannotStart, FromWorker, Ready, RingFull, SliceDone

logger = logging.getLogger(__name__)

#: Seconds between lowering `end` and reading `begun` (design section 3).
_REVOCATION: Final = 0.001
#: Seconds a worker has for its current item and `teardown` when the node closes.
_GRACE: Final = 2.0
#: Seconds between a worker's closing its socket and being killed for living on.
_HANG_UP: Final = 1.0


class Supervision:
    """Keeps `slots` worker processes running and carries messages between them and the engine.

    `call` and `views` may be used from any thread; everything else runs in the thread of `run`.
    """

    def __init__(
        self,
        *,
        node_id: str,
        slots: int,
        assignment: Assignment,
        items: Items,
        memory: WorkerMemory,
        post: Post,
        clock: Callable[[], float],
    ) -> None:
        self._node_id, self._assignment, self._items = node_id, assignment, items
        self._memory = memory
        self._post, self._clock = post, clock
        self._slots = [Slot(number) for number in range(slots)]
        self._lookout = WorkerLookout(item_timeout=assignment.item_timeout, post=post, clock=clock)
        self._workers: dict[str, WorkerProcess] = {}
        self._reactor = Reactor()
        self.call = self._reactor.call
        self._is_looking = False
        #: Set once no replacement is wanted any more.
        self._is_ending = False
        self._is_closing = False
        #: Why the node has failed, and as what it counts; empty once that was said.
        self._failure = ""
        self._failure_code = ErrorCode.RESOURCE_ERROR

    def run(self) -> None:
        """The thread's life: from the first spawn to the last burial."""
        try:
            for slot in self._slots:
                self._spawn(slot)
            self._reactor.call_after(vigil.LOOK, self._keep_vigil)
            self._reactor.run()
        except Exception:  # a fault of ours must end the batch, not hang it
            logger.exception("the supervision of node %s failed", self._node_id)
            self._failure = f"the supervision of its workers failed: {traceback.format_exc(limit=-3)}"
        finally:
            self._is_ending = True
            for worker in list(self._workers.values()):
                self._end_abruptly(worker)
            self._settle_if_empty()
            self._reactor.close()

    def _end_abruptly(self, worker: WorkerProcess) -> None:
        """Kill a worker and recover what it leaves; the node's end must be told whatever comes in between."""
        try:
            worker.kill(Verdict.CLOSED)
            self._bury(worker)
            self._report_loss(worker)
            worker.free()
        except Exception:
            logger.exception("worker %s left more behind than could be cleaned up", worker.holder)

    def discard(self) -> None:
        """Instead of `run`: give back what it holds without having run."""
        self._reactor.close()

    def views(self) -> list[WorkerView]:
        """What each worker does now."""
        views = []
        for worker in list(self._workers.values()):
            try:
                lease, flight = worker.lease, worker.in_flight
                index = lease.indices[flight.start] if lease is not None and flight else None
                views.append(WorkerView(worker.holder, index, worker.since, worker.done + worker.finished))
            except (ValueError, IndexError):
                continue  # it went away, or on to another lease, while we looked
        return views

    # -- what the engine asks --------------------------------------------------------------------------

    def run_slice(self, holder: str, lease: Lease) -> None:
        """Hand a lease on, unless its worker is gone."""
        worker = self._workers.get(holder)
        if worker is None or worker.verdict is not None:
            return
        if worker.phase is not Phase.IDLE:
            raise RuntimeError(f"{holder} was given lease {lease.lease_id} while it was {worker.phase.name}")
        if not self._is_looking:
            self._is_looking = True
            self._reactor.call_after(LOOK, self._look)
        if self._memory.admits(self._busy()):
            self._begin(worker, lease)
        else:
            self._memory.parked[holder] = lease

    def _busy(self) -> int:
        return sum(worker.lease is not None for worker in self._workers.values())

    def _begin(self, worker: WorkerProcess, lease: Lease) -> None:
        indices = lease.indices
        cuts = range(0, len(indices), MAX_ITEMS)
        try:
            texts = [self._items.text(indices[cut : cut + MAX_ITEMS]) for cut in cuts]
        except StoreError as error:
            self._fail(f"the items cannot be read: {error}", ErrorCode.SYSTEM_ERROR)
            return
        worker.run(lease, texts)
        if worker.is_sending:
            self._watch_socket(worker)

    def _unpark(self) -> None:
        """Begin leases that wait for memory, as many as may."""
        parked = self._memory.parked
        while parked and not self._is_ending and self._memory.admits(self._busy()):
            holder = next(iter(parked))
            self._begin(self._workers[holder], parked.pop(holder))

    def revoke(self, holder: str, lease_id: int) -> None:
        """Begin to take back what is unstarted of a lease, unless it is over."""
        parked = self._memory.parked.get(holder)
        if parked is not None and parked.lease_id == lease_id:
            # nothing of it was begun: being over gives it back
            del self._memory.parked[holder]
            self._post(SliceFinished(self._clock(), holder, lease_id, OutcomeBlock()))
            return
        worker = self._workers.get(holder)
        if worker is None or worker.lease is None or worker.lease.lease_id != lease_id or worker.revoked:
            return
        worker.stop_early()
        self._reactor.call_after(_REVOCATION, partial(self._shorten, worker, lease_id))

    def _shorten(self, worker: WorkerProcess, lease_id: int) -> None:
        if worker.holder in self._workers and worker.lease is not None and worker.lease.lease_id == lease_id:
            self._post(SliceShortened(self._clock(), worker.holder, lease_id, worker.settle_end()))

    def resize(self, slots: int) -> None:
        """Have a worker for each slot memory leaves; idle ones there are too many of stay."""
        if self._memory.resize(slots):
            self._post(IntakeLimited(self._clock(), self._node_id, self._memory.left))
        self._fill_slots()
        self._unpark()

    def _fill_slots(self) -> None:
        for number in range(len(self._slots), self._memory.worth_starting):
            slot = Slot(number)
            self._slots.append(slot)
            self._spawn(slot)

    def interrupt(self) -> None:
        """Kill all workers; nobody is charged."""
        self._is_ending = True
        for worker in self._workers.values():
            worker.kill(Verdict.INTERRUPTED)

    def close(self) -> None:
        """Let idle workers run `teardown`, kill whoever is left after the grace, and end."""
        self._is_ending = self._is_closing = True
        for worker in self._workers.values():
            if worker.phase is Phase.STARTING:
                worker.kill(Verdict.CLOSED)
            else:
                worker.ask_to_leave()
                self._watch_socket(worker)
        self._reactor.call_after(_GRACE, self._kill_rest)
        self._settle_if_empty()

    def _kill_rest(self) -> None:
        for worker in self._workers.values():
            logger.warning("%s did not end within %g s and is killed", worker.holder, _GRACE)
            worker.kill(Verdict.CLOSED)

    def _settle_if_empty(self) -> None:
        """When the last worker is gone: say that the node has failed, if it has, and end, if it closes."""
        if self._workers:
            return
        if self._failure:
            self._post(NodeFailed(self._clock(), self._node_id, self._failure, self._failure_code))
            self._failure = ""
        if self._is_closing:
            self._reactor.stop()

    # -- starting --------------------------------------------------------------------------------------

    def _spawn(self, slot: Slot) -> None:
        if self._is_ending:
            return
        holder = slot.next_holder(self._node_id)
        try:
            worker = WorkerProcess(holder=holder, slot=slot.number, assignment=self._assignment)
        except OSError as error:
            self._start_failed(slot, f"the machine cannot start a worker process: {error}")
            return
        self._workers[holder] = worker
        self._watch_socket(worker)
        self._reactor.watch(worker.log.fd, partial(self._read_log, worker))
        if worker.death_fd is not None:
            self._reactor.watch(worker.death_fd, partial(self._died, worker))

    def _start_failed(self, slot: Slot, reason: str) -> None:
        if self._is_ending:
            return
        delay = slot.start_failed()
        logger.warning("slot %d of node %s: %s", slot.number + 1, self._node_id, reason)
        if all(other.is_down for other in self._slots):
            self._fail(reason)
            return
        self._reactor.call_after(delay, partial(self._spawn, slot))

    def _fail(self, reason: str, code: ErrorCode = ErrorCode.RESOURCE_ERROR) -> None:
        """End all workers; each says what it leaves, and why, before the node says that it has failed."""
        self._is_ending = True
        self._failure, self._failure_code = reason, code
        for worker in self._workers.values():
            worker.kill(Verdict.INTERRUPTED)
        self._settle_if_empty()

    # -- what workers say ------------------------------------------------------------------------------

    def _watch_socket(self, worker: WorkerProcess) -> None:
        self._reactor.watch(worker.socket.fileno(), partial(self._talk, worker), writing=worker.is_sending)

    def _talk(self, worker: WorkerProcess) -> None:
        was_sending = worker.is_sending
        worker.flush()
        for message in worker.receive():
            self._hear(worker, message)
        if worker.has_hung_up:
            self._reactor.forget(worker.socket.fileno())
            if worker.death_fd is None:
                self._died(worker)
            else:
                # its death follows, unless it closed the socket and lives on, out of reach
                self._reactor.call_after(_HANG_UP, partial(self._put_down, worker))
        elif was_sending != worker.is_sending:
            self._watch_socket(worker)

    def _put_down(self, worker: WorkerProcess) -> None:
        if worker.holder in self._workers:
            worker.kill()

    def _hear(self, worker: WorkerProcess, message: FromWorker) -> None:
        match message:
            case Ready():
                worker.phase = Phase.IDLE
                worker.fresh_bytes = worker.memory.read()
                self._post(HolderJoined(self._clock(), worker.holder, self._node_id, slots=1))
            case CannotStart(reason):
                worker.start_problem = reason
            case RingFull() if worker.lease is not None:
                self._lookout.drain(worker, worker.lease)
                worker.tell_emptied()
            case SliceDone(lease_id) if worker.lease is not None:
                block = worker.take()
                worker.end_lease()
                self._slots[worker.slot].note_work()
                self._unpark()
                self._post(SliceFinished(self._clock(), worker.holder, lease_id, block))

    def _read_log(self, worker: WorkerProcess) -> None:
        worker.log.read()
        if worker.log.ended:
            self._reactor.forget(worker.log.fd)

    # -- what the mappings show ------------------------------------------------------------------------

    def _look(self) -> None:
        """Look at every running lease and at memory; as long as there is something to see, come back soon."""
        busy = [worker for worker in self._workers.values() if worker.lease is not None]
        for worker in busy:
            self._lookout.look_at(worker, time.monotonic())
        self._take_measures(self._memory.look(time.monotonic(), self._workers.values()))
        self._is_looking = bool(busy) or self._memory.is_active
        if self._is_looking:
            self._reactor.call_after(LOOK, self._look)

    def _keep_vigil(self) -> None:
        self._lookout.keep_vigil(self._workers.values())
        self._reactor.call_after(vigil.LOOK, self._keep_vigil)

    # -- memory ----------------------------------------------------------------------------------------

    def _take_measures(self, measure: Measure) -> None:
        if measure is Measure.HOLD or self._is_ending:
            return
        logger.info("node %s: memory: %s; %s", self._node_id, measure.name, self._memory.limits_text())
        match measure:
            case Measure.PAUSE:
                self._revoke_all()
            case Measure.SHRINK | Measure.RESUME:
                self._fill_slots()
                self._unpark()
                self._post(IntakeLimited(self._clock(), self._node_id, self._memory.left))
            case Measure.RECYCLE:
                self._recycle()
            case Measure.END:
                self._revoke_all()
                self._recycle()
                self._end_culprit()

    def _recycle(self) -> None:
        for worker in self._memory.recyclable(self._workers.values()):
            self._memory.parked.pop(worker.holder, None)  # its loss gives it back
            worker.recycle()
            self._watch_socket(worker)
            self._reactor.call_after(_GRACE, partial(self._put_down, worker))

    def _revoke_all(self) -> None:
        for worker in self._workers.values():
            if worker.lease is not None:
                self.revoke(worker.holder, worker.lease.lease_id)

    def _end_culprit(self) -> None:
        culprit = self._memory.culprit(self._workers.values())
        if culprit is not None:
            culprit.memory.read_peak()
            # read again: the item may have been finished meanwhile
            if flight := culprit.in_flight:
                culprit.condemn(flight.start, Verdict.OUT_OF_MEMORY)
        elif self._memory.is_hopeless(self._workers.values()):
            self._fail(self._memory.without_culprit(self._workers.values()))

    # -- deaths ----------------------------------------------------------------------------------------

    def _died(self, worker: WorkerProcess) -> None:
        """A worker has ended: recover what it finished, charge whom it was, and put another one there."""
        for message in self._bury(worker):
            self._hear(worker, message)
        slot = self._slots[worker.slot]
        if worker.phase is Phase.STARTING:
            self._start_failed(slot, worker.start_problem or start_problem(worker))
        else:
            self._report_loss(worker)
            if worker.verdict is Verdict.RECYCLED:
                self._spawn(slot)
            elif worker.lease is None:
                # it died of nobody's item; should that go on, it must not spin
                ended = worker.gave_up or f"an idle worker process ended with {worker.exit_text}"
                self._start_failed(slot, ended)
            else:
                slot.note_work()
                self._spawn(slot)
        worker.free()
        self._unpark()
        self._settle_if_empty()

    def _bury(self, worker: WorkerProcess) -> list[FromWorker]:
        del self._workers[worker.holder]
        self._memory.parked.pop(worker.holder, None)
        for fd in (worker.socket.fileno(), worker.log.fd, worker.death_fd):
            if fd is not None:
                self._reactor.forget(fd)
        return worker.bury()

    def _report_loss(self, worker: WorkerProcess) -> None:
        if self._is_closing or worker.phase is Phase.STARTING:
            return
        block, loss = OutcomeBlock(), Loss()
        if worker.lease is not None:
            block = worker.take()
            loss = assess(
                worker, worker.lease, item_timeout=self._assignment.item_timeout, memory=self._memory
            )
            block.failures += loss.failures
        # what ended the node ended those it killed for that
        reason = (self._failure if worker.verdict is not None else "") or end_text(worker)
        self._post(
            HolderLost(
                self._clock(),
                worker.holder,
                block,
                reason,
                isolate=loss.isolate,
                begun=loss.begun,
                replaced=not self._is_ending,
            )
        )
