"""From how a run is to what is wrong with it. Pure: it is told the time (monotonic seconds)."""

from collections import deque

from everyitem.model.alerts import LASTING, AlertKind, Condition
from everyitem.model.errors import ErrorCode
from everyitem.model.figures import Availability
from everyitem.model.redaction import redact
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.monitoring import Outbox
from everyitem.ports.observer import Vitals
from everyitem.ports.relay import ParkedEvent
from everyitem.settings.alerting import Limits

#: Endings that are critical; the others are what the document asked for, or a person.
_CRITICAL_CODES = frozenset((ErrorCode.SYSTEM_ERROR, ErrorCode.RESOURCE_ERROR, ErrorCode.TIMEOUT_ERROR))

#: Seconds between two samples for the failure rate.
_SAMPLE = 1.0


def is_deadline_at_risk(vitals: Vitals, limits: Limits = Limits()) -> bool:
    """Most of the window is used up, and the forecast lies beyond its end."""
    used, window = vitals.figures.window_used, vitals.figures.window
    if not window or not vitals.open or used < limits.window_used * window:
        return False
    return vitals.eta_seconds is None or used + vitals.eta_seconds > window


def dead_owner(record: ExecutionRecord) -> Condition | None:
    """For who looks at other processes' executions: one whose process died, and nobody goes on with it."""
    if record.owned or record.status is not ExecutionStatus.INTERRUPTED:
        return None
    text = f"the process that carried batch {record.batch_id!r} out is gone; everyitem resume goes on with it"
    return Condition(AlertKind.OWNER_GONE, text)


def outbox_stuck(outbox: Outbox, now: float, limits: Limits = Limits()) -> Condition | None:
    """For who publishes events (`now`: epoch seconds): the oldest of them has waited too long."""
    if outbox.oldest is None or now - outbox.oldest <= limits.outbox_seconds:
        return None
    waited = now - outbox.oldest
    return Condition(
        AlertKind.OUTBOX_STUCK, f"{outbox.count:,} events wait to be published, the oldest for {waited:.0f} s"
    )


def event_parked(event: ParkedEvent) -> Condition:
    """For who publishes events: one is given up, until somebody offers it again."""
    text = f"event {event.event_id} is given up, nobody wants it: {event.refusal}"
    return Condition(AlertKind.EVENT_PARKED, text, event.event_id)


