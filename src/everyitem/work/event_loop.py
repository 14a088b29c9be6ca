"""Event loops that run items' coroutines, whatever those do to them.

Not imported by workers of plain processors, which need no asyncio.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class OwnLoop:
    """An event loop in the thread that calls `run`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end and return its result."""
        return _run_to_end(self._loop, work)

    def cancel(self) -> None:
        """Cancel what runs now; callable from any thread."""
        if self._loop.is_running():
            # it may be closed this very moment
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_cancel_tasks, self._loop)

    def close(self) -> None:
        """End what items left running, and free the loop."""
        end_loop(self._loop)


def _run_to_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result]) -> Result:
    task = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio throws these out of the loop when a task ends with one; who awaits that task has not
            # heard of it yet
            if task.done():
                return task.result()
            if isinstance(error, KeyboardInterrupt) and _may_be_a_key():
                raise
        except RuntimeError as error:
            # an item has called `loop.stop()`: the loop is ours to stop
            if task.done() or loop.is_closed() or "stopped before" not in str(error):
                raise


def _may_be_a_key() -> bool:
    """Whether a `KeyboardInterrupt` in this thread may mean that somebody pressed Ctrl-C."""
    here = threading.current_thread() is threading.main_thread()
    return here and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def run_until(loop: asyncio.AbstractEventLoop, is_stopped: Callable[[], bool]) -> None:
    """Run a loop until it is stopped, also when a task ends with `SystemExit`, then end it.

    Whoever calls `loop.stop()` makes `is_stopped()` true before.
    """
    while not is_stopped():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            continue
    end_loop(loop)


def end_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs on a stopped event loop and close it."""
    if tasks := _cancel_tasks(loop):
        # a task that swallows its cancellation is left behind, not waited for
        _run_to_end(loop, asyncio.wait(tasks, timeout=1))
    _run_to_end(loop, loop.shutdown_asyncgens())
    loop.close()


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    return tasks


def current_task() -> "asyncio.Task[Any]":
    """The task that runs the calling coroutine."""
    task = asyncio.current_task()
    assert task is not None
    return task


async def take_back_cancellation(task: "asyncio.Task[Any]") -> None:
    """Forget that the calling task was cancelled: it was meant for an item which is over."""
    while task.cancelling():
        try:
            # one that was not delivered yet comes at the next `await`, whatever `uncancel` says (Python 3.12)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        task.uncancel()


def is_being_closed(error: BaseException) -> bool:
    """Whether a coroutine caught this because it is thrown away, not because its item raised it."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is None
    except RuntimeError:  # no loop is running here
        return True
