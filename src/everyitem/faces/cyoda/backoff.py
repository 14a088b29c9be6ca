"""How long to wait before the next connection: exponential with full jitter, for ever, never at once."""

from collections.abc import Callable
from typing import Final

_FIRST: Final = 0.5
_LONGEST: Final = 30.0
#: Seconds a stream must have lived for the next wait to be a short one again.
_STABLE: Final = 60.0
#: Doublings after which the bound no longer grows; keeps the power small in years of trying.
_DOUBLINGS: Final = 10


class Backoff:
    """The waits between the connections to one endpoint."""

    def __init__(
        self, draw: Callable[[], float], *, first: float = _FIRST, longest: float = _LONGEST
    ) -> None:
        """`draw` gives a number from 0 to 1; `first` and `longest` are seconds."""
        self._draw, self._first, self._longest = draw, first, longest
        self._failures = 0

    def after(self, lasted: float) -> float:
        """Seconds to wait after a stream that lasted this long."""
        if lasted >= _STABLE:
            self._failures = 0
        bound = min(self._longest, self._first * (1 << min(self._failures, _DOUBLINGS)))
        self._failures += 1
        # a tenth at least: many members must not come back at once, and none without a pause
        return bound * (0.1 + 0.9 * self._draw())
