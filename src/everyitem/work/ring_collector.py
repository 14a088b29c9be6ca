"""The collector of a worker process: every outcome into the ring as soon as the slot has it."""

from collections.abc import Callable
from typing import Any

from everyitem.model.outcome import Failure
from everyitem.work.context import LogEntry
from everyitem.work.failures import is_final
from everyitem.work.outcomes import MAX_LOGS
from everyitem.work.results import check_one
from everyitem.work.ring import RingWriter
from everyitem.work.stretch import Stretch


class RingCollector:
    """Hands each outcome to the ring (a `Collector`), so that a crash loses none of the finished ones."""

    def __init__(self, ring: RingWriter, log: Callable[[LogEntry], None], *, max_attempts: int) -> None:
        self._ring, self._send_log, self._max_attempts = ring, log, max_attempts
        #: What the item at hand returned, and its JSON text.
        self._results: list[Any] = []
        self._texts: list[bytes] = []
        self.hold: Callable[[Any], None] = self._results.append
        self.put: Callable[[bytes], None] = self._texts.append
        self.stamp: Callable[[int], None] = self._record
        self.log: Callable[[LogEntry], None] = self._pass_on
        #: When the current item began (`time.monotonic_ns()`).
        self._since = 0
        self._logs = 0
        #: Whether an item of this lease failed for good.
        self.has_final_failure = False

    def begin_lease(self) -> None:
        """The outcomes that follow are those of a new lease."""
        self.has_final_failure = False

    def begin(self, stretch: Stretch, at: int) -> None:
        """The slot starts on this stretch."""
        self._since = at
        self._logs = 0

    def failed(self, position: int, failure: Failure, at: int) -> None:
        """Record a failed attempt."""
        self._results.clear()
        self._texts.clear()
        self._ring.failed(failure)
        self._since = at
        self.has_final_failure = self.has_final_failure or is_final(failure, self._max_attempts)

    def _record(self, at: int) -> None:
        text = self._texts.pop()
        check_one(text, self._results.pop())
        self._ring.succeeded(text, (at - self._since) // 1000)
        self._since = at

    def _pass_on(self, entry: LogEntry) -> None:
        if self._logs < MAX_LOGS:
            self._logs += 1
            self._send_log(entry)
