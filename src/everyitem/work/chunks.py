"""Chunk processors: several items in one call, and what happens to them when the call goes wrong.

A chunk that raises, returns the wrong number of results (or is given up by a watcher) charges nobody: its
items run again singly, at once, and only what fails singly is charged.
"""

import time
from typing import Any

from everyitem.work.context import ItemContext
from everyitem.work.failures import failure_of, is_final
from everyitem.work.outcomes import Collector, keep
from everyitem.work.results import UnusableResult
from everyitem.work.stretch import Stretch
from everyitem.work.texts import class_name
from everyitem.work.window import END, SINCE, STARTED, Window


class Raised:
    """An exception a call ended with, as a value (an exception *returned* for an item is something else)."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class ChunkCalls:
    """The calls a stretch needs: which items next, and what to make of what came back.

    `next()` and `returned()` alternate; the caller does the calling, plain or awaited.
    """

    def __init__(
        self,
        items: list[Any],
        stretch: Stretch,
        window: Window,
        collector: Collector,
        context: ItemContext,
        *,
        size: int,
        stop_at: int,
        final_attempt: int | None,
        at_most_once: bool = False,
    ) -> None:
        """`final_attempt` is the last attempt where a final failure ends the stretch, else None."""
        self._at_most_once = at_most_once
        self._items, self._stretch, self._window = items, stretch, window
        self._collector, self._context = collector, context
        self._size, self._stop_at, self._final_attempt = size, stop_at, final_attempt
        #: First position not started yet, or started and not answered yet.
        self.position = stretch.first
        #: Positions before this one run singly, because their chunk went wrong.
        self._singly_until = stretch.first
        self._count = 0
        self._is_over = False

    def next(self) -> list[Any] | None:
        """The items of the next call; None when the stretch ends here."""
        self._count = 0 if self._is_over else self._claim()
        if not self._count:
            return None
        start = self.position - self._stretch.first
        self._context._begin_chunk(  # noqa: SLF001  not for users, who see the context
            self.position, self._count
        )
        return self._items[start : start + self._count]

    def _claim(self) -> int:
        """Mark the next items as started and return how many (the order is explained in window.py)."""
        if self.position < self._singly_until:
            return 1
        count = min(self._size, self._stretch.stop - self.position)
        while count > 0:
            self._window[STARTED] = self.position + count - 1
            allowed = min(count, self._window[END] - self.position)
            if allowed == count:
                return count
            count = allowed
        return 0

    def returned(self, answer: Any) -> None:
        """Record what the last call returned, or `Raised`."""
        ended = time.monotonic_ns()
        outcomes = _outcomes_of(answer, self._count)
        if len(outcomes) < self._count and self._at_most_once:
            # each of them was called: another call is another attempt, which the engine grants
            outcomes *= self._count
        if len(outcomes) < self._count:
            self._singly_until = self.position + self._count
        else:
            self._record(outcomes, ended)
        self._window[SINCE] = ended
        self._is_over = self._is_over or (ended >= self._stop_at and self.position >= self._singly_until)

    def _record(self, outcomes: list[Any], ended: int) -> None:
        begun = self._window[SINCE]
        count = self._count
        for number, outcome in enumerate(outcomes, start=1):
            # every item of a chunk is said to have taken an equal part of its time
            at = begun + (ended - begun) * number // count
            error: BaseException | None = None
            if issubclass(type(outcome), BaseException):
                error = outcome
            else:
                try:
                    keep(self._collector, outcome)
                    self._collector.stamp(at)
                except Exception as unusable:
                    error = unusable
            if error is not None:
                self._fail(error, at, (ended - begun) // count // 1000)
            self.position += 1

    def _fail(self, error: BaseException, at: int, duration_us: int) -> None:
        failure = failure_of(
            error,
            index=self._stretch.index_at(self.position),
            attempt=self._stretch.attempt,
            duration_us=duration_us,
        )
        self._collector.failed(self.position, failure, at)
        if self._final_attempt is not None and is_final(failure, self._final_attempt):
            self._is_over = True


def _outcomes_of(answer: Any, count: int) -> list[Any]:
    """The outcomes of `count` items; a single exception where the call as a whole went wrong."""
    if isinstance(answer, Raised):
        return [answer.error]
    if not issubclass(type(answer), list | tuple):
        return [_wrong_answer(f"a {class_name(answer)}", count)]
    # a copy by the types' own means: what the user's code made of the list must not matter from here on
    outcomes = [*(list.__iter__(answer) if issubclass(type(answer), list) else tuple.__iter__(answer))]
    return outcomes if len(outcomes) == count else [_wrong_answer(f"{len(outcomes)} results", count)]


def _wrong_answer(got: str, count: int) -> UnusableResult:
    return UnusableResult(
        f"a chunk processor returns a list of one result per item; {count} expected, got {got}"
    )
