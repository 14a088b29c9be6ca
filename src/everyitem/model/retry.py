"""When a failed attempt is tried again: exponential backoff with full jitter.

Formula (contract section 1): the delay before retry k (1-based) is
`min(max_delay, initial_delay * multiplier ** (k - 1))`, multiplied by a uniform random number in [0, 1]
("full jitter", Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015) unless jitter is
"none".
"""

from dataclasses import dataclass
from enum import StrEnum


class Jitter(StrEnum):
    """How much of the computed delay chance may take away."""

    FULL = "full"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when an item is retried. Delays in seconds."""

    #: Attempts after the first, in each round: 3 means at most 4 attempts.
    max_retries: int = 3
    initial_delay: float = 0.2
    multiplier: float = 2.0
    max_delay: float = 30.0
    jitter: Jitter = Jitter.FULL

    def backoff(self, retry: int) -> float:
        """Seconds before retry `retry` (1-based), before jitter; never overflows."""
        if self.initial_delay == 0:
            return 0.0
        try:
            return min(self.max_delay, self.initial_delay * self.multiplier ** (retry - 1))
        except OverflowError:  # 2.0 ** 100000 is no float, and beyond any maximum
            return self.max_delay

    def delay(self, retry: int, *, chance: float) -> float:
        """Seconds to wait before retry `retry`; `chance` is a uniform random number in [0, 1]."""
        base = self.backoff(retry)
        return base if self.jitter is Jitter.NONE else base * chance
