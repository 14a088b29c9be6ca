"""One worker process as its coordinator sees it: spawned, spoken to, killed, and what it leaves behind.

Mechanics only; what to do when is decided in `supervision.py`.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from enum import Enum, auto
from pathlib import Path
from typing import Final

from everyitem.adapters.nodes.guard import GUARD
from everyitem.adapters.nodes.log_tail import LogTail
from everyitem.adapters.nodes.memory_gauge import MemoryGauge
from everyitem.adapters.nodes.vigil import Vigil
from everyitem.failpoints import Failpoint, passing
from everyitem.model.outcome import OutcomeBlock
from everyitem.ports.node import Lease
from everyitem.work.assignment import Assignment
from everyitem.work.inside import WORKER_VARIABLE
from everyitem.work.mapping import LEASE, Mapping, create_mapping_file
from everyitem.work.outcomes import ranges_of
from everyitem.work.ring import RingReader
from everyitem.work.window import CANCELLED, END, HEARTBEAT, SINCE, STARTED
from everyitem.work.wire import (
    Begin,
    Emptied,
    Frames,
    FromWorker,
    LargeOutcome,
    Leave,
    Logged,
    RunSlice,
    ToWorker,
    decode_from_worker,
    frame,
)

_RECEIVE: Final = 1 << 20

# The worker imports what the coordinator would, also from a checkout that is not installed and whatever
# the current directory is; so `python -m everyitem.work.worker` with its own search path would not do.
_BOOT: Final = (
    "import os, sys; sys.path[:] = os.environ.pop('EVERYITEM_WORKER_PATH').split(os.pathsep); "
    "from everyitem.work.worker import main; main()"
)


class Phase(Enum):
    """Where a worker process is in its life."""

    STARTING = auto()
    IDLE = auto()
    BUSY = auto()


class Verdict(Enum):
    """Why the coordinator killed a worker, where it did."""

    ITEM_TIMEOUT = auto()
    OUT_OF_MEMORY = auto()
    STALLED = auto()
    RECYCLED = auto()
    INTERRUPTED = auto()
    CLOSED = auto()


class WorkerProcess:
    """A living worker process and everything shared with it. Used by the node's thread only."""

    def __init__(self, *, holder: str, slot: int, assignment: Assignment) -> None:
        """Spawn the process and send it its assignment.

        Raises `OSError` where the machine has no process, descriptor or memory left for it.
        """
        self.holder, self.slot = holder, slot
        self._at_most_once = assignment.at_most_once
        self.phase = Phase.STARTING
        self.verdict: Verdict | None = None
        self.lease: Lease | None = None
        #: Positions of the lease this worker may still hand in outcomes for (less after a revocation).
        self.kept = 0
        #: Whether a revocation of the lease is being carried out or was.
        self.revoked = False
        self.leased_at = self.drained_at = 0.0
        #: Positions begun when a long run was last reported; 0 for not yet in this lease.
        self.reported = 0
        #: Looks in a row in which it had a lease, no item, and got nowhere; where it stood then.
        self._still, self._stood = 0, (-1, -1)
        #: Position of the item for whose time or memory the worker was killed.
        self.condemned_at = -1
        #: Bytes it took before its first item; 0 while it starts.
        self.fresh_bytes = 0
        #: Why the worker could not start, in its own words.
        self.start_problem = ""
        self._vigil = Vigil(assignment.start_timeout)
        #: Why it was replaced though it had not ended.
        self.gave_up = ""
        #: Whether the other end of the socket is closed.
        self.has_hung_up = False
        #: Items finished over the whole life, without those of the current lease.
        self.done = 0
        self._elsewhere: dict[int, bytes] = {}
        self._logs: list[tuple[int, int, str, str]] = []
        self._inbox: list[FromWorker] = []
        self._frames = Frames(decode_from_worker)
        self._outgoing = bytearray()
        self._spawn()
        self.send(Begin(assignment))

    def _spawn(self) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            self.socket, far_socket = socket.socketpair()
            ours.callback(self.socket.close)
            theirs.callback(far_socket.close)
            self.socket.setblocking(False)
            mapping_fd = create_mapping_file()
            theirs.callback(os.close, mapping_fd)
            mapping = Mapping(mapping_fd)
            ours.callback(mapping.close)
            log_fd, far_log_fd = os.pipe()
            theirs.callback(os.close, far_log_fd)
            self.log = LogTail(log_fd, self.holder)
            ours.callback(self.log.close)
            mark = uuid.uuid4().hex
            self._process = _popen(far_socket.fileno(), mapping_fd, far_log_fd, mark)
            self.pid = self._process.pid
            passing(Failpoint.WORKER_SPAWNED)
            try:
                GUARD.watch(self.pid, f"{WORKER_VARIABLE}={mark}")
                self.death_fd = _death_fd(self.pid)
            except OSError:
                self._kill_group()
                self._process.wait()
                GUARD.release(self.pid)
                raise
            if self.death_fd is not None:
                ours.callback(os.close, self.death_fd)
            self.memory = MemoryGauge(self.pid)
            ours.callback(self.memory.close)
            self._resources = ours.pop_all()
        self._words = mapping.words
        self._ring = RingReader(mapping)

    # -- talking ---------------------------------------------------------------------------------------

    def send(self, message: ToWorker) -> None:
        """Send a message, or as much of it as goes through; `flush` sends the rest."""
        self._outgoing += frame(message)
        self.flush()

    def flush(self) -> None:
        """Send what is left over. A worker that is gone takes nothing; its death is noticed elsewhere."""
        while self._outgoing:
            try:
                sent = self.socket.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self._outgoing.clear()
                return
            del self._outgoing[:sent]

    @property
    def is_sending(self) -> bool:
        """Whether something is left over for `flush`."""
        return bool(self._outgoing)

    def receive(self) -> list[FromWorker]:
        """Read a portion; returns the messages that are complete, less those kept for `take`."""
        self._read()
        messages, self._inbox = self._inbox, []
        return messages

    def _read(self) -> bool:
        """Read a portion of what is there; False when there is nothing or the worker is gone."""
        try:
            data = self.socket.recv(_RECEIVE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.has_hung_up = not data
        for message in self._frames.feed(data):
            if isinstance(message, LargeOutcome):
                self._elsewhere[message.position] = message.text
            elif isinstance(message, Logged):
                self._logs += message.records
            else:
                self._inbox.append(message)
        return bool(data)

    # -- leases ----------------------------------------------------------------------------------------

    def run(self, lease: Lease, stretches: list[bytes]) -> None:
        """Give the idle worker a lease with the texts of its items, as `RunSlice` describes them."""
        self.phase, self.lease, self.kept = Phase.BUSY, lease, len(lease.indices)
        self.revoked = False
        self.reported = 0
        self._still, self._stood = 0, (-1, -1)
        self.leased_at = self.drained_at = time.monotonic()
        self._words[END], self._words[CANCELLED] = self.kept, 0
        self._ring.begin(lease.lease_id, lease.indices, lease.attempt)
        self.send(
            RunSlice(
                lease_id=lease.lease_id,
                ranges=ranges_of(lease.indices),
                attempt=lease.attempt,
                budget=lease.budget,
                until_failure=lease.until_failure,
                stretches=stretches,
            )
        )

    def stop_early(self) -> None:
        """First half of a revocation: begin no further item."""
        self.revoked = True
        self._words[END] = 0

    def settle_end(self) -> int:
        """Second half, at least a millisecond later: the position from which on nothing was begun.

        A worker might begin an item at this very moment. So under at-most-once all stays with it until it
        says itself where it has stopped, which is soon.
        """
        if not self._at_most_once:
            self.kept = min(self.kept, self.begun)
        return self.kept

    @property
    def begun(self) -> int:
        """How many positions of the lease were begun; one too many where the worker found its end there."""
        lease, words = self.lease, self._words
        return words[STARTED] + 1 if lease is not None and words[LEASE] == lease.lease_id else 0

    @property
    def in_flight(self) -> range:
        """Positions of the lease begun but not finished: none, one item, or a chunk."""
        begun = self.begun
        return range(self._ring.finished, min(begun, self.kept))

    def gets_nowhere(self) -> str:
        """Why it is not waited for any longer, if so. To be asked every `vigil.LOOK` seconds."""
        return self._vigil.look(
            is_starting=self.phase is Phase.STARTING, is_stopped=_state_of(self.pid) == "T"
        )

    def stands_still(self) -> int:
        """For how many looks in a row, this one included, it has been between the same two items."""
        stands = (self.begun, self.finished)
        self._still = self._still + 1 if stands == self._stood else 0
        self._stood = stands
        return self._still

    @property
    def finished(self) -> int:
        """How many positions of the lease are finished."""
        return self._ring.finished if self.lease is not None else 0

    @property
    def since(self) -> float:
        """Monotonic seconds at which the current attempt began."""
        return self._words[SINCE] / 1e9

    @property
    def alive_at(self) -> float:
        """Monotonic seconds from which the item's timeout counts: begin of the attempt or last heartbeat."""
        return max(self._words[SINCE], self._words[HEARTBEAT]) / 1e9

    def take(self) -> OutcomeBlock:
        """The outcomes and logs that were not taken yet."""
        block = self._ring.take(self._elsewhere)
        for position in [position for position in self._elsewhere if position < self._ring.taken]:
            del self._elsewhere[position]
        if self._logs:
            block.logs, self._logs = self._logs, []
        self.drained_at = time.monotonic()
        passing(Failpoint.OUTCOMES_TAKEN)
        return block

    def tell_emptied(self) -> None:
        """Everything finished was taken: let the worker go on."""
        self._ring.emptied()
        self.send(Emptied())

    def end_lease(self) -> None:
        """The lease is over and its outcomes are taken."""
        self.done += self.finished
        self.phase, self.lease, self.kept = Phase.IDLE, None, 0

    # -- the end ---------------------------------------------------------------------------------------

    def ask_to_leave(self) -> None:
        """Let the worker run `teardown` and end, once it is idle."""
        self._words[CANCELLED] = 1
        self.send(Leave())

    def condemn(self, position: int, verdict: Verdict) -> None:
        """Kill the worker because the item at this position has had its time, or takes too much memory."""
        self.condemned_at = position
        self.kill(verdict)

    def give_up(self, reason: str) -> None:
        """Kill the worker because it gets nowhere."""
        self.gave_up = reason
        self.kill(Verdict.STALLED)

    def recycle(self) -> None:
        """Let the idle worker end for a fresh one to take its place."""
        self.verdict = Verdict.RECYCLED
        self.ask_to_leave()

    def kill(self, verdict: Verdict | None = None) -> None:
        """Kill the process and everything it started. Its death follows at once."""
        if self.verdict is None:
            self.verdict = verdict
        self._kill_group()

    def _kill_group(self) -> None:
        # The leader is at worst a zombie here, so its number cannot belong to a stranger yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def bury(self) -> list[FromWorker]:
        """After the death: end what it leaked, read what it left, and reap it. Returns its last messages."""
        self._kill_group()
        while self._read():
            continue
        self.log.read_rest()
        self._process.wait()
        GUARD.release(self.pid)
        messages, self._inbox = self._inbox, []
        return messages

    @property
    def exit_text(self) -> str:
        """How the dead process ended: its exit code or the signal that killed it."""
        code = self._process.returncode
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def free(self) -> None:
        """Give back what was shared with the dead process."""
        self._resources.close()


def _interpreter_options() -> list[str]:
    """How this Python was started, as far as the user's code can tell: `-O`, `-W` and `-X`."""
    optimise = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    extra = [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]  # noqa: SLF001
    return [*optimise, *(f"-W{option}" for option in sys.warnoptions), *extra]


def _popen(socket_fd: int, mapping_fd: int, log_fd: int, mark: str) -> subprocess.Popen[bytes]:
    package_root = str(Path(__file__).parents[3])
    search_path = [path or str(Path.cwd()) for path in sys.path]
    if package_root not in search_path:
        search_path.append(package_root)
    environment = dict(os.environ)
    # also in what its items start, so that the guard finds what has left the group
    environment[WORKER_VARIABLE] = mark
    environment["EVERYITEM_WORKER_PATH"] = os.pathsep.join(search_path)
    return subprocess.Popen(
        [sys.executable, "-P", *_interpreter_options(), "-c", _BOOT, str(socket_fd), str(mapping_fd)],
        stdin=subprocess.DEVNULL,
        stdout=log_fd,
        stderr=log_fd,
        pass_fds=(socket_fd, mapping_fd),
        env=environment,
        start_new_session=True,
    )


def _death_fd(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends, where the system has such a thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EPERM}:  # old kernels, some sandboxes
            return None
        raise


def _state_of(pid: int) -> str:
    """The kernel's letter for what a process does, `T` for stopped; empty where nobody says."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # behind the name of the program, which may contain anything
    return text.rpartition(b") ")[2][:1].decode()
