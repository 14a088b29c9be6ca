"""The item loop: one slot calling the item processor for one item after the other.

Budget: 1.5 us per item on the reference machine for a processor that does nothing, with decoding, context,
stop check, time stamps and strict results included (`benchmarks/item_loop.py`). Hence one flat loop per
colour (plain and `async`), the handling of exceptions outside of it, and nothing computed that nobody asks
for.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from everyitem.work import forks
from everyitem.work.chunks import ChunkCalls, Raised
from everyitem.work.context import BatchView, ItemContext
from everyitem.work.directory import WorkingDirectory
from everyitem.work.failures import failure_of, in_short, is_final
from everyitem.work.outcomes import Collector
from everyitem.work.processors import ItemProcessor
from everyitem.work.results import encode, snapshot
from everyitem.work.stretch import Stretch
from everyitem.work.window import END, SINCE, STARTED, Window

if TYPE_CHECKING:
    from everyitem.work.event_loop import OwnLoop

Result = TypeVar("Result")

_now = time.monotonic_ns

#: For `stop_at`: work until the stretch or the window ends.
NEVER = (1 << 63) - 1


class Slot:
    """Runs one item (or chunk) at a time, in the thread or task that calls `work`.

    Nothing an item does is raised from here: every exception, `SystemExit` and `KeyboardInterrupt`
    included, becomes a `Failure`.
    """

    def __init__(
        self, processor: ItemProcessor, batch: BatchView, *, restores_directory: bool = True
    ) -> None:
        """Slots of one process may leave restoring the working directory to what they share."""
        self._processor = processor
        self._last_attempt = batch.assignment.max_attempts
        self._at_most_once = batch.assignment.at_most_once
        self.context = ItemContext(batch)
        self._decode, self._decode_one = _decoders(decimals=processor.decimals)
        self._directory = WorkingDirectory() if restores_directory else None
        self._loop: OwnLoop | None = None
        #: True in a process an item forked, where everything here is a copy of its parent's.
        self._copied = forks.copied()

    def work(
        self,
        stretch: Stretch,
        window: Window,
        collector: Collector,
        *,
        stop_at: int = NEVER,
        until_failure: bool = False,
    ) -> int:
        """Run the items of a stretch; returns the first position that was not started.

        Stops at `window[END]`, at the first item that ends at or after `stop_at` (`time.monotonic_ns()`),
        and, with `until_failure`, at the first failure that cannot be retried.
        """
        try:
            if self._processor.is_async:
                return self._run_in_loop(
                    self.work_async(stretch, window, collector, stop_at=stop_at, until_failure=until_failure)
                )
            if self._processor.chunk_size:
                calls = self._chunk_calls(stretch, window, collector, stop_at, until_failure)
                return self._work_chunks(calls)
            return self._work_items(stretch, window, collector, stop_at, until_failure)
        finally:
            if self._directory is not None:
                self._directory.restore()

    def work_async(
        self,
        stretch: Stretch,
        window: Window,
        collector: Collector,
        *,
        stop_at: int = NEVER,
        until_failure: bool = False,
    ) -> Coroutine[Any, Any, int]:
        """As `work`, for an `async def` processor, in the event loop that awaits it.

        The working directory is left to the caller: coroutines of one loop take turns in it.
        """
        if self._processor.chunk_size:
            calls = self._chunk_calls(stretch, window, collector, stop_at, until_failure)
            return self._work_chunks_async(calls)
        return self._work_items_async(stretch, window, collector, stop_at, until_failure)

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        """Call `setup` or `teardown`, an `async def` one in the items' own loop; raises what it raises."""
        if hook is None:
            return
        try:
            pending = hook()
            if hasattr(pending, "__await__"):
                self._run_in_loop(_wait_for(pending))
        finally:
            if self._copied:
                forks.end_child("setup or teardown")

    def cancel(self) -> None:
        """Cancel the coroutine that runs in this slot's own loop; callable from any thread."""
        if (loop := self._loop) is not None:
            loop.cancel()

    def close(self) -> None:
        """Free the event loop the slot made for coroutines, ending what items left running on it."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.close()

    def _work_items(
        self, stretch: Stretch, window: Window, collector: Collector, stop_at: int, until_failure: bool
    ) -> int:
        function, context = self._processor.function, self.context
        hold, put, stamp = collector.hold, collector.put, collector.stamp
        copied = self._copied
        items = self._begin(stretch, window, collector)
        position = stretch.first
        while True:
            try:
                for item in items:
                    # this order makes revocation exact: see window.py
                    window[STARTED] = position
                    if position >= window[END]:
                        return position
                    result = function(item, context)
                    if copied:
                        self._end_child(position)
                    hold(result)
                    try:
                        text = encode(result)
                    except Exception:
                        text = snapshot(result)
                    put(text)
                    ended = _now()
                    stamp(ended)
                    window[SINCE] = ended
                    position += 1
                    if ended >= stop_at:
                        return position
                return position
            except BaseException as error:
                is_last = self._charge(error, position, stretch, window, collector)
            position += 1
            if (until_failure and is_last) or window[SINCE] >= stop_at:
                return position

    async def _work_items_async(
        self, stretch: Stretch, window: Window, collector: Collector, stop_at: int, until_failure: bool
    ) -> int:
        # `_work_items` with `await`; a shared body would cost more than the item is allowed to
        from everyitem.work.event_loop import current_task, is_being_closed, take_back_cancellation

        function, context = self._processor.function, self.context
        hold, put, stamp = collector.hold, collector.put, collector.stamp
        copied = self._copied
        items = self._begin(stretch, window, collector)
        position = stretch.first
        task = current_task()
        cancelling = task.cancelling
        while True:
            try:
                for item in items:
                    window[STARTED] = position
                    if position >= window[END]:
                        return position
                    result = await function(item, context)
                    if copied:
                        self._end_child(position)
                    hold(result)
                    try:
                        text = encode(result)
                    except Exception:
                        text = snapshot(result)
                    put(text)
                    ended = _now()
                    stamp(ended)
                    window[SINCE] = ended
                    position += 1
                    if cancelling():
                        await take_back_cancellation(task)
                    if ended >= stop_at:
                        return position
                return position
            except BaseException as error:
                if is_being_closed(error):
                    raise
                is_last = self._charge(error, position, stretch, window, collector)
            position += 1
            if cancelling():
                await take_back_cancellation(task)
            if (until_failure and is_last) or window[SINCE] >= stop_at:
                return position

    def _work_chunks(self, calls: ChunkCalls) -> int:
        function, context = self._processor.function, self.context
        while (items := calls.next()) is not None:
            try:
                answer = function(items, context)
            except BaseException as error:
                answer = Raised(error)
            if self._copied:
                self._end_child(calls.position, answer)
            calls.returned(answer)
        return calls.position

    async def _work_chunks_async(self, calls: ChunkCalls) -> int:
        from everyitem.work.event_loop import current_task, is_being_closed, take_back_cancellation

        function, context = self._processor.function, self.context
        task = current_task()
        while (items := calls.next()) is not None:
            try:
                answer = await function(items, context)
            except BaseException as error:
                if is_being_closed(error):
                    raise
                answer = Raised(error)
            if self._copied:
                self._end_child(calls.position, answer)
            await take_back_cancellation(task)
            calls.returned(answer)
        return calls.position

    def _chunk_calls(
        self, stretch: Stretch, window: Window, collector: Collector, stop_at: int, until_failure: bool
    ) -> ChunkCalls:
        return ChunkCalls(
            list(self._begin(stretch, window, collector)),
            stretch,
            window,
            collector,
            self.context,
            size=self._processor.chunk_size or 1,
            stop_at=stop_at,
            final_attempt=self._last_attempt if until_failure else None,
            at_most_once=self._at_most_once,
        )

    def _begin(self, stretch: Stretch, window: Window, collector: Collector) -> Iterator[Any]:
        self.context._begin(  # noqa: SLF001  not for users, who see the context
            stretch, window, collector.log
        )
        try:
            items = iter(self._decode(stretch.text))
        except Exception:
            # one by one, so that only the item at fault fails: `map` goes on after an exception
            items = map(self._decode_one, stretch.raws())
        at = _now()
        window[SINCE] = at
        collector.begin(stretch, at)
        return items

    def _charge(
        self, error: BaseException, position: int, stretch: Stretch, window: Window, collector: Collector
    ) -> bool:
        """Make the exception the item's failure; returns whether it cannot be retried."""
        if self._copied:
            self._end_child(position, Raised(error))
        ended = _now()
        failure = failure_of(
            error,
            index=stretch.index_at(position),
            attempt=stretch.attempt,
            duration_us=(ended - window[SINCE]) // 1000,
        )
        # the exception's own local variables must not outlive the item
        BaseException.with_traceback(error, None)
        collector.failed(position, failure, ended)
        window[SINCE] = ended
        return is_final(failure, self._last_attempt)

    def _end_child(self, position: int, answer: Any = None) -> NoReturn:
        """End a process that an item forked and that came back to this slot, which is its parent's."""
        raised = in_short(answer.error) if isinstance(answer, Raised) else ""
        item = self.context._id_at(position)  # noqa: SLF001  not for users, who see the context
        forks.end_child(f"item {item}", raised=raised)

    def _run_in_loop(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            from everyitem.work.event_loop import OwnLoop

            self._loop = OwnLoop()
        return self._loop.run(work)


async def _wait_for(pending: Awaitable[Any]) -> None:
    await pending


def _decoders(*, decimals: bool) -> tuple[Callable[[bytes], list[Any]], Callable[[Any], Any]]:
    if decimals:
        # not at the top: few processors ask for it
        from decimal import Decimal

        return (
            msgspec.json.Decoder(list[Any], float_hook=Decimal).decode,
            msgspec.json.Decoder(float_hook=Decimal).decode,
        )
    return msgspec.json.Decoder(list[Any]).decode, msgspec.json.Decoder().decode
