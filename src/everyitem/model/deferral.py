"""Deferred items: the processor has returned, and the outcome will come later, as an event."""

import math
from typing import Final

#: Seconds a deferral may last at most.
MAX_TIMEOUT: Final = 365 * 86_400.0


class Deferred:
    """Return it from an item processor when the outcome will come later, as an `ItemProcessingCompleted`.

    The slot is free at once and the item stays open. Without the event within `timeout` seconds the attempt
    counts as failed with a `TIMEOUT_ERROR`, and is retried like any other. The event names the attempt: hand
    `context.attempt` to whoever will send it.

    Raises `ValueError` for a timeout that is not a positive, finite number of seconds (at most a year).
    """

    __slots__ = ("timeout",)

    def __init__(self, timeout: float) -> None:
        self.timeout = float(timeout)
        if not (math.isfinite(self.timeout) and 0 < self.timeout <= MAX_TIMEOUT):
            raise ValueError(
                f"Deferred(timeout) takes seconds, above 0 and up to {MAX_TIMEOUT:,.0f}; got {timeout!r}"
            )

    def __repr__(self) -> str:
        return f"Deferred({self.timeout:g})"
