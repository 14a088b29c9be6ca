"""The checkpoint writer: the one thread that writes while an execution runs.

It commits everything that waits in one transaction (group commit), publishes progress, prolongs the
ownership and brings the requests other processes left. It decides nothing: the state machine says what is
saved, the store how, and how long to wait for a store that is out of reach is the ownership's own patience.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from everyitem.engine.events import checkpoint_created
from everyitem.engine.messages import (
    CancelAsked,
    ChangeStatus,
    CheckpointSaved,
    Message,
    PauseAsked,
    ResumeAsked,
    SaveCheckpoint,
    SettleAsked,
    StoreFailed,
)
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import ErrorCode, StoreError
from everyitem.model.items import Items, item_id_of
from everyitem.model.outcome import Failure
from everyitem.ports.store import (
    Commit,
    Control,
    ControlKind,
    ExecutionRecord,
    FailedItem,
    Intent,
    OutboxEvent,
    Ownership,
    PendingRetry,
    Progress,
    SegmentDraft,
)

#: Seconds between two looks into the control inbox, and between two renewals of ownership and progress.
POLL = 0.2
RENEW = 1.0
#: Seconds a commit follows the one before at the earliest, so that quick checkpoints share one; what the
#: engine waits for (a charge, the end) does not wait.
SPACING = 0.01

_log = logging.getLogger("everyitem.engine")


class CheckpointWriter:
    """Carries out `SaveCheckpoint` and `ChangeStatus` on a thread of its own."""

    def __init__(
        self,
        ownership: Ownership,
        record: ExecutionRecord,
        items: Items,
        post: Callable[[Message], None],
        *,
        last_sequence: int,
        events: bool,
        active_ms: Callable[[], int],
    ) -> None:
        """`events`: publish CheckpointCreated; `active_ms`: active milliseconds over all runs by now."""
        self._ownership = ownership
        self._record = record
        self._items = items
        self._post = post
        self._sequence = last_sequence
        self._events = events
        self._active_ms = active_ms
        self._inbox: queue.SimpleQueue[SaveCheckpoint | ChangeStatus | None] = queue.SimpleQueue()
        #: What the next renewal publishes; replaced as a whole by the engine's loop.
        self.progress: Progress | None = None
        #: Epoch seconds of the last commit that held a segment.
        self.last_checkpoint_at: float | None = None
        #: Microseconds spent in earlier attempts of items that wait for a retry.
        self._spent: dict[int, int] = {}
        #: Monotonic seconds at which the latest commit was through.
        self._committed = 0.0
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

    def settle(self) -> None:
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
                self._write(waiting)
                due = time.monotonic() - renewed >= RENEW
                # looking is a cheap read; taking what is there is a write, and goes with the renewal
                if not stopping and (due or self._ownership.controls()):
                    renewed = time.monotonic()
                    self._hear(self._ownership.renew(self.progress))
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
        commit = self._commit_of(waiting)
        self._ownership.commit(commit)
        self._committed = time.monotonic()
        saves = [one for one in waiting if isinstance(one, SaveCheckpoint)]
        if saves:
            if commit.segments:
                self.last_checkpoint_at = time.time()
            self._post(CheckpointSaved(time.monotonic(), saves[-1].ticket))
            passing(Failpoint.COMMIT_CONFIRMED)

    def _commit_of(self, waiting: Sequence[SaveCheckpoint | ChangeStatus]) -> Commit:
        """One transaction out of everything that waits."""
        segments: list[SegmentDraft] = []
        failed: list[FailedItem] = []
        events: list[OutboxEvent] = []
        commit = Commit(progress=self.progress, segments=segments, failed=failed, events=events)
        retries: dict[int, PendingRetry | None] = {}
        intents: dict[int, Intent | None] = {}
        to_epoch = time.time() - time.monotonic()
        for command in waiting:
            if isinstance(command, ChangeStatus):
                commit.status = command.status
                continue
            for segment in command.segments:
                self._sequence += 1
                segments.append(segment)
                failed.extend(self._failed_items(segment.failures))
                if self._events:
                    events.append(
                        checkpoint_created(
                            self._record,
                            sequence=self._sequence,
                            succeeded=segment.succeeded,
                            failed=segment.failed,
                            at=time.time(),
                        )
                    )
            for change in command.retries:
                retries[change.index] = (
                    None
                    if change.due is None
                    else PendingRetry(change.index, change.attempts, change.due + to_epoch, change.alone)
                )
            intents.update(dict.fromkeys(command.intents_cleared))
            intents.update((intent.index, intent) for intent in command.intents)
            commit.counters = msgspec.structs.replace(command.counters, active_ms=self._active_ms())
        commit.retries_set = [retry for retry in retries.values() if retry is not None]
        commit.retries_cleared = [index for index, retry in retries.items() if retry is None]
        commit.intents_set = [intent for intent in intents.values() if intent is not None]
        commit.intents_cleared = [index for index, intent in intents.items() if intent is None]
        return commit

    def _failed_items(self, failures: Sequence[Failure]) -> list[FailedItem]:
        """The rows of the items that failed for good; earlier attempts only add to their time."""
        rows = []
        for failure in failures:
            spent = self._spent.pop(failure.index, 0) + failure.duration_us
            if not failure.final:
                self._spent[failure.index] = spent
                continue
            text = self._items.text((failure.index,))[1:-1]
            rows.append(
                FailedItem(
                    index=failure.index,
                    item_id=item_id_of(text, failure.index),
                    attempts=failure.attempt,
                    code=failure.code,
                    type=failure.type,
                    message=failure.message,
                    duration_ms=round(spent / 1000, 3),
                    frames=failure.frames,
                )
            )
        return rows

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
                case ControlKind.SETTLE if control.settlement is not None:
                    self._post(SettleAsked(time.monotonic(), control.settlement))
