"""A station: what stands on a Dask worker for one run, between Dask and the processes that run items.

    Dask task ── run_task ──▶ station ── ProcessNode ──▶ item processes
    node's questions ── ask ──▶ station

The user's code never runs in the Dask worker itself but in worker processes of the station, the same
that a process node has: so timeouts, heartbeats, memory, crashes and `setup` work alike in both places, and
what an item does to its process does not touch Dask. When the Dask worker dies, the guard ends its items.
"""

import asyncio
import logging
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from distributed import get_worker

from everyitem.adapters.nodes.dask.frames import (
    OPERATION,
    TOPIC,
    Answer,
    Ask,
    Glimpse,
    Loss,
    Opening,
    Report,
    Software,
    Welcome,
    decode_ask,
    decode_opening,
    decode_task,
    encode,
    software_of,
)
from everyitem.adapters.nodes.process_node import ProcessNode
from everyitem.model.errors import EveryitemError
from everyitem.model.items import ItemChunk
from everyitem.model.outcome import OutcomeBlock
from everyitem.model.resources import NodeKind, NodeSpec
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    Lease,
    NodeFailed,
    NodeMessage,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.work.assignment import Assignment, OriginKind
from everyitem.work.stretch import MAX_ITEMS
from everyitem.work.wire import RunSlice

logger = logging.getLogger(__name__)

#: Seconds without a word from the coordinator after which a station counts as abandoned and closes.
ABANDONED: Final = 60.0


class _ShippedItems:
    """The items of slices that are here now, as they came: one text for each stretch."""

    named = False
    digest = ""

    def __init__(self) -> None:
        self._texts: dict[tuple[int, ...], bytes] = {}

    def hold(self, stretches: list[tuple[Sequence[int], bytes]]) -> None:
        for indices, text in stretches:
            self._texts[tuple(indices)] = text

    def drop(self, stretches: list[tuple[Sequence[int], bytes]]) -> None:
        for indices, _ in stretches:
            self._texts.pop(tuple(indices), None)

    def text(self, indices: Sequence[int]) -> bytes:
        return self._texts[tuple(indices)]

    def __len__(self) -> int:
        return len(self._texts)

    def chunks(self) -> Iterator[ItemChunk]:
        return iter(())


class _Running:
    """One slice in an item process."""

    def __init__(self, lease: Lease, slice_: RunSlice) -> None:
        #: The lease under the station's own number: Dask may bring the same slice twice.
        self.lease = lease
        self.known_as = slice_.lease_id
        self.blocks: list[OutcomeBlock] = []
        #: Blocks in front of these have arrived at the coordinator.
        self.taken = 0
        self.kept: int | None = None
        self.is_over = False
        self.loss: Loss | None = None

    def add(self, block: OutcomeBlock) -> None:
        if block or block.logs:
            self.blocks.append(block)

    def glimpse(self) -> Glimpse:
        return Glimpse(self.known_as, self.blocks[self.taken :], self.taken, self.kept)