class RunWatch:
    """What is wrong with one run, look by look."""

    def __init__(self, limits: Limits, at: float) -> None:
        self._limits = limits
        self._outcomes = -1
        self._progressed_at = self._saved_at = at
        self._checkpoints = -1
        self._away_since: float | None = None
        #: (at, outcomes, failed), about one a second, over twice the time failures are looked at.
        self._samples: deque[tuple[float, int, int]] = deque()
        #: What others have noticed, and did not take back.
        self._noticed: dict[tuple[AlertKind, str], Condition] = {}
        self._lasting: dict[AlertKind, Condition] = {}
        self._nodes_failed: int | None = None

    def notice(self, condition: Condition, *, stands: bool) -> None:
        """Take what another part of the engine knows to be wrong, or to be well again."""
        key = condition.kind, condition.about
        if stands:
            self._noticed[key] = condition
        else:
            self._noticed.pop(key, None)

    def look(self, at: float, vitals: Vitals) -> list[Condition]:
        """Everything that is wrong now."""
        found = [
            self._progress(at, vitals),
            self._checkpoint(at, vitals),
            self._deadline(vitals),
            self._failures(at, vitals),
            self._tolerance(vitals),
            *self._store(at, vitals),
            *self._nodes(vitals),
        ]
        return [*(one for one in found if one is not None), *self._noticed.values()]

    def end(self, code: str, message: str) -> list[Condition]:
        """What the end of the run leaves wrong."""
        left = [one for one in self._noticed.values() if one.kind in LASTING]
        left += self._lasting.values()
        if code:
            kind = AlertKind.CRITICAL_ERROR if code in _CRITICAL_CODES else AlertKind.RUN_FAILED
            left.append(Condition(kind, redact(f"the run ended with {code}: {message}")))
        return left

    def _progress(self, at: float, vitals: Vitals) -> Condition | None:
        outcomes = vitals.succeeded + vitals.failed
        if outcomes != self._outcomes or vitals.status is not ExecutionStatus.RUNNING or not vitals.open:
            self._outcomes, self._progressed_at = outcomes, at
        still = at - self._progressed_at
        if still < self._limits.no_progress_seconds:
            return None
        text = (
            f"no item has got an outcome for {still:.0f} s; {vitals.open:,} are open, "
            f"{vitals.in_flight:,} with workers, {vitals.retries_waiting:,} wait for another attempt"
        )
        return Condition(AlertKind.NO_PROGRESS, text)

    def _checkpoint(self, at: float, vitals: Vitals) -> Condition | None:
        if not vitals.is_unsaved or vitals.figures.checkpoint.count != self._checkpoints:
            self._saved_at, self._checkpoints = at, vitals.figures.checkpoint.count
        waiting = at - self._saved_at
        if waiting < self._limits.checkpoint_seconds:
            return None
        return Condition(
            AlertKind.CHECKPOINT_FAILING, f"outcomes have waited for a checkpoint for {waiting:.0f} s"
        )

    def _deadline(self, vitals: Vitals) -> Condition | None:
        if vitals.status is not ExecutionStatus.RUNNING or not is_deadline_at_risk(vitals, self._limits):
            return None
        used, window = vitals.figures.window_used, vitals.figures.window
        needs = "cannot be told" if vitals.eta_seconds is None else f"takes {vitals.eta_seconds:,.0f} s more"
        text = (
            f"{used / window:.0%} of the time limit of {window / 3600:g} h is used up, and the rest "
            f"({vitals.open:,} items) {needs}; it ends with a TIMEOUT_ERROR and can be resumed then"
        )
        return Condition(AlertKind.DEADLINE_AT_RISK, text)

    def _failures(self, at: float, vitals: Vitals) -> Condition | None:
        outcomes, limits = vitals.succeeded + vitals.failed, self._limits
        samples = self._samples
        if not samples or at >= samples[-1][0] + _SAMPLE:
            samples.append((at, outcomes, vitals.failed))
        while len(samples) > 1 and samples[1][0] <= at - limits.failure_seconds:
            samples.popleft()
        _, outcomes_before, failed_before = samples[0]
        lately, failed = outcomes - outcomes_before, vitals.failed - failed_before
        if failed < limits.failures_at_least or failed < limits.failure_share * lately:
            return None
        share, share_before = failed / lately, failed_before / outcomes_before if outcomes_before else 0.0
        if share < limits.failure_factor * share_before:
            return None
        text = f"{share:.0%} of the latest {lately:,} items failed, {share_before:.1%} of those before"
        return Condition(AlertKind.FAILURE_RATE_JUMP, text)

    def _tolerance(self, vitals: Vitals) -> Condition | None:
        if vitals.tolerated is None or vitals.failed <= vitals.tolerated:
            return None
        text = f"{vitals.failed:,} items have failed for good, and no more than {vitals.tolerated:,} may"
        condition = Condition(AlertKind.TOLERANCE_EXCEEDED, text)
        self._lasting[condition.kind] = condition
        return condition

    def _store(self, at: float, vitals: Vitals) -> list[Condition | None]:
        limits, figures = self._limits, vitals.figures
        if not vitals.store_is_away:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = at
        away = 0.0 if self._away_since is None else at - self._away_since
        return [
            Condition(AlertKind.STORAGE_AWAY, f"the store has not answered for {away:.0f} s")
            if away >= limits.store_away_seconds
            else None,
            Condition(AlertKind.STORAGE_SLOW, f"the store took {figures.store.latest:.1f} s to answer")
            if figures.store.latest > limits.store_response_seconds
            else None,
            self._availability(
                AlertKind.STORAGE_AVAILABILITY,
                "the store",
                figures.store_availability,
                limits.store_availability,
            ),
        ]

    def _nodes(self, vitals: Vitals) -> list[Condition | None]:
        failed, before = vitals.figures.nodes_failed, self._nodes_failed
        if before is None:
            self._nodes_failed = before = failed
        lost = f"{failed - before} nodes have failed; the batch goes on with what is left"
        return [
            Condition(AlertKind.NODE_FAILED, lost) if failed > before else None,
            self._availability(
                AlertKind.NODE_AVAILABILITY,
                "the nodes' slots",
                vitals.figures.node_availability,
                self._limits.node_availability,
            ),
        ]

    def _availability(
        self, kind: AlertKind, what: str, measured: Availability, wanted: float
    ) -> Condition | None:
        needed = measured.up + measured.down
        if needed < self._limits.availability_seconds or measured.share >= wanted:
            return None
        text = f"{what}: there {measured.share:.4%} of the time, which is less than {wanted:.4%}"
        return Condition(kind, text)
