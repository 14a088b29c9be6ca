"""How long to wait for a platform that does not answer while results are delivered."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from everyitem.adapters.cyoda_api import UNFIT_MODEL, PlatformAway, PlatformRefused
from everyitem.model.retry import RetryPolicy
from everyitem.ports.sink import DeliveryStopped, SinkAway

Answer = TypeVar("Answer")

_WAITS: Final = RetryPolicy(initial_delay=0.2, max_delay=5.0)


class Patience:
    """Waits for one caller. Every answer starts the clock anew."""

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        """`seconds` without an answer are too many; once `stop` is set nothing more is asked."""
        self._seconds, self._stop = seconds, stop
        self._since: float | None = None
        self._failures = 0

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """Make a call that may be made again. Raises `SinkAway`, `DeliveryStopped`, `PlatformRefused`."""
        while True:
            try:
                return self.try_once(call)
            except PlatformAway as away:
                self.wait(away)

    def try_once(self, call: Callable[[], Answer]) -> Answer:
        """Make a call that nobody may make again before he has looked what became of it.

        Raises `PlatformAway` beside what `ask` raises; then `wait`.
        """
        if self._stop.is_set():
            raise DeliveryStopped(
                "this process ends; the results that are missing follow when one asks again"
            )
        try:
            answer = call()
        except PlatformRefused as refused:
            self._since, self._failures = None, 0
            if refused.code in UNFIT_MODEL:
                # nobody has changed his mind about a result: the operator mends the model
                raise SinkAway(str(refused)) from None
            raise
        self._since, self._failures = None, 0
        return answer

    def wait(self, away: PlatformAway) -> None:
        """Rest before the next call. Raises `SinkAway` when that has gone on for too long."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seconds:
            raise SinkAway(f"results cannot be delivered now: {away}") from None
        self._failures += 1
        # half at least: nobody is asked again without a pause
        jitter = 0.5 + random.random() / 2
        self._stop.wait(max(_WAITS.backoff(self._failures) * jitter, away.wait or 0.0))
