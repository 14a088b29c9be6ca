"""Where a slot puts what came of its items: the protocol, and the collector for slots inside one process."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import sub
from typing import Any, NamedTuple, Protocol

from everyitem.model.outcome import Failure, OutcomeBlock, Successes, join_texts
from everyitem.work.context import LogEntry
from everyitem.work.failures import failure_of
from everyitem.work.results import check_one, check_snapshot, says_the_same, snapshot
from everyitem.work.stretch import Stretch

#: Most log records kept of one stretch: an item that logs in a loop must not fill the store.
MAX_LOGS = 10_000

#: Of a stretch of so many items the longest is left out ...
_MANY = 16
#: ... unless it took less than a millisecond (in nanoseconds) anyway.
_BRIEF = 1_000_000


class Collector(Protocol):
    """Takes the outcomes of one slot, in the order of their positions.

    Per item the slot calls either `hold(result)`, `put(snapshot(result))` and `stamp(t)`, or
    `failed(position, failure, t)` (also when one of the three raised `UnusableResult`); t is
    `time.monotonic_ns()` after the call.
    """

    #: Attributes rather than methods, so that a list's own `append` can serve: the slot's hot path.
    hold: Callable[[Any], None]
    put: Callable[[bytes], None]
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


def keep(collector: Collector, result: Any) -> None:
    """Give a collector what an item returned (the item loop does the same without the call)."""
    collector.hold(result)
    collector.put(snapshot(result))


class StretchOutcomes:
    """Collects what came of one stretch, to be made an `OutcomeBlock` in one go.

    A result is encoded when it is returned, since its function may change it afterwards, and checked when the
    block is made, or at once where the first failure ends everything.

    The watcher may call `block()` on the stretch of a slot it gives up on: only what has a stamp is taken,
    so an item that ends at that very moment is not counted twice.
    """

    def __init__(self, *, checks_at_once: bool = False) -> None:
        #: What items returned, until it is checked, and its JSON texts.
        self._results: list[Any] = []
        self._texts: list[bytes] = []
        #: When the stretch began, then when each item ended.
        self._stamps: list[int] = []
        self.hold: Callable[[Any], None] = self._results.append
        self.put: Callable[[bytes], None] = self._check_and_put if checks_at_once else self._texts.append
        self.stamp: Callable[[int], None] = self._stamps.append
        self.failures: list[tuple[int, Failure]] = []
        self.logs: list[LogEntry] = []
        self.stretch: Stretch
        #: Items and log records that left already, while the next item was still running.
        self.taken = 0
        self._logs_taken = 0

    def begin(self, stretch: Stretch, at: int) -> None:
        self.stretch = stretch
        self._stamps.append(at)

    def failed(self, position: int, failure: Failure, at: int) -> None:
        # a result that turned out to be unusable is none
        del self._results[len(self._texts) :]
        self.failures.append((position, failure))
        self._stamps.append(at)

    def log(self, entry: LogEntry, /) -> None:
        if len(self.logs) < MAX_LOGS:
            self.logs.append(entry)

    @property
    def finished(self) -> int:
        """Items that have an outcome: the positions from the stretch's first one on, without a gap."""
        return max(0, len(self._stamps) - 1)

    def took(self) -> int:
        """Nanoseconds the items took; of many, without the longest.

        A thread may be kept from running for longer than hundreds of quick items take: that one item says
        nothing about the others.
        """
        stamps = self._stamps
        took = stamps[-1] - stamps[0] if stamps else 0
        if took < _BRIEF or self.finished < _MANY:
            return took
        longest: int = max(map(sub, stamps[1:], stamps))
        return took - longest

    def block(self) -> OutcomeBlock:
        """The outcomes of all items that ended and have not left yet; the next block begins behind them."""
        draft = OutcomeDraft()
        draft.add(self)
        return draft.block()

    def _check_and_put(self, text: bytes) -> None:
        check_one(text, self._results[-1])
        self._texts.append(text)

    def take_logs(self) -> list[LogEntry]:
        """The log records that have not left yet."""
        logs = self.logs[self._logs_taken :]
        self._logs_taken += len(logs)
        return logs

    def take(self, count: int) -> tuple["Returned", list[Failure]]:
        """What has not left yet of the first `count` items: results, and failures."""
        taken, self.taken = self.taken, count
        stretch = self.stretch
        stamps = self._stamps[taken : count + 1]
        durations = [took // 1000 for took in map(sub, stamps[1:], stamps)]
        failures: list[Failure] = []
        places: list[int] = []
        first = taken
        if self.failures:
            failed = {position - stretch.first: failure for position, failure in self.failures}
            places = sorted(place for place in failed if taken <= place < count)
            failures = [failed[place] for place in places]
            # from behind, so that the places before keep their numbers; failures are few
            for place in reversed(places):
                del durations[place - taken]
            first -= sum(place < taken for place in failed)
        ranges = _ranges_between(stretch.indices, taken, count, places)
        last = first + len(durations)
        return Returned(ranges, durations, self._texts[first:last], self._results[first:last]), failures


class Returned(NamedTuple):
    """Items that returned a result: as (first, count), and lists in their order."""

    ranges: list[tuple[int, int]]
    durations_us: list[int]
    #: Snapshots of the results as JSON text, and the results themselves.
    texts: list[bytes]
    results: list[Any]


class OutcomeDraft:
    """A block in the making, from stretches of one lease: small ones are checked and joined in one go."""

    def __init__(self) -> None:
        self._attempt = 1
        self._returned: list[Returned] = []
        self._failures: list[Failure] = []
        self._logs: list[LogEntry] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return bool(self._count or self._logs)

    def add(self, outcomes: StretchOutcomes, finished: int | None = None) -> None:
        """Take over what has not left yet of the first `finished` items (default: of all that ended)."""
        self._logs += outcomes.take_logs()
        count = outcomes.finished if finished is None else finished
        if count <= outcomes.taken:
            return
        self._count += count - outcomes.taken
        self._attempt = outcomes.stretch.attempt
        returned, failures = outcomes.take(count)
        if returned.texts:
            self._returned.append(returned)
        self._failures += failures

    def block(self) -> OutcomeBlock:
        """Everything added, successes as one run in item order."""
        if not self._returned:
            return OutcomeBlock([], self._failures, self._logs)
        returned = self._returned[0] if len(self._returned) == 1 else _joined(self._returned)
        successes, unusable = _checked(returned, self._attempt)
        return OutcomeBlock(successes, self._failures + unusable, self._logs)


def _joined(parts: list[Returned]) -> Returned:
    parts.sort(key=lambda part: part.ranges[0])
    return Returned(
        _merged(chain.from_iterable(part.ranges for part in parts)),
        [duration for part in parts for duration in part.durations_us],
        [text for part in parts for text in part.texts],
        [result for part in parts for result in part.results],
    )


def _checked(returned: Returned, attempt: int) -> tuple[list[Successes], list[Failure]]:
    """What items returned as one run of successes, and as failures where it is not strictly JSON."""
    ranges, durations, texts, results = returned
    text = join_texts(texts)
    if says_the_same(text, results):
        return [Successes(ranges, attempt, durations, text)], []
    # the slow way: a look at each
    indices = [index for first, count in ranges for index in range(first, first + count)]
    unusable = {}
    for place, index in enumerate(indices):
        try:
            check_snapshot(texts[place], results[place])
        except Exception as error:
            unusable[place] = failure_of(error, index=index, attempt=attempt, duration_us=durations[place])
    usable = [place for place in range(len(indices)) if place not in unusable]
    run = Successes(
        ranges_of([indices[place] for place in usable]),
        attempt,
        [durations[place] for place in usable],
        join_texts([texts[place] for place in usable]),
    )
    return [run] if usable else [], list(unusable.values())


def ranges_of(indices: Iterable[int]) -> list[tuple[int, int]]:
    """The indices as (first, count), neighbours merged, order kept."""
    if isinstance(indices, range) and indices.step == 1:
        return [(indices.start, len(indices))] if indices else []
    return _merged((index, 1) for index in indices)


def _ranges_between(
    indices: Sequence[int], first: int, stop: int, places: Sequence[int]
) -> list[tuple[int, int]]:
    """The indices at the places `first` to `stop` without some of those, as (first, count)."""
    ranges: list[tuple[int, int]] = []
    for place in (*places, stop):
        if first < place:
            ranges += ranges_of(indices[first:place])
        first = place + 1
    return ranges


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same with neighbours made one, order kept."""
    merged: list[tuple[int, int]] = []
    first = count = 0
    for start, length in ranges:
        if count and start == first + count:
            count += length
            continue
        if count:
            merged.append((first, count))
        first, count = start, length
    if count:
        merged.append((first, count))
    return merged
