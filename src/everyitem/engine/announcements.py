"""What a run tells of itself between its checkpoints: that it began, how far it is, what has changed.

Pure: it is told the time. An announcement goes out with the next transaction there is, so a run that records
nothing tells nothing; alerts are for that.
"""

from typing import Final

from everyitem.engine import events
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.progress import Progress

#: Seconds between two announcements of progress.
EVERY: Final = 10.0
#: Share of the window that is used up before a late end is announced (as the alert's default).
AT_RISK: Final = 0.8


class Announcements:
    """Decides what there is to announce, for one run."""

    def __init__(self, record: ExecutionRecord) -> None:
        self._record = record
        self._has_begun = self._is_at_risk = False
        self._told_at: float | None = None
        self._slots: int | None = None
        self._number = 0

    def of(self, status: ExecutionStatus | None, progress: Progress | None, at: float) -> list[OutboxEvent]:
        """What a transaction announces that records this state and progress, at `at` (epoch seconds)."""
        told: list[OutboxEvent] = []
        if status is ExecutionStatus.RUNNING and not self._has_begun:
            self._has_begun = True
            self._told_at = at
            told.append(events.batch_started(self._record, at=at))
        if progress is not None:
            told += self._resources(progress, at)
            told += self._progress(progress, at)
            told += self._deadline(progress, at)
        return told

    def _resources(self, progress: Progress, at: float) -> list[OutboxEvent]:
        before, self._slots = self._slots, progress.parallelism
        if before is None or before == progress.parallelism:
            return []
        now = progress.parallelism
        return [events.resources_changed(self._record, before=before, now=now, number=self._next(), at=at)]

    def _progress(self, progress: Progress, at: float) -> list[OutboxEvent]:
        if self._told_at is not None and self._told_at <= at < self._told_at + EVERY:
            return []
        self._told_at = at
        return [events.batch_progressed(self._record, progress, number=self._next(), at=at)]

    def _deadline(self, progress: Progress, at: float) -> list[OutboxEvent]:
        figures, eta = progress.figures, progress.eta_seconds
        is_open = progress.succeeded + progress.failed < self._record.item_count
        is_late = eta is None or figures.window_used + eta > figures.window
        if self._is_at_risk or not (is_open and figures.window and is_late):
            return []
        if figures.window_used < AT_RISK * figures.window:
            return []
        self._is_at_risk = True
        return [events.deadline_at_risk(self._record, progress, at=at)]

    def _next(self) -> int:
        self._number += 1
        return self._number
