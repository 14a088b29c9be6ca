"""Troubles of a run: attempts that fail, by cause, while they happen. For displays; nothing is decided by it.

Pure. Causes that are alike count together, so that a message with an id in it is one trouble and not as many
as there are items.
"""

from functools import lru_cache

from everyitem.model.causes import cause_of, pattern_of
from everyitem.model.outcome import Failure
from everyitem.ports.progress import CauseNow

#: Causes told apart; what fails for others beyond them is counted together.
MOST_CAUSES = 100
_OTHERS = "other causes"


class Troubles:
    """Counts failed attempts of one run by what they have in common."""

    def __init__(self) -> None:
        #: By pattern: an example, how many items failed for good, how many attempts are followed by another.
        self._found: dict[str, tuple[str, int, int]] = {}

    def add(self, failure: Failure, *, final: bool) -> None:
        """One attempt failed; `final`: and with it its item."""
        cause, pattern = _told_apart(failure.type, failure.message)
        if pattern not in self._found and len(self._found) >= MOST_CAUSES:
            cause = pattern = _OTHERS
        example, failed, retried = self._found.get(pattern, (cause, 0, 0))
        self._found[pattern] = (example, failed + final, retried + (not final))

    def most(self, limit: int) -> tuple[CauseNow, ...]:
        """The most frequent ones; those that cost items before those that only cost attempts."""
        ordered = sorted(self._found.values(), key=lambda one: (-one[1], -one[2]))
        return tuple(CauseNow(*one) for one in ordered[:limit])


@lru_cache(maxsize=MOST_CAUSES)
def _told_apart(type_: str, message: str) -> tuple[str, str]:
    """The cause and its pattern; thousands of items may fail with the same words."""
    cause = cause_of(type_, message)
    return cause, pattern_of(cause)
