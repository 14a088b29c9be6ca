"""Where a slot puts what came of its items: the protocol, and the collector for slots inside one process."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import msgspec

from everyitem.model.outcome import Failure, OutcomeBlock, Successes, join_texts
from everyitem.work.context import LogEntry
from everyitem.work.failures import failure_of
from everyitem.work.results import check_snapshot, encode_one, says_the_same, snapshot
from everyitem.work.stretch import Stretch

#: Most log records kept of one stretch: an item that logs in a loop must not fill the store.
MAX_LOGS = 10_000


_encode = msgspec.json.Encoder().encode


class Collector(Protocol):
    """Takes the outcomes of one slot, in the order of their positions.

    Per item the slot calls either `keep(result)` and then `stamp(t)`, or `failed(position, failure, t)`
    (also when `keep` or `stamp` raised `UnusableResult`); t is `time.monotonic_ns()` after the call.
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
    """Collects what came of one stretch, to be made an `OutcomeBlock` in one go.

    A result is encoded when it is kept, since its function may change it afterwards, and checked when the
    block is made, or also when it is kept where the first failure ends everything.

    The watcher may call `block()` on the stretch of a slot it gives up on: only what has a stamp is taken,
    so an item that ends at that very moment is not counted twice.
    """

    def __init__(self, *, checks_at_once: bool = False) -> None:
        results: list[Any] = []
        texts: list[bytes] = []

        def keep(result: Any, put: Any = results.append, put_text: Any = texts.append) -> None:
            try:
                text = _encode(result)
            except Exception:  # an unusual type may raise anything; the careful way says what is wrong
                text = snapshot(result)
            put_text(text)
            put(result)

        def check_and_keep(result: Any) -> None:
            texts.append(encode_one(result))

        self.keep: Callable[[Any], None] = check_and_keep if checks_at_once else keep
        #: JSON texts of what items returned, and what they returned as long as it has to be checked.
        self.texts, self.results = texts, results
        #: When the stretch began, then when each item ended.
        self.stamps: list[int] = []
        self.stamp = self.stamps.append
        self.failures: list[tuple[int, Failure]] = []
        self.logs: list[LogEntry] = []
        self.stretch: Stretch
        #: Items and log records that left already, while the next item was still running.
        self.taken = 0
        self._logs_taken = 0

    def begin(self, stretch: Stretch, at: int) -> None:
        self.stretch = stretch
        self.stamps.append(at)

    def failed(self, position: int, failure: Failure, at: int) -> None:
        self.failures.append((position, failure))
        self.stamps.append(at)

    def log(self, entry: LogEntry, /) -> None:
        if len(self.logs) < MAX_LOGS:
            self.logs.append(entry)

    @property
    def finished(self) -> int:
        """Items that have an outcome: the positions from the stretch's first one on, without a gap."""
        return max(0, len(self.stamps) - 1)

    @property
    def waiting(self) -> int:
        """Items that have an outcome which has not left yet."""
        return self.finished - self.taken

    def block(self, finished: int | None = None) -> OutcomeBlock:
        """The outcomes of the first `finished` items (default: of all that ended).

        What it holds has left then: the next block begins behind it.
        """
        draft = _Draft()
        draft.add(self, self.finished if finished is None else finished)
        return draft.block()

    def take_logs(self) -> list[LogEntry]:
        """The log records that have not left yet."""
        logs = self.logs[self._logs_taken :]
        self._logs_taken += len(logs)
        return logs


def join_outcomes(stretches: list[StretchOutcomes]) -> OutcomeBlock:
    """One block of several finished stretches of the same lease, in item order."""
    draft = _Draft()
    for outcomes in sorted(stretches, key=lambda one: one.stretch.indices[0]):
        draft.add(outcomes, outcomes.finished)
    return draft.block()


class _Draft:
    """A block in the making: parallel lists over the items that returned a result."""

    def __init__(self) -> None:
        self._attempt = 1
        self._indices: list[int] = []
        self._durations: list[int] = []
        self._texts: list[bytes] = []
        #: Empty where they were checked when they were kept.
        self._results: list[Any] = []
        self._failures: list[Failure] = []
        self._logs: list[LogEntry] = []

    def add(self, outcomes: StretchOutcomes, count: int) -> None:
        """Take over what has not left yet of the first `count` items of a stretch."""
        self._logs += outcomes.take_logs()
        taken, outcomes.taken = outcomes.taken, max(outcomes.taken, count)
        if count <= taken:
            return
        stretch = outcomes.stretch
        self._attempt = stretch.attempt
        durations = [(end - start) // 1000 for start, end in pairwise(outcomes.stamps[taken : count + 1])]
        indices: Sequence[int] = stretch.indices[taken:count]
        returned = taken
        if outcomes.failures:
            failures = {position - stretch.first: failure for position, failure in outcomes.failures}
            self._failures += [failure for place, failure in failures.items() if taken <= place < count]
            indices = [index for place, index in enumerate(indices, taken) if place not in failures]
            durations = [took for place, took in enumerate(durations, taken) if place not in failures]
            returned -= sum(place < taken for place in failures)
        self._indices += indices
        self._durations += durations
        self._texts += outcomes.texts[returned : returned + len(indices)]
        self._results += outcomes.results[returned : returned + len(indices)]

    def block(self) -> OutcomeBlock:
        text = join_texts(self._texts)
        if self._results and not says_the_same(text, self._results):
            self._drop_unusable()
            text = join_texts(self._texts)
        successes = Successes(ranges_of(self._indices), self._attempt, self._durations, text)
        return OutcomeBlock([successes] if self._indices else [], self._failures, self._logs)

    def _drop_unusable(self) -> None:
        """The slow way: look at each result, and make those that are not strictly JSON failures."""
        unusable = {}
        for place, (text, result) in enumerate(zip(self._texts, self._results, strict=True)):
            try:
                check_snapshot(text, result)
            except Exception as error:
                index, duration = self._indices[place], self._durations[place]
                unusable[place] = failure_of(error, index=index, attempt=self._attempt, duration_us=duration)
        self._failures += unusable.values()
        usable = [place for place in range(len(self._indices)) if place not in unusable]
        self._indices = [self._indices[place] for place in usable]
        self._durations = [self._durations[place] for place in usable]
        self._texts = [self._texts[place] for place in usable]


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
