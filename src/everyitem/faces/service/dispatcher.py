"""The dispatcher: brings what runs in line with what the queue says.

One thread looks at the queue twice a second, and at once when something happens. It decides nothing about
who runs (`engine.allocation`) or what an end means (`endings`), and keeps nothing that is not in the store
but its children: killed at any moment, it leaves nothing that its successor would not find.
"""

import errno
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from everyitem import compose
from everyitem.engine.allocation import Start, allocate, impossibility
from everyitem.faces.service.bell import Bell
from everyitem.faces.service.catalogue import Catalogue
from everyitem.faces.service.child import Child
from everyitem.faces.service.children import Children
from everyitem.faces.service.crashes import Crashes
from everyitem.faces.service.desk import Desks
from everyitem.faces.service.endings import Ending, ending_of
from everyitem.faces.service.logs import Logs
from everyitem.faces.service.machine import capacity, capacity_of, running, waiting
from everyitem.faces.service.mishaps import Mishaps
from everyitem.faces.service.views import Health
from everyitem.model.errors import ErrorCode, Problem, StoreError, UsageError
from everyitem.model.response import Response, parse_response, refuse
from everyitem.model.status import ExecutionStatus
from everyitem.ports.control import ControlKind
from everyitem.ports.queue import BatchQueue, ServiceRecord, Ticket, Wish
from everyitem.settings import Settings

#: Seconds between two looks at the queue, two signs of life, and two requests of the same thing.
LOOK: Final = 0.5
RENEW: Final = 2.0
_ASK_AGAIN: Final = 2.0
#: Seconds after which a batch that fits no living service is given up.
_NO_MACHINE: Final = 20.0
#: Seconds between two tries to load item processors that did not.
_TRY_AGAIN: Final = 5.0
#: Seconds a process may live without the execution being owned, far longer than a start or a lease takes.
_SILENCE: Final = 120.0
#: Seconds beyond the drain until children are interrupted, and then until they are killed.
_GRACE: Final = 5.0
#: Weight of the last batch in how long one typically takes.
_FRESHNESS: Final = 0.3

_log = logging.getLogger("everyitem.service")


