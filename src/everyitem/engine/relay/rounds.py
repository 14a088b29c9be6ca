"""What the relay does next: which events go together, which wait, and which are given up.

Pure: it is told the time (monotonic seconds). Two things go wrong for different reasons. The other side is
*away*: that says nothing about any event, and all of them wait, for ever if need be. An event is *refused*:
those behind it of the same execution wait, so that their order is kept, and the others pass; refused too
often it is parked, and those behind it go on without it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from everyitem.model.retry import RetryPolicy
from everyitem.ports.relay import Outgoing

#: Waits before the next try. Whoever was away for long is asked often enough to be served within seconds.
AWAY: Final = RetryPolicy(initial_delay=0.2, max_delay=5.0)
REFUSED: Final = RetryPolicy(initial_delay=1.0, max_delay=60.0)


@dataclass(slots=True)
class _Refusals:
    """What became of the first event of an execution that is still to go."""

    position: int
    count: int
    again_at: float


class Rounds:
    """The state of one relay between its looks into the outbox."""

    def __init__(self, *, tries: int, draw: Callable[[], float]) -> None:
        """An event refused `tries` times is parked; `draw` gives uniform random numbers in [0, 1]."""
        self._tries, self._draw = tries, draw
        self._refusals: dict[int, _Refusals] = {}
        self._failures = 0
        #: Up to this position events go one by one.
        self._singly_until = -1
        #: When events may be offered again.
        self.not_before = 0.0

    def resting(self, at: float) -> list[int]:
        """Executions whose first event was refused, and not long enough ago."""
        return [key for key, one in self._refusals.items() if one.again_at > at]

    def groups(self, events: Sequence[Outgoing], most: int) -> Iterator[list[Outgoing]]:
        """Events to be handed over together, in order; what may fail others goes by itself."""
        group: list[Outgoing] = []
        for one in events:
            if one.execution_key in self._refusals or one.event.position <= self._singly_until:
                if group:
                    yield group
                    group = []
                yield [one]
                continue
            group.append(one)
            if len(group) == most:
                yield group
                group = []
        if group:
            yield group

    def taken(self, events: Sequence[Outgoing]) -> None:
        """The other side has these."""
        self._failures, self.not_before = 0, 0.0
        for one in events:
            self._refusals.pop(one.execution_key, None)

    def refused(self, one: Outgoing, at: float) -> bool:
        """The other side does not want this one; whether it is given up."""
        self._failures, self.not_before = 0, 0.0
        before = self._refusals.get(one.execution_key)
        count = before.count + 1 if before is not None and before.position == one.event.position else 1
        if count >= self._tries:
            self._refusals.pop(one.execution_key, None)
            return True
        again_at = at + REFUSED.backoff(count) * self._jitter()
        self._refusals[one.execution_key] = _Refusals(one.event.position, count, again_at)
        return False

    def away(self, at: float, wait: float | None, *, partly: Sequence[Outgoing] = ()) -> float:
        """Nobody takes events now; seconds until the next try, at least those the other side asked for.

        Of the events in `partly` some have arrived. They go one by one next, so that those which do are not
        sent again for as long as another one does not.
        """
        self._singly_until = max([self._singly_until, *(one.event.position for one in partly)])
        self._failures += 1
        seconds = max(AWAY.backoff(self._failures) * self._jitter(), wait or 0.0)
        self.not_before = at + seconds
        return seconds

    def _jitter(self) -> float:
        # half at least: nobody is asked again without a pause
        return 0.5 + self._draw() / 2