class Station:
    """The item processes of one run on this Dask worker. Methods may be called from any thread."""

    def __init__(self, opening: Opening, *, threads: int) -> None:
        self.name = uuid.uuid4().hex
        self.slots = min(threads, opening.slots)
        #: Why no item can run here; empty while they can.
        self.problem = ""
        self.heard_at = time.monotonic()
        self._at_most_once = opening.assignment.at_most_once
        #: Seconds the item processes have to start; afterwards the worker counts as unable to run the batch.
        self._start_timeout = opening.assignment.start_timeout
        self._folder: Path | None = None
        self._changed = threading.Condition()
        #: Item processes that have become ready so far.
        self._joined = 0
        self._idle: list[str] = []
        self._running: dict[str, _Running] = {}
        #: Numbers of slices that were begun here, and of those that were taken back before they came.
        self._begun: set[int] = set()
        self._taken_back: set[int] = set()
        self._numbers = 0
        self._is_closed = False
        self._items = _ShippedItems()
        self._node = ProcessNode(
            NodeSpec(
                node_id="dask",
                kind=NodeKind.PROCESS,
                slots=self.slots,
                memory_mb=opening.memory_mb and opening.memory_mb * self.slots,
            ),
            slots=self.slots,
            assignment=self._settle_in(opening),
            items=self._items,
        )
        self._node.start(self._hear)

    def _settle_in(self, opening: Opening) -> Assignment:
        """The assignment as it is valid here: a file that was sent along has a path of its own."""
        assignment = opening.assignment
        if not opening.file_name:
            return assignment
        self._folder = Path(tempfile.mkdtemp(prefix="everyitem-"))
        path = self._folder / Path(opening.file_name).name
        path.write_bytes(opening.file)
        origin = msgspec.structs.replace(assignment.origin, kind=OriginKind.FILE, where=str(path.resolve()))
        return msgspec.structs.replace(assignment, origin=origin)

    def wait(self) -> None:
        """Wait until the item processes are ready, or it is known that none will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._joined >= self.slots or self.problem, self._start_timeout)
            if not self._joined and not self.problem:
                self.problem = (
                    f"no item process was ready within {self._start_timeout:g} s (workerStartSeconds)"
                )

    # -- slices ----------------------------------------------------------------------------------------

    def run(self, slice_: RunSlice) -> Report:
        """Run a slice to its end in an item process; waits for it."""
        stretches = list(_stretches(slice_))
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self.problem or self._is_closed)
            if self.problem or self._is_closed:
                return Report(problem="" if self._is_closed else self.problem, unopened=self._is_closed)
            if slice_.lease_id in self._taken_back:
                return Report(taken_back=True)
            if self._at_most_once and slice_.lease_id in self._begun:
                return Report(refused=True)
            self._begun.add(slice_.lease_id)
            holder = self._idle.pop()
            self._numbers += 1
            indices = [index for part, _ in stretches for index in part]
            lease = Lease(
                self._numbers,
                range(indices[0], indices[0] + len(indices)) if len(slice_.ranges) == 1 else tuple(indices),
                slice_.attempt,
                slice_.budget,
                slice_.until_failure,
            )
            self._running[holder] = running = _Running(lease, slice_)
        self._items.hold(stretches)
        try:
            self._node.run_slice(holder, lease)
            with self._changed:
                self._changed.wait_for(lambda: running.is_over)
                return Report(glimpse=running.glimpse(), loss=running.loss)
        finally:
            self._items.drop(stretches)

    def _hear(self, message: NodeMessage) -> None:
        """Take note of what the item processes have to say."""
        with self._changed:
            match message:
                case HolderJoined():
                    self._joined += 1
                    self._idle.append(message.holder)
                case OutcomesArrived() if (running := self._of(message)) is not None:
                    running.add(message.block)
                    return
                case SliceShortened() if (running := self._of(message)) is not None:
                    running.kept = message.kept
                    return
                case SliceFinished() if (running := self._of(message)) is not None:
                    running.add(message.block)
                    self._end(message.holder, running)
                    self._idle.append(message.holder)
                case HolderLost():
                    self._lose(message)
                case NodeFailed():
                    self.problem = message.reason
            self._changed.notify_all()

    def _of(self, message: OutcomesArrived | SliceShortened | SliceFinished) -> _Running | None:
        running = self._running.get(message.holder)
        return running if running is not None and running.lease.lease_id == message.lease_id else None

    def _lose(self, message: HolderLost) -> None:
        if message.holder in self._idle:
            self._idle.remove(message.holder)
        if not message.replaced:
            self.problem = self.problem or message.reason
        running = self._running.get(message.holder)
        if running is not None:
            running.add(message.block)
            running.loss = Loss(message.reason, message.isolate, message.begun)
            self._end(message.holder, running)

    def _end(self, holder: str, running: _Running) -> None:
        running.is_over = True
        del self._running[holder]

    # -- beside them -----------------------------------------------------------------------------------

    def answer(self, ask: Ask) -> Answer:
        """Say how far the slices are; begin to take back what is wanted back."""
        ages = {view.worker: view for view in self._node.views()}
        now = time.monotonic()
        glimpses: list[Glimpse] = []
        with self._changed:
            self.heard_at = now
            wanted = dict(ask.leases)
            for holder, running in self._running.items():
                if running.known_as in ask.revoked:
                    self._node.revoke(holder, running.lease.lease_id)
                if running.known_as in wanted:
                    running.taken = max(running.taken, wanted[running.known_as])
                    glimpse, view = running.glimpse(), ages.get(holder)
                    if view is not None and view.index is not None:
                        age = max(0.0, now - view.since)
                        glimpse = msgspec.structs.replace(glimpse, index=view.index, age=age)
                    glimpses.append(glimpse)
            # what has not come yet must not begin when it comes
            self._taken_back.update(lease_id for lease_id in ask.revoked if lease_id not in self._begun)
        if ask.interrupt:
            self._node.interrupt()
        return Answer(not self._is_closed, glimpses)

    def close(self) -> None:
        """End the item processes, with `teardown` where they are idle; waits for them."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._node.close()
        with self._changed:
            for holder, running in list(self._running.items()):
                running.loss = Loss("the station was closed")
                self._end(holder, running)
            self._changed.notify_all()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _stretches(slice_: RunSlice) -> Iterator[tuple[Sequence[int], bytes]]:
    """The texts of a slice with the indices of their items, cut as a process node cuts a lease."""
    indices = [index for first, count in slice_.ranges for index in range(first, first + count)]
    for number, text in enumerate(slice_.stretches):
        yield indices[number * MAX_ITEMS : (number + 1) * MAX_ITEMS], text


