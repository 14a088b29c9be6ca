"""What has to become durable, and when: segments by count and time, pending retries, charges.

Pure. A save has a ticket; `CheckpointSaved(ticket)` confirms it and every earlier one. Outcomes that are
not confirmed are bounded in bytes: while the buffer is full no slices are issued, and nothing is dropped.
"""

from collections.abc import Collection, Iterable

from everyitem.engine.deferral_record import DeferralRecord
from everyitem.engine.messages import RetryChange, SaveCheckpoint
from everyitem.engine.segments import SegmentCutter
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.outcome import Excuse, Failure, Successes
from everyitem.ports.checkpoint import Counters, SegmentDraft
from everyitem.ports.deferral import DeferralChange
from everyitem.ports.doubt import Intent, Settlement

#: Bytes of results that may wait for the disk.
BUFFER_BYTES = 64 << 20


class Recorder:
    """Collects what happened since the last save and decides when to save."""

    def __init__(
        self,
        configuration: ProcessingConfiguration,
        *,
        at: float,
        counters: Counters = Counters(),
        pending: frozenset[int] = frozenset(),
        deferred: Iterable[tuple[int, int]] = (),
    ) -> None:
        """`counters` are those of the last checkpoint, `pending` the items whose retry is stored already.

        `deferred` are the deferrals that are stored, as (index, attempt).
        """
        self.deferrals = DeferralRecord(deferred)
        self._checkpointing = configuration.enable_checkpointing
        self._cutter = SegmentCutter(configuration.checkpoint_interval if self._checkpointing else None)
        self._seconds = configuration.checkpoint_interval_seconds if self._checkpointing else None
        self._last_cut = at
        self._before = counters
        self._succeeded, self._failed = counters.succeeded, counters.failed
        self._checkpoints = counters.checkpoints
        #: Retry changes since the last save, and the items the store knows as pending.
        self._changes: dict[int, RetryChange] = {}
        self._stored_pending = set(pending)
        #: Those of them whose next attempt may be a first one: no others are among what succeeds at first.
        self._first_again = set(pending)
        self._at_most_once = configuration.at_most_once
        #: Changed intents since the last save; None: it is over.
        self._intents: dict[int, Intent | None] = {}
        self._ticket = 0
        self._saved = 0
        #: (ticket, bytes) of saves that are not confirmed, and their sum.
        self._unsaved: list[tuple[int, int]] = []
        self._unsaved_bytes = 0
        self._charges_due = False
        self._cut_everything = False
        self._last = False

    @property
    def has_room(self) -> bool:
        """Whether outcomes may keep coming (always, where there are no checkpoints to wait for)."""
        return self._buffered < BUFFER_BYTES or not self._checkpointing

    @property
    def _buffered(self) -> int:
        return self._cutter.bytes + self._unsaved_bytes

    @property
    def all_saved(self) -> bool:
        """Every save asked for is confirmed and nothing waits to be asked for."""
        return (
            self._saved == self._ticket
            and self._cutter.is_empty
            and not self._cut_everything
            and not self._intents
            and not self.deferrals.is_due
        )

    @property
    def is_waiting(self) -> bool:
        """A save that was asked for is not confirmed yet."""
        return self._saved < self._ticket

    @property
    def confirmed(self) -> int:
        """The ticket up to which every save is durable."""
        return self._saved

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be cut into a segment."""
        return self._cutter.is_empty

    @property
    def checkpoints(self) -> int:
        """Segments cut so far, over all runs."""
        return self._checkpoints

    def add_successes(self, run: Successes) -> None:
        """Take in outcomes."""
        self._cutter.add_successes(run)

    def add_failure(self, failure: Failure) -> None:
        """Take in a failed attempt."""
        self._cutter.add_failure(failure)

    def excuse(self, excuses: Collection[Excuse]) -> None:
        """These failed attempts do not count after all.

        What is on its way to the disk already is excused there in a segment that is cut at once, so that it
        comes in the same save as the retry that is given back: the record never shows one without the other.
        """
        if self._cutter.excuse(excuses):
            self._cut_everything = True

    def add_logs(self, logs: list[tuple[int, int, str, str]]) -> None:
        """Take in log records of items."""
        self._cutter.add_logs(logs)

    def pending(self, index: int, attempts: int, due: float, *, alone: bool) -> None:
        """An item waits for its next attempt; stored with the next save."""
        if attempts == 0:
            self._first_again.add(index)
        self._changes[index] = RetryChange(index, attempts, due, alone)

    def secure_charges(self) -> int:
        """The pending retries must be durable before anything else happens to them; returns the ticket."""
        self._charges_due = True
        return self._ticket + 1

    def intend(self, intents: Iterable[Intent]) -> int:
        """These items may be called, or are in doubt, once the save of the returned ticket is durable."""
        self._intents.update((intent.index, intent) for intent in intents)
        return self._ticket + 1

    def withdraw(self, indices: Iterable[int]) -> None:
        """These items were never started: their intents are over."""
        self._intents.update(dict.fromkeys(indices))

    def defer(self, change: DeferralChange) -> int:
        """An item is deferred, and its event counts once the save of the returned ticket is durable."""
        self.deferrals.begin(change)
        return self._ticket + 1

    def settled(self, settlement: Settlement) -> None:
        """A person decided about an item in doubt; durable as soon as can be."""
        self._cutter.add_settlement(settlement)
        self._intents[settlement.index] = None

    def cut_soon(self) -> int:
        """Checkpoint what there is at the next opportunity; returns the ticket, 0 without checkpoints."""
        self._cut_everything = self._checkpointing
        return self._ticket + 1 if self._checkpointing else 0

    def cut_last(self) -> None:
        """The run ends: save everything, also an empty batch's one checkpoint."""
        self._last = True
        self._cut_everything = True

    def saved(self, ticket: int) -> None:
        """Everything up to this ticket is durable."""
        self._saved = max(self._saved, ticket)
        self._unsaved = [one for one in self._unsaved if one[0] > ticket]
        self._unsaved_bytes = sum(size for _, size in self._unsaved)

    def next_cut(self) -> float | None:
        """When the time interval asks for a checkpoint, if anything waits for one."""
        if self._seconds is None or self._cutter.is_empty:
            return None
        return self._last_cut + self._seconds

    def advance(self, at: float, *, retried: int, steals: int, busy_us: int) -> list[SaveCheckpoint]:
        """The save that is due now, if any. The totals are this run's."""
        if self._intents or (self._at_most_once and self._charges_due):
            # with new intents goes every outcome there is: fewer items to be in doubt, and no commit more
            self._cut_everything = True
        is_urgent = self._charges_due or self._cut_everything
        size = self._cutter.bytes
        segments = self._due_segments(at)
        size -= self._cutter.bytes
        if not (segments or self._charges_due or self._intents or self.deferrals.is_due):
            return []
        for segment in segments:
            self._succeeded += segment.succeeded
            self._failed += segment.failed
        self._checkpoints += len(segments)
        self._ticket += 1
        self._charges_due = False
        if segments:
            self._last_cut = at
            self._unsaved.append((self._ticket, size))
            self._unsaved_bytes += size
        before = self._before
        counters = Counters(
            succeeded=self._succeeded,
            failed=self._failed,
            retried=before.retried + retried,
            steals=before.steals + steals,
            busy_us=before.busy_us + busy_us,
            active_ms=before.active_ms,
            window_ms=before.window_ms,
            checkpoints=self._checkpoints,
        )
        # a full buffer keeps work from being dealt, so it is waited for as well
        is_urgent = is_urgent or not self.has_room
        changes = self._take_changes(segments)
        stored, cleared = self._take_intents(segments, changes)
        return [
            SaveCheckpoint(
                self._ticket,
                segments,
                changes,
                counters,
                is_urgent,
                intents=stored,
                intents_cleared=cleared,
                deferrals=self.deferrals.take(segments),
            )
        ]

    def _take_intents(
        self, segments: list[SegmentDraft], retries: Iterable[RetryChange]
    ) -> tuple[list[Intent], list[int]]:
        """Intents to store and to clear: an outcome, a failed attempt or its retry ends the one it came of.

        A retry is saved before its failure where a segment was full just then: nobody doubts such an item.
        """
        if not (self._at_most_once or self._intents):
            return [], []
        changes, self._intents = self._intents, {}
        if self._at_most_once:
            for segment in segments:
                for run in segment.successes:
                    for index in run.indices():
                        changes.setdefault(index)
                for failure in segment.failures:
                    changes.setdefault(failure.index)
            for retry in retries:
                changes.setdefault(retry.index)
        stored = [intent for intent in changes.values() if intent is not None]
        return stored, [index for index, intent in changes.items() if intent is None]

    def _due_segments(self, at: float) -> list[SegmentDraft]:
        if self._cut_everything:
            self._cut_everything = False
            segments = self._cutter.take_all()
            if self._last and not segments and not self._checkpoints:
                # an empty batch has one checkpoint (contract section 2)
                segments = [SegmentDraft([], [])]
            return segments
        due = self.next_cut()
        if due is not None and at >= due:
            return self._cutter.take_all()
        if not self.has_room and not self._unsaved and not self._cutter.has_full:
            # results so large that the buffer is full before the segment is: nothing is dealt while it
            # is full, so waiting for the count would be waiting for the clock
            return self._cutter.take_all()
        return self._cutter.take_full()

    def _take_changes(self, segments: list[SegmentDraft]) -> list[RetryChange]:
        """Pending retries to store or clear, true to exactly the outcomes this save makes durable.

        An item whose outcome sits in a segment that is not full yet stays pending on disk: after a crash
        it is tried again with the attempts it had used up.
        """
        watched = self._stored_pending | self._changes.keys()
        done: set[int] = set()
        if watched:
            first_again = self._first_again & watched
            for segment in segments:
                for run in segment.successes:
                    if among := watched if run.attempt > 1 else first_again:
                        done |= among.intersection(run.indices())
                done.update(failure.index for failure in segment.failures if failure.final)
        cleared = [RetryChange(index, 0, None) for index in sorted(done & self._stored_pending)]
        stored = [change for index, change in self._changes.items() if index not in done]
        self._stored_pending -= done
        self._first_again -= done
        self._stored_pending.update(change.index for change in stored)
        self._changes = {}
        return cleared + stored
