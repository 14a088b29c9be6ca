"""Building the transaction that makes what waits durable.

Pure: it is told the time by both clocks. The writer thread and the simulator build their commits with it.
"""

from collections.abc import Sequence

import msgspec

from everyitem.engine.announcements import Announcements
from everyitem.engine.events import checkpoint_created, item_failed
from everyitem.engine.messages import ChangeStatus, RetryChange, SaveCheckpoint
from everyitem.engine.totals import RunningTotals
from everyitem.model.items import Items, item_id_of
from everyitem.model.outcome import Failure
from everyitem.model.totals import Balance
from everyitem.ports.checkpoint import Commit, PendingRetry, SegmentDraft
from everyitem.ports.deferral import Deferral, DeferralChange
from everyitem.ports.doubt import Intent
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.progress import Progress


class CommitBuilder:
    """Makes one commit after the other for one run; each is repeated until it is known to have happened."""

    def __init__(
        self,
        record: ExecutionRecord,
        items: Items,
        *,
        last_sequence: int,
        events: bool,
        totals: RunningTotals | None = None,
        traceparent: str = "",
    ) -> None:
        """`events`: publish CheckpointCreated, as part of the trace; `totals` are moved by every segment."""
        self._record = record
        self._items = items
        self._sequence = last_sequence
        self._events = events
        self._totals = totals
        self._traceparent = traceparent
        self._announcements = Announcements(record)
        #: Microseconds spent in earlier attempts of items that wait for a retry.
        self._spent: dict[int, int] = {}

    def build(
        self,
        waiting: Sequence[SaveCheckpoint | ChangeStatus],
        *,
        progress: Progress | None,
        active_ms: int,
        wall: float,
        monotonic: float,
    ) -> Commit:
        """One transaction out of everything that waits.

        `active_ms` are the active milliseconds over all runs by now; `wall` (epoch seconds) and `monotonic`
        are the same moment, by which due times become times of day.
        """
        segments: list[SegmentDraft] = []
        failed: list[FailedItem] = []
        events: list[OutboxEvent] = []
        commit = Commit(progress=progress, segments=segments, failed=failed, events=events)
        commit.traceparent = self._traceparent
        changes: dict[int, RetryChange] = {}
        intents: dict[int, Intent | None] = {}
        deferrals: dict[int, DeferralChange] = {}
        over: dict[tuple[int, int], None] = {}
        for command in waiting:
            if isinstance(command, ChangeStatus):
                commit.status = command.status
                continue
            for segment in command.segments:
                self._sequence += 1
                segments.append(segment)
                if self._totals is not None:
                    self._totals.record(segment)
                rows = self._failed_items(segment.failures)
                failed.extend(rows)
                events.extend(item_failed(self._record, row, at=wall) for row in rows)
                if self._events:
                    events.append(self._event_of(segment, wall))
            changes.update((change.index, change) for change in command.retries)
            intents.update(dict.fromkeys(command.intents_cleared))
            intents.update((intent.index, intent) for intent in command.intents)
            commit.counters = msgspec.structs.replace(
                command.counters, active_ms=active_ms, totals=self._balances()
            )
            for deferral in command.deferrals:
                if deferral.due is None:
                    deferrals.pop(deferral.index, None)
                    over[deferral.index, deferral.attempt] = None
                else:
                    deferrals[deferral.index] = deferral
        events.extend(self._announcements.of(commit.status, progress, wall))
        commit.retries_set = [
            PendingRetry(change.index, change.attempts, change.due - monotonic + wall, change.alone)
            for change in changes.values()
            if change.due is not None
        ]
        commit.retries_cleared = [change.index for change in changes.values() if change.due is None]
        commit.intents_set = [intent for intent in intents.values() if intent is not None]
        commit.intents_cleared = [index for index, intent in intents.items() if intent is None]
        commit.deferrals_cleared = list(over)
        commit.deferrals_set = [
            Deferral(
                one.index, one.attempt, one.due - monotonic + wall, one.duration_us, self._id_of(one.index)
            )
            for one in deferrals.values()
            if one.due is not None
        ]
        return commit

    def _balances(self) -> dict[str, Balance]:
        return {} if self._totals is None else dict(self._totals.balances)

    def _event_of(self, segment: SegmentDraft, wall: float) -> OutboxEvent:
        return checkpoint_created(
            self._record,
            sequence=self._sequence,
            succeeded=segment.succeeded,
            failed=segment.failed,
            totals=self._balances(),
            at=wall,
        )

    def _failed_items(self, failures: Sequence[Failure]) -> list[FailedItem]:
        """The rows of the items that failed for good; earlier attempts only add to their time."""
        rows = []
        for failure in failures:
            spent = self._spent.pop(failure.index, 0) + failure.duration_us
            if not failure.final:
                self._spent[failure.index] = spent
                continue
            rows.append(
                FailedItem(
                    index=failure.index,
                    item_id=self._id_of(failure.index),
                    attempts=failure.attempt,
                    code=failure.code,
                    type=failure.type,
                    message=failure.message,
                    duration_ms=round(spent / 1000, 3),
                    frames=failure.frames,
                )
            )
        return rows

    def _id_of(self, index: int) -> str:
        return item_id_of(self._items.text((index,))[1:-1], index)
