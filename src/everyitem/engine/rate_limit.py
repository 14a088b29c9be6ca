"""How many calls may begin now, where a batch may begin only so many a second: a token bucket.

Pure. What is not used within `SLACK` is lost, so that no second sees more than the rate, what fits into
the slack, and one call.
"""

import math
from typing import Final

#: Seconds' worth of items that may be made up for: what waking up a little late would cost.
SLACK: Final = 0.02
#: Seconds' worth of items it is worth waking up for.
_WORTH_WAKING: Final = 0.005


class RateLimit:
    """The items one batch may begin, over all nodes."""

    def __init__(self, per_second: float, *, unit: int, at: float) -> None:
        """`unit` items go into one call, and need as many tokens at once."""
        self.per_second = per_second
        self._unit = unit
        self._most = unit + per_second * SLACK
        self._tokens = float(unit)
        self._counted_at = at

    def available(self, at: float) -> int:
        """Items that may begin now."""
        elapsed = max(0.0, at - self._counted_at)
        self._tokens = min(self._most, self._tokens + elapsed * self.per_second)
        self._counted_at = at
        # a token that is there but for rounding is there
        return math.floor(self._tokens + 1e-9)

    def take(self, items: int) -> None:
        """So many were told to begin."""
        self._tokens -= items

    def next_at(self) -> float:
        """When it is worth looking again (monotonic seconds)."""
        wanted = max(float(self._unit), self.per_second * _WORTH_WAKING)
        return self._counted_at + max(0.0, wanted - self._tokens) / self.per_second