class Dispatcher:
    """Carries out what is in the queue, on a thread of its own."""

    def __init__(self, settings: Settings, desks: Desks, catalogue: Catalogue, *, logs: Path | None) -> None:
        self._settings, self._desks, self._catalogue = settings, desks, catalogue
        self._capacity = capacity(settings)
        self._logs = (
            Logs(logs) if logs is not None else Logs.beside(compose.data_directory(), desks.store_url)
        )
        self._me = ServiceRecord(
            service_id=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            millicores=self._capacity.millicores,
            memory_mb=self._capacity.memory_mb,
            batches=self._capacity.batches,
        )
        self._children = Children()
        self._crashes = Crashes()
        self._renewed = -RENEW
        #: What is in the way of all batches; when (monotonic) to look again.
        self._trouble: dict[str, str] = {}
        self._look_at_processors = 0.0
        self._mishaps = Mishaps()
        self._obstacles: Mapping[int, str] = {}
        self._typical: float | None = None
        self._waiting = self._services = 0
        self._thread: threading.Thread | None = None
        self._bell = Bell()
        #: Seconds the children may drain once the service is to end; less, where somebody gets impatient.
        self._stop: float | None = None

    # ------------------------------------------------------------- called from any thread

    def start(self) -> None:
        """Begin. Raises `StoreError` or `UsageError` when the store cannot be used."""
        with closing(compose.open_queue(self._desks.store_url)) as queue:
            queue.renew(self._me)
        self._thread = threading.Thread(target=self._run, name="everyitem-dispatcher")
        self._thread.start()

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._bell.ring()

    def stop(self, drain: float | None) -> None:
        """End in good order, and wait for it; may be called again meanwhile, with less patience."""
        patience = self._settings.drain_seconds if drain is None else drain
        self._stop = patience if self._stop is None else min(patience, self._stop)
        self._bell.ring()
        self.wait(None)
        self._bell.close()

    def wait(self, timeout: float | None) -> bool:
        """Wait for the end; False when it has not come in time."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def typical(self) -> float | None:
        """How many seconds a batch takes, by those that ended here."""
        return self._typical

    def obstacles(self) -> Mapping[int, str]:
        """Why batches wait, by execution, as of the last look."""
        return self._obstacles

    def log(self, execution_key: int) -> bytes:
        """The end of what a batch's process wrote to standard error."""
        return self._logs.read(execution_key)

    def health(self, *, stopping: bool) -> Health:
        """How the service does."""
        trouble = [*self._trouble.values(), *(["the service is ending"] if stopping else [])]
        if self._thread is None or not self._thread.is_alive():
            trouble.append("the service does not run")
        return Health(
            ready=not trouble,
            obstacles=tuple(trouble),
            running=len(self._children),
            waiting=self._waiting,
            cores=self._capacity.millicores / 1000,
            memory_mb=self._capacity.memory_mb,
            batches=self._capacity.batches,
            services=self._services,
        )

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        with closing(compose.open_queue(self._desks.store_url)) as queue:
            while self._stop is None:
                try:
                    self._look(queue)
                    self._trouble.pop("store", None)
                    self._children.wait(LOOK, self._bell)
                except StoreError as error:
                    # those that run have patience of their own, and none is started meanwhile
                    self._note_trouble("store", str(error))
                    self._children.wait(LOOK, self._bell)
                except Exception as error:
                    # children die with this thread: it must not die of anything
                    _log.exception("the dispatcher failed; it goes on")
                    self._note_trouble("store", f"the dispatcher failed: {error!r}")
                    time.sleep(LOOK)
            self._end(queue)

    def _note_trouble(self, what: str, text: str) -> None:
        if self._trouble.get(what) != text:
            self._trouble[what] = text
            _log.warning("%s", text)

    def _look(self, queue: BatchQueue) -> None:
        """Bring what runs in line with the queue, once."""
        now = time.monotonic()
        if now - self._renewed >= RENEW:
            queue.renew(self._me)
            self._renewed = now
        for ended in self._children.ended():
            with self._mishaps.apart(ended.ticket):
                self._bury(queue, ended, stopping=False)
        services = queue.services()
        tickets = []
        for ticket in queue.tickets():
            is_over = False
            with self._mishaps.apart(ticket):
                is_over = ticket.execution_key not in self._children and self._tidy(queue, ticket)
            if not is_over:
                tickets.append(ticket)
        for ticket in tickets:
            if (child := self._children.of(ticket.execution_key)) is not None:
                with self._mishaps.apart(ticket):
                    self._logs.trim(child.key)
                    self._steer(child, ticket)
        self._share(queue, tickets, services)
        self._services = len(services)

    def _tidy(self, queue: BatchQueue, ticket: Ticket) -> bool:
        """Whether there is nothing left to do for a ticket nobody here carries out; then it goes."""
        if ticket.wish is Wish.CANCEL and not ticket.owned and not ticket.has_ended:
            # whoever asked did not get so far as to do it
            if ticket.service_id not in (None, self._me.service_id):
                return False
            with self._desks.store() as store:
                ownership = store.claim(ticket.execution_key)
                if ownership is None:
                    return False
                ownership.release(ExecutionStatus.CANCELLED)
        elif not ticket.has_ended:
            return False
        return queue.remove(ticket.execution_key, number=ticket.number)

    def _steer(self, child: Child, ticket: Ticket) -> None:
        """Ask a child for what its ticket wishes, again and again until it is so."""
        now = time.monotonic()
        if ticket.owned:
            child.seen_owned = now
        elif ticket.wish is not Wish.RUN:
            # it has not begun; or it was cancelled before it could, and must not begin
            child.stop()
        elif now - child.seen_owned > _SILENCE:
            _log.warning(
                "process %d of batch %r has not renewed its lease; it is killed", child.pid, ticket.batch_id
            )
            child.stop(at_once=True)
        asks: ControlKind | None = None
        match ticket.wish:
            case Wish.HOLD if ticket.status is ExecutionStatus.RUNNING:
                asks = ControlKind.PAUSE
            case Wish.RUN if ticket.status is ExecutionStatus.PAUSED:
                asks = ControlKind.RESUME
            case Wish.CANCEL if ticket.status.is_active:
                asks = ControlKind.CANCEL
        if asks is None or not ticket.owned or now - child.asked < _ASK_AGAIN:
            return
        child.asked = now
        with self._desks.store() as store:
            store.request(ticket.execution_key, asks, "the service")

    def _share(self, queue: BatchQueue, tickets: list[Ticket], services: list[ServiceRecord]) -> None:
        """Start those that find a place, and change what the others have."""
        now = time.monotonic()
        at_work, in_line, is_wanted = [], {}, False
        for ticket in tickets:
            if (child := self._children.of(ticket.execution_key)) is not None:
                at_work.append(running(ticket, slots=child.slots, memory_mb=child.memory_mb))
            elif ticket.wish is Wish.RUN and not ticket.owned:
                is_wanted = True
                if self._is_free(ticket, now):
                    in_line[ticket.execution_key] = ticket
        self._waiting = len(in_line)
        if not is_wanted:
            # nobody will find out whether processes can be started again, unless requests come here
            self._trouble.pop("machine", None)
        allocation = allocate(self._capacity, at_work, map(waiting, in_line.values()), at=queue.now())
        self._obstacles = {**allocation.obstacles, **allocation.impossible}
        if not self._are_processors_there(now):
            self._obstacles = dict.fromkeys(in_line, self._trouble["processors"])
            return
        for ticket in tickets:
            slots = allocation.changes.get(ticket.execution_key)
            child = self._children.of(ticket.execution_key)
            if slots is not None and child is not None and ticket.owned:
                with self._mishaps.apart(ticket):
                    self._grant(child, slots)
        for start in allocation.starts:
            with self._mishaps.apart(in_line[start.key]):
                self._start(queue, in_line[start.key], start)
        for key in allocation.impossible:
            with self._mishaps.apart(in_line[key]):
                self._give_up_impossible(queue, in_line[key], services)

    def _grant(self, child: Child, slots: int) -> None:
        """Let a running batch use more or fewer slots from now on."""
        with self._desks.store() as store:
            store.request(child.key, ControlKind.GRANT, "the service", slots=slots)
        _log.info("batch %r may use %d slots now, not %d", child.ticket.batch_id, slots, child.slots)
        child.slots = slots

    def _is_free(self, ticket: Ticket, now: float) -> bool:
        """Whether nobody else has it, and it has had its rest after a crash."""
        is_free = ticket.service_id in (None, self._me.service_id)
        return is_free and self._crashes.has_rested(ticket.execution_key, now)

    def _are_processors_there(self, now: float) -> bool:
        """Whether item processors load, where there was reason to doubt it."""
        if "processors" not in self._trouble:
            return True
        if now < self._look_at_processors:
            return False
        self._look_at_processors = now + _TRY_AGAIN
        try:
            self._catalogue.load()
        except UsageError as error:
            self._note_trouble("processors", str(error))
            return False
        del self._trouble["processors"]
        return True

    def _start(self, queue: BatchQueue, ticket: Ticket, start: Start) -> None:
        if not queue.claim(ticket, self._me.service_id):
            return
        try:
            with self._logs.open(ticket.execution_key) as log:
                child = Child(ticket, start, self._settings, self._desks.store_url, log)
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) or error.errno == errno.E2BIG:
                self._fail(queue, ticket, None, f"it cannot be named on a command line: {error}")
                return
            # no more processes, memory, descriptors or disk: that is not the batch's fault, and may pass
            self._note_trouble("machine", f"no process can be started: {error}")
            self._crashes.rest(ticket.execution_key, time.monotonic() + _TRY_AGAIN)
            queue.give_back(self._me.service_id, [ticket.execution_key])
            return
        self._trouble.pop("machine", None)
        self._children.add(child)
        _log.info("batch %r runs as process %d with %d slots", ticket.batch_id, child.pid, start.slots)

    def _bury(self, queue: BatchQueue, child: Child, *, stopping: bool) -> None:
        """A child has ended: do what that means. Repeated when the store was out of reach."""
        key, life = child.key, child.life
        ticket = queue.ticket(key)
        if ticket is not None and ticket.number != child.ticket.number:
            ticket = None  # somebody has put it in again since: that is another matter
        ending = ending_of(life, ticket, stopping=stopping)
        if life.progressed:
            self._crashes.progressed(key)
        match ending:
            case Ending.DONE:
                self._note_duration(child)
                self._crashes.forget(key)
                if ticket is not None:
                    queue.remove(key, number=ticket.number)
            case Ending.RESTED:
                self._crashes.forget(key)
                queue.give_back(self._me.service_id, [key])
            case Ending.REFUSED if ticket is not None:
                self._fail(queue, ticket, child.answer())
            case Ending.UNUSABLE if ticket is not None and not self._can_load():
                queue.give_back(self._me.service_id, [key])
            case _ if ticket is not None:
                self._count_crash(queue, ticket, f"its process was ended by {life.text}")
        self._children.drop(child)
        self._mishaps.forget(key)

    def _can_load(self) -> bool:
        self._trouble["processors"] = "the item processors are looked at again"
        self._look_at_processors = 0.0
        return self._are_processors_there(time.monotonic())

    def _count_crash(self, queue: BatchQueue, ticket: Ticket, how: str) -> None:
        key = ticket.execution_key
        crashes, wait = self._crashes.count(key, time.monotonic())
        if wait is None:
            text = f"{how}, {crashes} times in a row without a checkpoint; everything recorded stays recorded"
            self._fail(queue, ticket, None, text)
            return
        _log.warning("batch %r: %s; it is started again in %g s", ticket.batch_id, how, wait)
        queue.give_back(self._me.service_id, [key])

    def _fail(self, queue: BatchQueue, ticket: Ticket, answer: bytes | None, text: str = "") -> None:
        """End an execution that could not be carried out with an `ERROR`; it stays resumable."""
        code = ErrorCode.SYSTEM_ERROR
        response = None
        if answer:
            with suppress(ValueError):
                response = parse_response(answer)
        text = text or "its process ended without an answer"
        if response is None or response.is_success:
            response = refuse(code, text, [Problem("", text, code)])
        self._record_failure(queue, ticket, response)

    def _give_up_impossible(
        self, queue: BatchQueue, ticket: Ticket, services: Sequence[ServiceRecord]
    ) -> None:
        """End a batch that fits no living service with a `RESOURCE_ERROR`, once others had time to appear."""
        if queue.now() - ticket.since < _NO_MACHINE or any(
            impossibility(capacity_of(one), ticket.demand) is None for one in services
        ):
            return
        text = self._obstacles[ticket.execution_key]
        if queue.claim(ticket, self._me.service_id):
            problem = Problem("$.allocatedResources", text, ErrorCode.RESOURCE_ERROR)
            self._record_failure(queue, ticket, refuse(ErrorCode.RESOURCE_ERROR, text, [problem]))

    def _record_failure(self, queue: BatchQueue, ticket: Ticket, response: Response) -> None:
        with self._desks.store() as store:
            record = store.find(ticket.batch_id, ticket.execution)
            if record is not None and not compose.fail_at_rest(store, record, response):
                return
        self._crashes.forget(ticket.execution_key)
        queue.remove(ticket.execution_key, number=ticket.number)

    def _note_duration(self, child: Child) -> None:
        took = time.monotonic() - child.started
        before = self._typical
        self._typical = took if before is None else before + _FRESHNESS * (took - before)

    def _end(self, queue: BatchQueue) -> None:
        """Let the children drain, then interrupt them, then kill them; what they had is free."""
        # two signals at the same moment would be one
        self._ask_to_end(queue, lambda: self._stop + _GRACE if self._stop else LOOK)
        self._ask_to_end(queue, lambda: _GRACE)
        self._ask_to_end(queue, lambda: _GRACE, at_once=True)
        with suppress(StoreError):
            queue.leave(self._me.service_id)

    def _ask_to_end(self, queue: BatchQueue, grace: Callable[[], float], *, at_once: bool = False) -> None:
        """Until all have, for at most `grace()` seconds, which may grow less meanwhile."""
        for child in self._children:
            child.stop(at_once=at_once)
        since = time.monotonic()
        self._bury_all(queue)
        while self._children and (rest := since + grace() - time.monotonic()) > 0:
            self._children.wait(min(LOOK, rest), self._bell)
            self._bury_all(queue)

    def _bury_all(self, queue: BatchQueue) -> None:
        """Those that have ended; also when the store is out of reach, where their tickets' lease runs out."""
        if time.monotonic() - self._renewed >= RENEW:
            with suppress(StoreError):
                queue.renew(self._me)
                self._renewed = time.monotonic()
        for child in self._children.ended():
            try:
                self._bury(queue, child, stopping=True)
            except Exception as error:  # the others must be drained, whatever happens to this one
                _log.warning("batch %r: %s", child.ticket.batch_id, error)
                self._children.drop(child)
