"""How long an execution waits for a store that is out of reach."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from everyitem.engine.meter import StoreMeter
from everyitem.engine.switch import Switch
from everyitem.model.errors import (
    IllegalMove,
    OwnershipLost,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreTooNew,
)

#: Seconds before the first try again, and between two later ones at most: the store must be in use again
#: within seconds after its return, however long it was away.
FIRST, LONGEST = 0.1, 2.0
#: Seconds between two warnings.
_TELL = 30.0
#: Seconds within which a stop is heard.
_HEAR = 0.1

#: What no waiting mends.
_FOR_GOOD = (IllegalMove, OwnershipLost, StoreDamaged, StoreFull, StoreRefused, StoreTooNew)

_log = logging.getLogger("everyitem")

T = TypeVar("T")


class _Outage(threading.local):
    """Since when (monotonic) nothing was answered, and when that was said last; None while all is well."""

    away: tuple[float, float] | None = None


class Patience:
    """The patience of one execution with its store, counted from the moment the store went away."""

    def __init__(
        self, seconds: float, *, drain: float, switch: Switch, meter: StoreMeter | None = None
    ) -> None:
        """`seconds` is what the operator allows; after a stop was asked for it is `drain` at most.

        `meter` is told how each question ended.
        """
        self._seconds, self._drain, self._switch = seconds, drain, switch
        self.meter = meter or StoreMeter()
        #: Of each thread, as reading may go well while writing does not.
        self._outage = _Outage()

    def ask(self, question: Callable[[], T]) -> T:
        """The store's answer. Raises what it raises for good, and its last error when time is up."""
        pause = FIRST
        is_again = False
        while True:
            began = time.monotonic()
            try:
                answer = question()
            except _FOR_GOOD:
                self._answered(began)
                raise
            except StoreError as error:
                self.meter.asked(began, time.monotonic(), answered=False)
                # once more at any rate: a connection that died while idle is replaced by the next try
                if not self._wait(pause, error) and is_again:
                    raise
                is_again = True
                pause = min(2 * pause, LONGEST)
            else:
                self._answered(began)
                return answer

    def _wait(self, pause: float, error: StoreError) -> bool:
        """Wait for the next try; False when there is no time left for one."""
        now = time.monotonic()
        since, told = self._outage.away or (now, -math.inf)
        left = self._end(since) - now
        if left > 0 and pause > FIRST and now >= told + _TELL:
            # not at the first failure: a connection that died while idle is replaced by the next try
            told = now
            _log.warning("the store is out of reach; nothing is lost, waiting up to %.0f s: %s", left, error)
        self._outage.away = since, told
        if left <= 0:
            return False
        until = now + pause
        while (now := time.monotonic()) < min(until, self._end(since)):
            time.sleep(min(_HEAR, until - now))
        return True

    def _end(self, since: float) -> float:
        return min(since + self._seconds, self._switch.ends_by(self._drain))

    def _answered(self, began: float) -> None:
        self.meter.asked(began, time.monotonic(), answered=True)
        away, self._outage.away = self._outage.away, None
        if away is not None and away[1] > -math.inf:
            _log.warning("the store is back after %.1f s", time.monotonic() - away[0])
