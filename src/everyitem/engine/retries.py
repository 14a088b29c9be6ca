"""Items that wait for another attempt: a heap of due times, leaving in groups."""

import heapq
from collections import deque
from collections.abc import Collection

import msgspec

#: A group of fewer retries than this waits for company, if there is other work, but no longer than:
GROUP = 16
GROUP_WAIT = 0.010


class PendingAttempt(msgspec.Struct, frozen=True):
    """An item a run begins with waiting: it has used up `attempts`; `delay` seconds from the start."""

    index: int
    attempts: int
    delay: float = 0.0
    alone: bool = False


class Retry(msgspec.Struct):
    """One item that waits. `attempt` is the number the next attempt will have."""

    index: int
    attempt: int
    due: float
    alone: bool = False
    #: What the latest failure has in common with those that are alike (`breaker.cause_of`).
    cause: str = ""


class RetryHeap:
    """All waiting items: those whose time has not come, and those that are ready, by attempt number."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Retry]] = []
        self._ready: dict[int, deque[Retry]] = {}
        self._alone: deque[Retry] = deque()
        self._oldest_ready = 0.0
        self._ready_count = 0
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap) + self._ready_count + len(self._alone)

    @property
    def ready(self) -> int:
        """How many could run now."""
        return self._ready_count + len(self._alone)

    def push(self, retry: Retry) -> None:
        """Let an item wait until its due time."""
        self._number += 1
        heapq.heappush(self._heap, (retry.due, self._number, retry))

    def release(self, at: float) -> None:
        """Make everything ready whose time has come."""
        while self._heap and self._heap[0][0] <= at:
            self.make_ready(heapq.heappop(self._heap)[2], at)

    def make_ready(self, retry: Retry, at: float) -> None:
        """Let an item run as soon as there is a slot (due, or given back unstarted)."""
        if retry.alone:
            self._alone.append(retry)
            return
        if not self._ready_count:
            self._oldest_ready = at
        self._ready.setdefault(retry.attempt, deque()).append(retry)
        self._ready_count += 1

    def excuse(self, indices: Collection[int], cause: str) -> list[Retry]:
        """The latest failures of these items do not count: their next attempts get the number before.

        Left out are items that do not wait here, and those that have failed otherwise since: a worker's
        death is charged whatever else is out of order. Returns who was excused.
        """

        def is_excused(retry: Retry) -> bool:
            return retry.index in indices and retry.cause == cause

        queues = [retry for queue in self._ready.values() for retry in queue]
        ready = list(filter(is_excused, queues))
        others = [retry for _, _, retry in self._heap] + list(self._alone)
        excused = [*filter(is_excused, others), *ready]
        for retry in ready:
            # it waits among those of another number, as soon as time is looked at again
            queue = self._ready[retry.attempt]
            queue.remove(retry)
            if not queue:
                del self._ready[retry.attempt]
            self._ready_count -= 1
            self.push(retry)
        for retry in excused:
            retry.attempt -= 1
            retry.cause = ""
        return excused

    @property
    def has_alone(self) -> bool:
        """Whether an item that must run alone is ready."""
        return bool(self._alone)

    def next_due(self) -> float | None:
        """When the next waiting item becomes ready."""
        return self._heap[0][0] if self._heap else None

    def group_due(self) -> float | None:
        """When a small group has waited long enough for company."""
        return self._oldest_ready + GROUP_WAIT if self._ready_count else None

    def take_alone(self) -> Retry | None:
        """An item that must run in a slice of its own."""
        return self._alone.popleft() if self._alone else None

    def take_group(self, count: int, at: float, *, patient: bool) -> list[Retry]:
        """Up to `count` ready items of one attempt number; none yet if `patient` and the group is small."""
        if not self._ready_count:
            return []
        if patient and self._ready_count < GROUP and at < self._oldest_ready + GROUP_WAIT:
            return []
        # who has waited longest goes first, or a small group would never come to its turn
        attempt, queue = min(self._ready.items(), key=lambda one: one[1][0].due)
        group = [queue.popleft() for _ in range(min(count, len(queue)))]
        if not queue:
            del self._ready[attempt]
        self._ready_count -= len(group)
        self._oldest_ready = at
        return group
