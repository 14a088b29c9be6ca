"""Alerts: what the operations team is told when a batch needs somebody (specification, section 6).

Times are epoch seconds.
"""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec


class Level(StrEnum):
    """How much it matters."""

    WARNING = "warning"
    CRITICAL = "critical"


class AlertKind(StrEnum):
    """What can be wrong."""

    CRITICAL_ERROR = "critical-error"
    RUN_FAILED = "run-failed"
    DEADLINE_AT_RISK = "deadline-at-risk"
    FAILURE_RATE_JUMP = "failure-rate-jump"
    TOLERANCE_EXCEEDED = "tolerance-exceeded"
    NO_PROGRESS = "no-progress"
    OWNER_GONE = "owner-gone"
    CHECKPOINT_FAILING = "checkpoint-failing"
    OUTBOX_STUCK = "outbox-stuck"
    EVENT_PARKED = "event-parked"
    STORAGE_AWAY = "storage-away"
    STORAGE_SLOW = "storage-slow"
    STORAGE_AVAILABILITY = "storage-availability"
    NODE_FAILED = "node-failed"
    NODE_AVAILABILITY = "node-availability"
    CONTROL_TOTALS_MISMATCH = "control-totals-mismatch"
    BREAKER_OPEN = "breaker-open"


_CRITICAL = frozenset(
    {
        AlertKind.CRITICAL_ERROR,
        AlertKind.NO_PROGRESS,
        AlertKind.OWNER_GONE,
        AlertKind.CHECKPOINT_FAILING,
        AlertKind.STORAGE_AWAY,
        AlertKind.CONTROL_TOTALS_MISMATCH,
    }
)

#: What the end of a run does not mend: it stands until a later run of the batch ends well, or for ever.
LASTING = frozenset(
    {
        AlertKind.CRITICAL_ERROR,
        AlertKind.RUN_FAILED,
        AlertKind.TOLERANCE_EXCEEDED,
        AlertKind.CONTROL_TOTALS_MISMATCH,
    }
)


class Condition(msgspec.Struct, frozen=True):
    """Something that is wrong now. Equal in kind and `about` is one incident, however the text changes."""

    kind: AlertKind
    text: str
    #: Which one, where there may be several: a node, an event.
    about: str = ""

    @property
    def level(self) -> Level:
        """How much it matters."""
        return Level.CRITICAL if self.kind in _CRITICAL else Level.WARNING


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One incident of one execution, from its first condition to its end."""

    alert_id: str
    batch_id: str
    execution: int
    kind: AlertKind
    level: Level
    about: str = ""
    text: str
    raised_at: float
    #: When the condition was there last, and how often it came.
    seen_at: float
    occurrences: int = 1
    #: How often somebody was told, when last, through which channel, and that one's place in the escalation.
    pages: int = 0
    paged_at: float | None = None
    channel: str = ""
    step: int = 0
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    resolved_at: float | None = None

    @property
    def incident(self) -> str:
        """What one alert at a time may stand for."""
        return f"{self.batch_id}@{self.execution}/{self.kind}/{self.about}"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is told of these alerts for a while; they are recorded all the same."""

    #: Patterns with `*`: which batches, and which kinds.
    batch: str = "*"
    kind: str = "*"
    until: float
    by: str = ""
    reason: str = ""

    def covers(self, alert: Alert, at: float) -> bool:
        """Whether it is about this alert now."""
        return (
            at < self.until and fnmatchcase(alert.batch_id, self.batch) and fnmatchcase(alert.kind, self.kind)
        )


class Reason(StrEnum):
    """Why somebody is told."""

    RAISED = "raised"
    REPEATED = "repeated"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One message to people about one alert."""

    alert: Alert
    channel: str
    reason: Reason

    @property
    def title(self) -> str:
        """One line."""
        alert = self.alert
        state = "resolved" if self.reason is Reason.RESOLVED else alert.level
        return f"[{state}] {alert.kind}: batch {alert.batch_id}"

    @property
    def body(self) -> str:
        """What a person needs to know, in a few lines."""
        alert = self.alert
        lines = [alert.text, "", f"batch: {alert.batch_id} (execution {alert.execution})"]
        lines.append(f"alert: {alert.alert_id} ({alert.kind}, {self.reason}, seen {alert.occurrences} times)")
        if self.reason is not Reason.RESOLVED:
            lines.append(f"stop repeating: everyitem alerts acknowledge {alert.alert_id}")
        return "\n".join(lines)

    def to_dict(self) -> Mapping[str, object]:
        """For programs."""
        alert = self.alert
        return {
            "alertId": alert.alert_id,
            "reason": self.reason,
            "level": alert.level,
            "kind": alert.kind,
            "batchId": alert.batch_id,
            "execution": alert.execution,
            "about": alert.about,
            "text": alert.text,
            "raisedAt": alert.raised_at,
            "occurrences": alert.occurrences,
        }
