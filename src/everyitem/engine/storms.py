"""A storm of equal failures: which of them are logged one by one, and what is said of the others.

Pure: it is told the time. Every failure is in the store whatever is logged.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from everyitem.ports.outcome import FailedItem

#: Failures of one cause that are told one by one within a window, and the seconds it lasts.
SINGLY, WINDOW = 5, 60.0
#: Causes told apart within a window; what comes beyond is one more cause.
MOST_CAUSES = 100
OTHER = "other causes"

_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Summary:
    """So many failures of one cause were not told one by one."""

    cause: str
    count: int
    seconds: float
    #: The first and the last of them.
    first: FailedItem
    last: FailedItem


@dataclass(slots=True)
class _Window:
    began: float
    told: int = 0
    kept_back: int = 0
    first: FailedItem | None = None
    last: FailedItem | None = field(default=None)


class Storms:
    """Sorts failures into those to tell and those to sum up."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def take(self, failures: Iterable[FailedItem], at: float) -> Iterator[FailedItem]:
        """The failures to tell one by one now."""
        for failure in failures:
            window = self._window_of(cause_of(failure), at)
            if window.told < SINGLY:
                window.told += 1
                yield failure
            else:
                window.kept_back += 1
                window.first = window.first or failure
                window.last = failure

    def summaries(self, at: float, *, is_end: bool = False) -> Iterator[Summary]:
        """What the windows that are over (at the end: all) have kept back."""
        for cause, window in list(self._windows.items()):
            if not is_end and at < window.began + WINDOW:
                continue
            del self._windows[cause]
            if window.first is not None and window.last is not None:
                yield Summary(cause, window.kept_back, at - window.began, window.first, window.last)

    def _window_of(self, cause: str, at: float) -> _Window:
        if cause not in self._windows and len(self._windows) >= MOST_CAUSES:
            cause = OTHER
        return self._windows.setdefault(cause, _Window(at))


def cause_of(failure: FailedItem) -> str:
    """What failures are equal by: the type and the first line of the message, numbers aside."""
    first_line = failure.message.splitlines()[0][:120] if failure.message else ""
    return f"{failure.type}: {_NUMBERS.sub('#', first_line)}"
