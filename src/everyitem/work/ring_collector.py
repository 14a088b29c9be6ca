"""The collector of a worker process: every outcome into the ring as soon as the slot has it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from everyitem.model.outcome import Failure
from everyitem.work.context import LogEntry
from everyitem.work.failures import is_final
from everyitem.work.outcomes import MAX_LOGS
from everyitem.work.results import MAX_RESULT_BYTES, encode_result
from everyitem.work.ring import RingWriter
from everyitem.work.stretch import Stretch

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_encode = msgspec.json.Encoder().encode


class RingCollector:
    """Hands each outcome to the ring (a `Collector`), so that a crash loses none of the finished ones."""

    def __init__(self, ring: RingWriter, log: Callable[[LogEntry], None], *, max_attempts: int) -> None:
        self._ring, self._send_log, self._max_attempts = ring, log, max_attempts
        self._results: list[Any] = []
        self.keep: Callable[[Any], None] = self._results.append
        self.stamp: Callable[[int], None] = self._put
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
        self._ring.failed(failure)
        self._since = at
        self.has_final_failure = self.has_final_failure or is_final(failure, self._max_attempts)

    def _put(self, at: int) -> None:
        self._ring.succeeded(encode_one(self._results.pop()), (at - self._since) // 1000)
        self._since = at

    def _pass_on(self, entry: LogEntry) -> None:
        if self._logs < MAX_LOGS:
            self._logs += 1
            self._send_log(entry)


def encode_one(result: Any) -> bytes:
    """The JSON text of one result, as strictly as `encode_result`; raises `UnusableResult`.

    Most results are a scalar or a flat dict. Of these the types say at a third of the cost that msgspec
    writes them as they are, but for NaN and Infinity, which show as `null`.
    """
    if type(result) is dict:
        for key, value in result.items():
            if type(value) not in _SCALARS or type(key) is not str:
                return encode_result(result)
    elif type(result) not in _SCALARS:
        return encode_result(result)
    try:
        text = _encode(result)
    except Exception:  # a lone surrogate, an integer too long: `encode_result` knows what to do or say
        return encode_result(result)
    return text if b"null" not in text and len(text) <= MAX_RESULT_BYTES else encode_result(result)
