"""The worker process of a process node: one slot, one lease at a time, until it is told to leave.

It reads leases from its socket, runs them through the item loop with the window in the shared mapping, and
puts every outcome into the ring the moment it has it. Standard output and error belong to the user's code
and end in the coordinator's log. Without a coordinator it ends at once: there is nobody to work for.
"""

import contextlib
import faulthandler
import gc
import io
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import EveryitemError
from everyitem.work.assignment import Assignment
from everyitem.work.context import BatchView, LogEntry
from everyitem.work.failures import in_short
from everyitem.work.loop import Slot
from everyitem.work.mapping import Mapping
from everyitem.work.processors import check_code, resolve_processor
from everyitem.work.ring import RingWriter
from everyitem.work.ring_collector import RingCollector
from everyitem.work.stretch import MAX_ITEMS, Stretch
from everyitem.work.texts import storable
from everyitem.work.wire import (
    Begin,
    CannotStart,
    Emptied,
    Frames,
    FromWorker,
    LargeOutcome,
    Logged,
    Ready,
    RingFull,
    RunSlice,
    SliceDone,
    ToWorker,
    decode_to_worker,
    frame,
)

_RECEIVE: Final = 1 << 18
#: The kernel's score for running out of memory: a worker is to be killed before the coordinator.
_OOM_SCORE: Final = "500"


def main() -> None:
    """Work for the coordinator that started this process; see `worker_process.py` for how it does."""
    socket_fd, mapping_fd = (int(argument) for argument in sys.argv[1:3])
    del sys.argv[1:]
    _settle_in(socket_fd, mapping_fd)
    mapping = Mapping(mapping_fd)
    os.close(mapping_fd)
    line = Line(socket.socket(fileno=socket_fd))
    begin = line.receive()
    if isinstance(begin, Begin) and not Worker(line, mapping, begin.assignment).serve():
        sys.exit(1)


def _settle_in(*fds: int) -> None:
    for fd in fds:
        # what the user's code starts must neither speak for the worker nor keep its memory
        os.set_inheritable(fd, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what an interrupt means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.enable()  # the last lines of a segmentation fault say where it happened
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # not pathlib: a worker imports nothing it does not need, it starts while somebody waits
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write(_OOM_SCORE)


class Line:
    """The worker's end of the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._frames = Frames(decode_to_worker)
        self._messages: list[ToWorker] = []

    def send(self, message: FromWorker) -> None:
        """Send a message."""
        try:
            self._socket.sendall(frame(message))
        except OSError:
            _end_alone()

    def receive(self) -> ToWorker:
        """Wait for the next message."""
        while not self._messages:
            try:
                data = self._socket.recv(_RECEIVE)
            except OSError:
                data = b""
            if not data:
                _end_alone()
            self._messages = self._frames.feed(data)
        return self._messages.pop(0)


def _end_alone() -> NoReturn:
    # not an exception: it would pass through the user's code, which may catch it and go on
    os._exit(1)


class Worker:
    """Serves one batch with one item processor."""

    def __init__(self, line: Line, mapping: Mapping, assignment: Assignment) -> None:
        self._line, self._window = line, mapping.words
        self._assignment = assignment
        self._ring = RingWriter(mapping, drain=self._drain, ship=self._ship)
        self._collector = RingCollector(self._ring, self._log, max_attempts=assignment.max_attempts)

    def serve(self) -> bool:
        """Set up, run leases until told to leave, tear down; False when setting up failed."""
        try:
            assignment = self._assignment
            processor = resolve_processor(assignment.origin, assignment.processor, assignment.sys_path)
            check_code(processor, assignment.code_digest)
            slot = Slot(processor, BatchView(assignment))
            slot.run_hook(processor.setup)
        except BaseException as error:
            self._line.send(CannotStart(_start_problem(error)))
            return False
        gc.freeze()  # what is loaded by now stays; the collector need not look at it again and again
        passing(Failpoint.WORKER_READY)
        self._line.send(Ready())
        self._run_leases(slot)
        slot.run_hook(processor.teardown)
        slot.close()
        return True

    def _run_leases(self, slot: Slot) -> None:
        while isinstance(message := self._line.receive(), RunSlice):
            self._run_slice(slot, message)

    def _run_slice(self, slot: Slot, slice_: RunSlice) -> None:
        passing(Failpoint.SLICE_RECEIVED)
        stop_at = time.monotonic_ns() + round(slice_.budget * 1e9)
        indices = _indices_of(slice_.ranges)
        self._ring.begin(slice_.lease_id)
        self._collector.begin_lease()
        first = 0
        for text in slice_.stretches:
            stretch = Stretch(text, indices[first : first + MAX_ITEMS], first=first, attempt=slice_.attempt)
            first = slot.work(
                stretch, self._window, self._collector, stop_at=stop_at, until_failure=slice_.until_failure
            )
            # a stretch may have ended at its last item for a reason that ends the slice
            is_over = first < stretch.stop or time.monotonic_ns() >= stop_at
            if is_over or (slice_.until_failure and self._collector.has_final_failure):
                break
        passing(Failpoint.SLICE_WORKED)
        self._line.send(SliceDone(slice_.lease_id))

    def _drain(self) -> None:
        self._line.send(RingFull())
        passing(Failpoint.RING_FULL)
        while not isinstance(self._line.receive(), Emptied):
            continue

    def _ship(self, position: int, text: bytes) -> None:
        self._line.send(LargeOutcome(position, text))
        passing(Failpoint.LARGE_OUTCOME_SENT)

    def _log(self, entry: LogEntry) -> None:
        # at once: what an item said before it killed the process is what one wants to read
        self._line.send(Logged([entry]))


def _indices_of(ranges: list[tuple[int, int]]) -> Sequence[int]:
    if len(ranges) == 1:
        first, count = ranges[0]
        return range(first, first + count)
    return [index for first, count in ranges for index in range(first, first + count)]


def _start_problem(error: BaseException) -> str:
    """What a person needs to mend the item processor's module or its `setup`."""
    if isinstance(error, EveryitemError):
        return storable(str(error))
    return f"setup of the item processor failed: {in_short(error)}"
