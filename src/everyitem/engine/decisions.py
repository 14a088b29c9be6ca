"""Telling what the engine has decided of its own accord, and why: in the log, and to observers."""

import logging
import math

from everyitem.engine.allotment import Allotment
from everyitem.engine.breaker import Breaker, BreakerView, Standing
from everyitem.engine.observers import Observers
from everyitem.model.alerts import AlertKind, Condition
from everyitem.model.wording import many

_log = logging.getLogger("everyitem")


class Decisions:
    """Looks now and then whether there is anything new to tell."""

    def __init__(self, allotment: Allotment, breaker: Breaker, observers: Observers) -> None:
        self._allotment, self._breaker, self._observers = allotment, breaker, observers
        self._told_at = -math.inf
        self._outage = BreakerView()

    def tell(self, now: float) -> None:
        """Tell what has been decided since the last look (`now`: monotonic seconds)."""
        for change in self._allotment.changes:
            if change.at > self._told_at:
                self._told_at = change.at
                _log.info("%s to %s: %s", change.move, many(change.slots, "slot"), change.reason)
        before, view = self._outage, self._breaker.view
        self._outage = view
        was_open = before.standing is not Standing.CLOSED
        if was_open and (view.standing is Standing.CLOSED or view.openings > before.openings):
            _log.warning("the outage (%s) is over after %.0f s", before.named, now - before.since)
            self._observers.noticed(_outage(before), stands=False)
        if view.standing is not Standing.CLOSED and view.openings > before.openings:
            _log.warning("%s", _outage(view).text)
            self._observers.noticed(_outage(view), stands=True)


def _outage(view: BreakerView) -> Condition:
    text = (
        f"most items fail with {view.named}, which looks like an outage of what they depend on: items wait, "
        "one at a time probes, and no retries are used up"
    )
    return Condition(AlertKind.BREAKER_OPEN, text, view.cause)
