"""The checkpoint writer: the one thread that writes while an execution runs.

It commits everything that waits in one transaction (group commit), publishes progress, prolongs the
ownership and brings the requests other processes left. It decides nothing: the state machine says what is
saved, the store how, and how long to wait for a store that is out of reach is the ownership's own patience.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from everyitem.engine.commits import CommitBuilder
from everyitem.engine.messages import (
    CancelAsked,
    ChangeStatus,
    CheckpointSaved,
    EventsHeard,
    Message,
    PauseAsked,
    ResourcesAllocated,
    ResumeAsked,
    SaveCheckpoint,
    SettleAsked,
    SlotsGranted,
    StoreFailed,
)
from everyitem.failpoints import Failpoint, passing
from everyitem.model.allocation import Allocation
from everyitem.model.errors import ErrorCode, StoreError
from everyitem.model.resources import AllocatedResources
from everyitem.ports.checkpoint import Commit
from everyitem.ports.control import Control, ControlKind
from everyitem.ports.progress import Progress
from everyitem.ports.store import Ownership

#: Seconds between two looks into the control inbox, and between two renewals of ownership and progress.
POLL = 0.2
#: A poll interval less than the second within which who looks is promised something new.
RENEW = 0.8
#: Seconds a commit follows the one before at the earliest, so that quick checkpoints share one; what the
#: engine waits for (a charge, the end) does not wait.
SPACING = 0.01
#: Events about deferred items passed on at a time.
AT_ONCE = 500

_log = logging.getLogger("everyitem.engine")


class CheckpointWriter:
    """Carries out `SaveCheckpoint` and `ChangeStatus` on a thread of its own."""

    def __init__(
        self,
        ownership: Ownership,
        builder: CommitBuilder,
        post: Callable[[Message], None],
        *,
        active_ms: Callable[[], int],
        awaits_events: Callable[[], bool],
        on_saved: Callable[[float, float, Commit], None] | None = None,
        resources: AllocatedResources,
        version: int = 0,
    ) -> None:
        """`active_ms`: active milliseconds over all runs by now; `awaits_events`: whether items are deferred.

        `resources` are those the run begins with, by an allocation of this `version` where it is not 0.
        `on_saved` is told of each commit with segments, and when (monotonic) it began and ended.
        """
        self._ownership = ownership
        self._builder = builder
        self._post = post
        self._active_ms = active_ms
        self._on_saved = on_saved
        self._awaits_events = awaits_events
        #: What is allocated now, and by which version.
        self.resources, self._version = resources, version
        self._inbox: queue.SimpleQueue[SaveCheckpoint | ChangeStatus | None] = queue.SimpleQueue()
        #: What the next renewal publishes; replaced as a whole by the engine's loop.
        self.progress: Progress | None = None
        #: Epoch seconds of the last commit that held a segment.
        self.last_checkpoint_at: float | None = None
        #: Monotonic seconds at which the latest commit was through.
        self._committed = 0.0
        #: Monotonic seconds at which the store was last asked for events.
        self._heard = 0.0
        self._failed = False
        #: How many commands were handed over, taken, and are through; told by `_moved`.
        self._handed = self._taken = self._through = 0
        self._moved = threading.Event()
        self._thread = threading.Thread(target=self._run, name="everyitem-writer", daemon=True)

    def start(self) -> None:
        """Begin writing."""
        self._thread.start()

    def put(self, command: SaveCheckpoint | ChangeStatus) -> None:
        """Hand over something to write; never blocks."""
        self._handed += 1
        self._inbox.put(command)

    def flush(self) -> None:
        """Wait until everything handed over so far was written, or never will be; not after `stop`."""
        while True:
            self._moved.clear()
            if self._through == self._handed:
                return
            self._moved.wait()

    def stop(self) -> None:
        """Write what waits and end the thread."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        renewed = time.monotonic()
        stopping = False
        while not stopping:
            waiting, stopping = self._wait()
            if self._failed:
                continue
            try:
                for group in _by_status(waiting):
                    self._write(group)
                due = time.monotonic() - renewed >= RENEW
                # looking is a cheap read; taking what is there is a write, and goes with the renewal
                if not stopping and (due or self._ownership.controls()):
                    renewed = time.monotonic()
                    self._hear(self._ownership.renew(self.progress))
                    self._hear_allocation(self._ownership.allocation())
                if not stopping and self._awaits_events():
                    self._hear_events()
            except StoreError as error:
                self._give_up(error.code, str(error))
            except Exception as error:
                # a writer that dies in silence would leave the execution waiting for ever
                _log.exception("the checkpoint writer failed")
                self._give_up(ErrorCode.SYSTEM_ERROR, f"the checkpoint writer failed: {error!r}")

    def _give_up(self, code: ErrorCode, reason: str) -> None:
        self._failed = True
        self._post(StoreFailed(time.monotonic(), code, reason))

    def _wait(self) -> tuple[list[SaveCheckpoint | ChangeStatus], bool]:
        """Everything that waits now, after at most one poll interval; and whether to stop after it."""
        self._through = self._taken
        self._moved.set()
        waiting: list[SaveCheckpoint | ChangeStatus] = []
        try:
            command = self._inbox.get(timeout=POLL)
            while command is not None:
                self._taken += 1
                waiting.append(command)
                is_urgent = isinstance(command, ChangeStatus) or command.is_urgent
                wait = 0.0 if is_urgent else self._committed + SPACING - time.monotonic()
                command = self._inbox.get(timeout=max(0.0, wait))
        except queue.Empty:
            return waiting, False
        return waiting, True

    def _write(self, waiting: Sequence[SaveCheckpoint | ChangeStatus]) -> None:
        if not waiting:
            return
        commit = self._builder.build(
            waiting,
            progress=self.progress,
            active_ms=self._active_ms(),
            wall=time.time(),
            monotonic=time.monotonic(),
        )
        began = time.monotonic()
        self._ownership.commit(commit)
        self._committed = time.monotonic()
        if commit.segments and self._on_saved is not None:
            self._on_saved(began, self._committed, commit)
        saves = [one for one in waiting if isinstance(one, SaveCheckpoint)]
        if saves:
            if commit.segments:
                self.last_checkpoint_at = time.time()
            self._post(CheckpointSaved(time.monotonic(), saves[-1].ticket))
            passing(Failpoint.COMMIT_CONFIRMED)

    def _hear(self, controls: Sequence[Control]) -> None:
        """Pass on what other processes asked for."""
        for control in controls:
            match control.kind:
                case ControlKind.PAUSE:
                    self._post(PauseAsked(time.monotonic()))
                case ControlKind.RESUME:
                    self._post(ResumeAsked(time.monotonic()))
                case ControlKind.CANCEL:
                    self._post(CancelAsked(time.monotonic()))
                case ControlKind.GRANT if control.slots is not None:
                    self._post(SlotsGranted(time.monotonic(), control.slots))
                case ControlKind.SETTLE if control.settlement is not None:
                    self._post(SettleAsked(time.monotonic(), control.settlement))

    def _hear_allocation(self, allocation: Allocation | None) -> None:
        """Pass on what is allocated, where it has changed."""
        if allocation is None or allocation.version <= self._version:
            return
        for node_id in allocation.changed_beyond_slots(self.resources):
            _log.warning(
                "version %d of the resources changes more of node %s than its slots; the rest stays as it is",
                allocation.version,
                node_id,
            )
        self._version, self.resources = allocation.version, allocation.applied_to(self.resources)
        self._post(ResourcesAllocated(time.monotonic(), self._version, self.resources))

    def _hear_events(self) -> None:
        """Pass on what events say of deferred items; the last part says that there is nothing more."""
        now = time.monotonic()
        if now < self._heard + POLL:
            return
        self._heard = now
        while True:
            completions = self._ownership.completions(AT_ONCE)
            is_last = len(completions) < AT_ONCE
            self._post(EventsHeard(time.monotonic(), completions, now if is_last else None))
            if is_last:
                return


def _by_status(
    waiting: Sequence[SaveCheckpoint | ChangeStatus],
) -> Iterator[list[SaveCheckpoint | ChangeStatus]]:
    """What one transaction may hold: one change of state at most; to pass one over is an illegal move."""
    group: list[SaveCheckpoint | ChangeStatus] = []
    for command in waiting:
        if isinstance(command, ChangeStatus) and any(isinstance(one, ChangeStatus) for one in group):
            yield group
            group = []
        group.append(command)
    yield group
