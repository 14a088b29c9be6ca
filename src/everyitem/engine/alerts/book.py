"""The book of alerts: which conditions make one, whom to tell of it and when, and when it is over.

Pure: it is told the time (epoch seconds) and handed ids. An incident has one alert. Its first page goes to
the first channel; one that fails, or takes too long, is followed by the next one at once, and a page nobody
acknowledges by the next one after the time to repeat. No incident is told twice within that time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from everyitem.model.alerts import LASTING, Alert, Condition, Level, Page, Reason, Silence
from everyitem.settings.alerting import AlertSettings

#: Seconds after which an alert that is due has nobody who tells it.
_FORSAKEN = 60.0

#: An execution: batch id and number.
Scope = tuple[str, int]


@dataclass(slots=True)
class _Delivery:
    """A page under way."""

    page: Page
    step: int
    since: float


class AlertBook:
    """All alerts one process knows of."""

    def __init__(self, settings: AlertSettings, *, new_id: Callable[[], str]) -> None:
        self._settings = settings
        self._new_id = new_id
        #: By incident: those that stand, and those resolved lately.
        self._alerts: dict[str, Alert] = {}
        self._conditions: dict[Scope, dict[str, Condition]] = {}
        self._under_way: dict[str, _Delivery] = {}
        #: Alert ids: not to be tried before; resolved and still to be told.
        self._again_at: dict[str, float] = {}
        self._to_resolve: set[str] = set()
        self._told_resolved: set[str] = set()
        self._paged: deque[float] = deque()
        self._silences: Sequence[Silence] = ()
        self._changed: dict[str, Alert] = {}

    # ------------------------------------------------------------- what is heard

    def remember(self, alerts: Iterable[Alert]) -> None:
        """Take what is recorded: alerts of earlier processes, and what others did to those known here."""
        for recorded in alerts:
            known = self._alerts.get(recorded.incident)
            if known is None:
                self._alerts[recorded.incident] = recorded
            elif known.alert_id != recorded.alert_id and known.raised_at > recorded.raised_at:
                # the incident was recorded already, by a process before or beside this one
                self._under_way.pop(known.alert_id, None)
                self._changed.pop(known.alert_id, None)
                self._put(
                    replace(
                        recorded,
                        seen_at=known.seen_at,
                        text=known.text,
                        occurrences=recorded.occurrences + known.occurrences,
                        resolved_at=known.resolved_at,
                        pages=recorded.pages + known.pages,
                        paged_at=recorded.paged_at if known.paged_at is None else known.paged_at,
                    )
                )
            elif known.alert_id == recorded.alert_id:
                self._alerts[known.incident] = _followed(known, recorded)

    def adopt(self, alerts: Iterable[Alert], at: float) -> None:
        """Take over critical alerts that nobody repeats: whoever told of them is gone."""
        for recorded in alerts:
            is_urgent = recorded.level is Level.CRITICAL and recorded.acknowledged_at is None
            if (
                is_urgent
                and recorded.resolved_at is None
                and recorded.incident not in self._alerts
                and at >= self._next_page(recorded) + _FORSAKEN
            ):
                self._alerts[recorded.incident] = recorded

    def silence(self, silences: Sequence[Silence]) -> None:
        """Take the silences in force."""
        self._silences = silences

    def see(self, scope: Scope, conditions: Sequence[Condition], at: float) -> None:
        """Everything that is wrong with an execution now."""
        standing = {_incident(scope, condition): condition for condition in conditions}
        self._conditions[scope] = standing
        for incident, condition in standing.items():
            self._stands(scope, incident, condition, at)

    def end(self, scope: Scope, conditions: Sequence[Condition], at: float) -> None:
        """What the end of a run leaves wrong with its execution; all else is over with it.

        Without any it has ended well, and what earlier runs have left is over, too.
        """
        self.see(scope, conditions, at)
        left = self._conditions.pop(scope)
        for alert in list(self._alerts.values()):
            is_over = alert.kind not in LASTING or not conditions
            if (alert.batch_id, alert.execution) == scope and alert.incident not in left and is_over:
                self._resolve(alert, at)

    def _stands(self, scope: Scope, incident: str, condition: Condition, at: float) -> None:
        known = self._alerts.get(incident)
        if known is None or (
            known.resolved_at is not None
            and (known.acknowledged_at is not None or at >= self._next_page(known))
        ):
            self._put(
                Alert(
                    alert_id=self._new_id(),
                    batch_id=scope[0],
                    execution=scope[1],
                    kind=condition.kind,
                    level=condition.level,
                    about=condition.about,
                    text=condition.text,
                    raised_at=at,
                    seen_at=at,
                )
            )
        elif known.resolved_at is not None:
            # back within the time nobody is told twice: the same incident
            self._to_resolve.discard(known.alert_id)
            self._put(
                replace(
                    known,
                    resolved_at=None,
                    seen_at=at,
                    text=condition.text,
                    occurrences=known.occurrences + 1,
                )
            )
        else:
            # told to the store with the next change: its text changes with every look
            self._alerts[incident] = replace(known, seen_at=at, text=condition.text)

    # ------------------------------------------------------------- what is done about it

    def decide(self, at: float) -> list[Page]:
        """The pages to send now."""
        pages = []
        while self._paged and self._paged[0] <= at - self._settings.repeat_seconds:
            self._paged.popleft()
        self._settle(at)
        for alert in sorted(self._alerts.values(), key=lambda one: (one.level, one.raised_at)):
            if (page := self._page(alert, at)) is not None:
                pages.append(page)
            elif alert.resolved_at is not None and at >= self._next_page(alert):
                self._forget(alert)
        return pages

    def _settle(self, at: float) -> None:
        """Alerts whose condition has been gone for long enough are over."""
        for alert in self.standing:
            conditions = self._conditions.get((alert.batch_id, alert.execution))
            if conditions is None or alert.incident in conditions or alert.kind in LASTING:
                continue
            if at >= alert.seen_at + self._settings.settle_seconds:
                self._resolve(alert, at)

    def delivered(self, page: Page, at: float, *, reached: bool) -> None:
        """A channel says what came of a page, maybe of one that was given up already."""
        alert_id = page.alert.alert_id
        delivery = self._under_way.get(alert_id)
        is_late = delivery is None or delivery.page != page
        if not reached:
            if delivery is not None and not is_late:
                delivery.since = -self._settings.delivery_seconds  # given up at the next decision
            return
        if delivery is not None:
            del self._under_way[alert_id]
        alert = self._alerts.get(page.alert.incident)
        if alert is None or alert.alert_id != alert_id or page.reason is Reason.RESOLVED:
            return
        self._told_resolved.discard(alert_id)
        step = self._settings.escalation.index(page.channel)
        told = replace(alert, pages=alert.pages + 1, paged_at=at, channel=page.channel, step=step)
        self._put(told)
        if told.resolved_at is not None:
            self._tell_resolved(told)  # it was over before anybody heard of it

    def changes(self) -> list[Alert]:
        """What is to be recorded since this was asked last."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way."""
        return not self._under_way

    @property
    def standing(self) -> list[Alert]:
        """Alerts that are not resolved."""
        return [alert for alert in self._alerts.values() if alert.resolved_at is None]

    def _page(self, alert: Alert, at: float) -> Page | None:
        delivery = self._under_way.get(alert.alert_id)
        if delivery is not None:
            return self._go_on(alert, delivery, at)
        is_silenced = any(silence.covers(alert, at) for silence in self._silences)
        if is_silenced or at < self._again_at.get(alert.alert_id, 0.0):
            return None
        if alert.resolved_at is not None:
            if alert.alert_id not in self._to_resolve:
                return None
            self._to_resolve.discard(alert.alert_id)
            return self._send(alert, alert.step, Reason.RESOLVED, at)
        if alert.acknowledged_at is not None or len(self._paged) >= self._settings.most_pages:
            return None
        if alert.paged_at is None:
            self._paged.append(at)
            return self._send(alert, 0, Reason.RAISED, at)
        if at < self._next_page(alert):
            return None
        last = len(self._settings.escalation) - 1
        self._paged.append(at)
        reason = Reason.ESCALATED if alert.step < last else Reason.REPEATED
        return self._send(alert, min(alert.step + 1, last), reason, at)

    def _go_on(self, alert: Alert, delivery: _Delivery, at: float) -> Page | None:
        """The next channel where one has failed or takes too long."""
        if at < delivery.since + self._settings.delivery_seconds:
            return None
        del self._under_way[alert.alert_id]
        if delivery.page.reason is Reason.RESOLVED:
            return None
        if delivery.step + 1 < len(self._settings.escalation):
            return self._send(alert, delivery.step + 1, delivery.page.reason, at)
        self._again_at[alert.alert_id] = at + self._settings.retry_seconds
        return None

    def _send(self, alert: Alert, step: int, reason: Reason, at: float) -> Page:
        step = min(step, len(self._settings.escalation) - 1)
        page = Page(alert=alert, channel=self._settings.escalation[step], reason=reason)
        self._under_way[alert.alert_id] = _Delivery(page, step, at)
        return page

    def _next_page(self, alert: Alert) -> float:
        return (alert.paged_at or alert.raised_at) + self._settings.repeat_seconds

    def _resolve(self, alert: Alert, at: float) -> None:
        if alert.resolved_at is not None:
            return
        self._put(replace(alert, resolved_at=at))
        if alert.pages:
            self._tell_resolved(alert)

    def _tell_resolved(self, alert: Alert) -> None:
        if alert.acknowledged_at is None and alert.alert_id not in self._told_resolved:
            # once per page: who flaps is not worth two messages a minute
            self._told_resolved.add(alert.alert_id)
            self._to_resolve.add(alert.alert_id)

    def _put(self, alert: Alert) -> None:
        self._alerts[alert.incident] = alert
        self._changed[alert.alert_id] = alert

    def _forget(self, alert: Alert) -> None:
        del self._alerts[alert.incident]
        self._again_at.pop(alert.alert_id, None)
        self._to_resolve.discard(alert.alert_id)
        self._told_resolved.discard(alert.alert_id)


def _followed(known: Alert, recorded: Alert) -> Alert:
    """An alert with what others did to it: who looks after it, who told of it, who saw its end."""
    if recorded.acknowledged_at is not None:
        known = replace(
            known, acknowledged_at=recorded.acknowledged_at, acknowledged_by=recorded.acknowledged_by
        )
    if recorded.paged_at is not None and (known.paged_at is None or recorded.paged_at > known.paged_at):
        known = replace(
            known,
            pages=recorded.pages,
            paged_at=recorded.paged_at,
            channel=recorded.channel,
            step=recorded.step,
        )
    if (
        recorded.resolved_at is not None
        and known.resolved_at is None
        and recorded.resolved_at > known.seen_at
    ):
        known = replace(known, resolved_at=recorded.resolved_at)
    return known


def _incident(scope: Scope, condition: Condition) -> str:
    batch_id, execution = scope
    return f"{batch_id}@{execution}/{condition.kind}/{condition.about}"
