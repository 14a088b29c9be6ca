"""The relay's thread: it reads the outbox, hands events over, and notes what became of them.

It is no part of any run: whatever it waits for, and however it fails, items go on being processed. An event
is handed over before it is noted as sent, so a crash between the two hands it over again under its id.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from everyitem.engine.alerts.rules import event_parked, outbox_stuck
from everyitem.engine.relay.rounds import Rounds
from everyitem.engine.relay.tenure import Tenure
from everyitem.model.alerts import Condition
from everyitem.model.errors import StoreError, UsageError
from everyitem.model.redaction import redact
from everyitem.ports.relay import EventsRefused, Outgoing, Outlet, Publisher, PublisherAway
from everyitem.settings.alerting import Limits

_log = logging.getLogger("everyitem.events")

#: Seconds between two looks into the outbox when there was nothing in it, and after the store failed.
LOOK: Final = 0.5
AGAIN: Final = 2.0
#: Events read at a time, and noted as sent at a time: a transaction for each would slow the runs down.
AT_ONCE: Final = 500
#: Seconds between two looks for what is wrong.
WATCH: Final = 5.0
#: Seconds between two warnings that nobody takes events.
TELL: Final = 30.0
#: Parked events that are named in alerts.
_MOST_NAMED: Final = 20


class Relay:
    """Publishes the events of one store, unless another process does."""

    def __init__(
        self,
        open_outlet: Callable[[], Outlet],
        publisher: Publisher,
        *,
        tries: int,
        limits: Limits,
        notice: Callable[[Sequence[Condition]], None],
    ) -> None:
        """`open_outlet` may block and raise; `notice` is told everything that is wrong, each time."""
        self._open, self._publisher = open_outlet, publisher
        self._rounds = Rounds(tries=tries, draw=random.random)
        self._limits, self._notice = limits, notice
        self._tenure = Tenure(open_outlet)
        self._outlet: Outlet | None = None
        #: The tenure's when the outbox was read last.
        self._reign = 0
        self._watched, self._told = -WATCH, -TELL
        #: When (monotonic) to end: infinite until somebody wants it.
        self._ends_at = float("inf")
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        #: Says that this relay is at it while it is in the middle of a step.
        self._keeper: threading.Thread | None = None

    def begin(self) -> None:
        """Publish from now on; safe to repeat."""
        if self._thread is None:
            self._keeper = threading.Thread(target=self._tenure.keep, name="everyitem-tenure", daemon=True)
            self._thread = threading.Thread(target=self._live, name="everyitem-relay", daemon=True)
            self._keeper.start()
            self._thread.start()

    def close(self, flush: float) -> None:
        """Publish what there is for at most `flush` seconds, and end; the rest is for the next relay."""
        if self._thread is None:
            return
        self._ends_at = time.monotonic() + flush
        self._wake.set()
        self._thread.join(flush + AGAIN)
        # a publisher that hangs is left to itself, and what it holds to whoever publishes next
        self._tenure.stop()

    def _live(self) -> None:
        while True:
            try:
                rest = self._turn()
            except (StoreError, UsageError) as error:
                rest = AGAIN
                self._tell("events cannot be published now: %s", redact(str(error)))
            except Exception:
                _log.exception("publishing events failed, and is tried again")
                rest = AGAIN
            now = time.monotonic()
            if now >= self._ends_at or (self._ends_at < float("inf") and rest == LOOK):
                self._end()
                return
            self._wake.wait(max(0.0, min(rest, self._ends_at - now)))
            self._wake.clear()

    def _turn(self) -> float:
        """Hand over what there is; seconds until the next turn, `LOOK` where nothing is left to do."""
        if self._outlet is None:
            self._outlet = self._open()
        outlet, now = self._outlet, time.monotonic()
        if not self._tenure.holds(outlet):
            return LOOK
        if now >= self._watched + WATCH:
            self._watched = now
            self._watch(outlet)
        if now < self._rounds.not_before:
            return self._rounds.not_before - now
        self._reign = self._tenure.reign
        events = outlet.unsent(AT_ONCE, without=self._rounds.resting(now))
        if not events:
            return LOOK
        sent: list[int] = []
        try:
            self._hand_over(outlet, events, sent)
        except PublisherAway as away:
            self._tell("nobody takes events, they wait in the store: %s", redact(str(away)))
        finally:
            if sent:
                outlet.sent(sent)
        return max(0.0, self._rounds.not_before - time.monotonic())

    def _hand_over(self, outlet: Outlet, events: Sequence[Outgoing], sent: list[int]) -> None:
        held: set[int] = set()
        for group in self._rounds.groups(events, self._publisher.at_once):
            free = [one for one in group if one.execution_key not in held]
            if not free:
                continue
            try:
                if not self._publish(outlet, free, sent):
                    return
            except EventsRefused as refused:
                if len(free) == 1:
                    held.add(free[0].execution_key)
                    self._refuse(outlet, free[0], str(refused))
                    continue
                # which one of them it is shows when each goes by itself
                for one in free:
                    if one.execution_key in held:
                        continue
                    try:
                        if not self._publish(outlet, [one], sent):
                            return
                    except EventsRefused as why:
                        held.add(one.execution_key)
                        self._refuse(outlet, one, str(why))

    def _publish(self, outlet: Outlet, group: Sequence[Outgoing], sent: list[int]) -> bool:
        """Hand these over; False where another relay is the one by now, or was meanwhile."""
        if not self._tenure.is_fresh:
            # a slow receiver: what it has is noted, and the others learn that somebody is at it
            outlet.sent(sent)
            sent.clear()
            if not self._tenure.holds(outlet):
                return False
        if self._tenure.reign != self._reign:
            return False
        try:
            with self._tenure.step():
                self._publisher.publish([one.event for one in group])
        except PublisherAway as away:
            self._rounds.away(time.monotonic(), away.wait, partly=group if away.partly else ())
            raise
        self._rounds.taken(group)
        sent += [one.event.position for one in group]
        return True

    def _refuse(self, outlet: Outlet, one: Outgoing, reason: str) -> None:
        reason = redact(reason)
        event_id = one.event.event_id
        if not self._rounds.refused(one, time.monotonic()):
            _log.warning("event %s was refused, and is offered again: %s", event_id, reason)
            return
        outlet.park(one.event.position, reason)
        _log.error("event %s is given up, nobody wants it: %s", event_id, reason)
        self._watched = -WATCH

    def _watch(self, outlet: Outlet) -> None:
        stuck = outbox_stuck(outlet.backlog(), time.time(), self._limits)
        parked = map(event_parked, outlet.parked(_MOST_NAMED))
        self._notice([*([] if stuck is None else [stuck]), *parked])

    def _tell(self, text: str, why: str) -> None:
        if time.monotonic() >= self._told + TELL:
            self._told = time.monotonic()
            _log.warning(text, why)

    def _end(self) -> None:
        self._tenure.stop()
        if self._keeper is not None:
            self._keeper.join()
        with suppress(StoreError):
            if self._outlet is not None:
                self._tenure.give_back(self._outlet)
                self._outlet.close()
        self._publisher.close()
