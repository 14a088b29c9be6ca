"""Where a slot puts what came of its items: the protocol, and the collector for slots inside one process."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Protocol

from everyitem.model.outcome import Failure, OutcomeBlock, Successes, join_texts
from everyitem.work.context import LogEntry
from everyitem.work.failures import failure_of
from everyitem.work.results import UnusableResult, encode_result, encode_results
from everyitem.work.stretch import Stretch

#: Most log records kept of one stretch: an item that logs in a loop must not fill the store.
MAX_LOGS = 10_000


class Collector(Protocol):
    """Takes the outcomes of one slot, in the order of their positions.

    Per item the slot calls either `keep(result)` and then `stamp(t)`, or `failed(position, failure, t)`
    (also after `keep`, when `stamp` raised `UnusableResult`); t is `time.monotonic_ns()` after the call.
    """

    #: Attributes rather than methods, so that a list's own `append` can serve: the slot's hot path.
    keep: Callable[[Any], None]
    stamp: Callable[[int], None]

    def log(self, entry: LogEntry, /) -> None:
        """Keep a log record of the current item."""
        ...

    def begin(self, stretch: Stretch, at: int) -> None:
        """The slot starts on this stretch now (`time.monotonic_ns()`)."""
        ...

    def failed(self, position: int, failure: Failure, at: int) -> None:
        """The item at this position of the lease failed."""
        ...


class StretchOutcomes:
    """Collects what came of one stretch and makes it an `OutcomeBlock` in one go.

    Results stay Python values until `block()`, which encodes all of them at once. The watcher may call
    `block()` on the stretch of a slot it gives up on: only what has a stamp is taken, so an item that ends
    at that very moment is not counted twice.
    """

    def __init__(self) -> None:
        self._results: list[Any] = []
        #: When the stretch began, then when each item ended.
        self._stamps: list[int] = []
        self._failures: list[tuple[int, Failure]] = []
        self._logs: list[LogEntry] = []
        self.keep = self._results.append
        self.stamp = self._stamps.append
        self._stretch: Stretch

    def begin(self, stretch: Stretch, at: int) -> None:
        self._stretch = stretch
        self._stamps.append(at)

    def failed(self, position: int, failure: Failure, at: int) -> None:
        self._failures.append((position, failure))
        self._stamps.append(at)

    def log(self, entry: LogEntry, /) -> None:
        if len(self._logs) < MAX_LOGS:
            self._logs.append(entry)

    @property
    def finished(self) -> int:
        """Items that have an outcome: the positions from the stretch's first one on, without a gap."""
        return max(0, len(self._stamps) - 1)

    def block(self, finished: int | None = None) -> OutcomeBlock:
        """The outcomes of the first `finished` items (default: of all that ended), results checked."""
        count = self.finished if finished is None else finished
        if not count:
            return OutcomeBlock(logs=self._logs)
        stamps = self._stamps[: count + 1]
        durations = [(end - start) // 1000 for start, end in pairwise(stamps)]
        indices: Sequence[int] = self._stretch.indices[:count]
        first = self._stretch.first
        failures = [(position - first, failure) for position, failure in self._failures]
        if failures:
            failed = {place for place, _ in failures if place < count}
            indices = [index for place, index in enumerate(indices) if place not in failed]
            durations = [took for place, took in enumerate(durations) if place not in failed]
        return self._encode(indices, durations, [failure for place, failure in failures if place < count])

    def _encode(self, indices: Sequence[int], durations: list[int], failures: list[Failure]) -> OutcomeBlock:
        results = self._results[: len(indices)]
        text = encode_results(results)
        if text is None:
            indices, durations, text, unusable = self._encode_singly(indices, durations, results)
            failures += unusable
        successes = Successes(ranges_of(indices), self._stretch.attempt, durations, text)
        return OutcomeBlock([successes] if indices else [], failures, self._logs)

    def _encode_singly(
        self, indices: Sequence[int], durations: list[int], results: list[Any]
    ) -> tuple[list[int], list[int], bytes, list[Failure]]:
        """The slow way round a result that is not strictly JSON: one by one, culprits become failures."""
        kept: list[int] = []
        took: list[int] = []
        texts: list[bytes] = []
        failures = []
        for index, duration, result in zip(indices, durations, results, strict=True):
            try:
                texts.append(encode_result(result))
            except (UnusableResult, MemoryError) as error:
                attempt = self._stretch.attempt
                failures.append(failure_of(error, index=index, attempt=attempt, duration_us=duration))
            else:
                kept.append(index)
                took.append(duration)
        return kept, took, join_texts(texts), failures


def ranges_of(indices: Iterable[int]) -> list[tuple[int, int]]:
    """The indices as (first, count), neighbours merged, order kept."""
    if isinstance(indices, range) and indices.step == 1:
        return [(indices.start, len(indices))] if indices else []
    ranges: list[tuple[int, int]] = []
    first = count = 0
    for index in indices:
        if count and index == first + count:
            count += 1
            continue
        if count:
            ranges.append((first, count))
        first, count = index, 1
    if count:
        ranges.append((first, count))
    return ranges