class _Stations:
    """The stations of this Dask worker's process, by run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_run: dict[str, Station] = {}
        self._closed: set[str] = set()

    def find(self, run_id: str) -> Station | None:
        with self._lock:
            return self._by_run.get(run_id)

    def open(self, opening: bytes, worker: Any) -> Welcome:
        """Open the station an `Opening` asks for, unless it is; waits until it is ready."""
        difference = software_of(opening).difference(Software.here())
        if difference:
            return Welcome(problem=difference)
        asked = decode_opening(opening)
        with self._lock:
            station = self._by_run.get(asked.run_id)
            if station is None:
                worker.handlers.setdefault(OPERATION, answer)
                try:
                    station = Station(asked, threads=worker.state.nthreads)
                except (EveryitemError, OSError) as error:
                    return Welcome(problem=str(error))
                self._by_run[asked.run_id] = station
                threading.Thread(
                    target=self._watch, args=(asked.run_id, station), name="everyitem-station", daemon=True
                ).start()
        station.wait()
        if station.problem:
            problem = station.problem
            self.close(asked.run_id)
            return Welcome(problem=problem)
        return Welcome(station.name, station.slots)

    def close(self, run_id: str) -> None:
        with self._lock:
            station = self._by_run.pop(run_id, None)
        if station is not None:
            station.close()

    def _watch(self, run_id: str, station: Station) -> None:
        """Close the station when its coordinator is not heard of any more."""
        while self.find(run_id) is station:
            left = station.heard_at + ABANDONED - time.monotonic()
            if left > 0:
                time.sleep(min(left, 1.0))
                continue
            logger.warning("run %s: its coordinator has not been heard of for %g s", run_id, ABANDONED)
            self.close(run_id)


_stations = _Stations()


# What Dask calls, by name. These take and give bytes.


async def open_station(opening: bytes, dask_worker: Any) -> bytes:
    """Open a station on this worker; the answer is a `Welcome`."""
    return encode(await asyncio.to_thread(_stations.open, opening, dask_worker))


def run_task(frame: bytes) -> bytes:
    """One Dask task: run a slice on this worker; the answer is a `Report`."""
    task = decode_task(frame)
    worker = get_worker()
    station = _stations.find(task.run_id)
    if station is None and task.opening:
        welcome = _stations.open(task.opening, worker)
        if welcome.problem:
            return encode(Report(problem=welcome.problem, worker=worker.address))
        station = _stations.find(task.run_id)
    if station is None:
        return encode(Report(unopened=True, worker=worker.address))
    if task.station not in ("", station.name):
        return encode(Report(refused=True, worker=worker.address))
    station.heard_at = time.monotonic()
    begun = {"run": task.run_id, "lease": task.slice.lease_id, "worker": worker.address}
    worker.loop.add_callback(worker.log_event, TOPIC, begun)
    report = station.run(task.slice)
    return encode(msgspec.structs.replace(report, worker=worker.address))


async def answer(frame: bytes) -> bytes:
    """A question beside the tasks (`Ask`); the answer is an `Answer`."""
    ask = decode_ask(frame)
    station = _stations.find(ask.run_id)
    if station is None:
        return encode(Answer(is_open=False))
    if ask.close:
        await asyncio.to_thread(_stations.close, ask.run_id)
        return encode(Answer(is_open=False))
    return encode(station.answer(ask))


def nothing() -> None:
    """A Dask task that shows how long the way is."""
