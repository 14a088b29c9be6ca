"""Crews: how the workers of a node run, as threads or as coroutines on one event loop.

A worker repeats: claim, work, hand in. When the watcher gives up on its item the worker is abandoned: it is
left to end by itself, its late outcome is dropped, and a new worker takes its place.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol

from everyitem.adapters.nodes.shared_queue import Claim, SharedQueue, next_size
from everyitem.work.context import BatchView
from everyitem.work.loop import Slot, end_loop, run_hook
from everyitem.work.processors import ItemProcessor

#: Seconds a closing node waits for its idle workers and for `teardown`.
GRACE = 2.0

#: Seconds beyond the item timeout after which an event loop that does not answer counts as blocked.
BLOCKED_AFTER = 1.0

#: Called with the exception when a worker itself breaks (never for what an item does).
OnBreak = Callable[[BaseException], None]


class Worker:
    """One slot of the node, as the node sees it."""

    __slots__ = ("claim", "done", "handle", "name", "slot")

    def __init__(self, name: str) -> None:
        self.name = name
        #: What it works on now.
        self.claim: Claim | None = None
        #: Items finished in claims it has handed in.
        self.done = 0
        #: What runs its items, once it has begun.
        self.slot: Slot | None = None
        #: The thread or task it runs in.
        self.handle: Any = None


class Crew(Protocol):
    """Starts, wakes and abandons workers of one kind."""

    def start(self) -> None:
        """Be ready for `run_hook` and `hire`."""
        ...

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        """Run `setup` or `teardown` where the workers run; raises what it raises."""
        ...

    def hire(self, worker: Worker, on_break: OnBreak) -> None:
        """Let a new worker run until the queue closes."""
        ...

    def wake(self, count: int) -> None:
        """Up to `count` idle workers look at the queue (called under the queue's lock)."""
        ...

    def abandon(self, worker: Worker) -> None:
        """Stop relying on a worker, ending what it runs if that is possible."""
        ...

    def is_running(self, worker: Worker) -> bool:
        """Whether the worker still occupies its thread or task."""
        ...

    def recover(self) -> bool:
        """Get going again when one item keeps all workers from running; True: hire all workers anew."""
        ...

    def end(self, workers: list[Worker]) -> bool:
        """After the queue was closed: wait for idle workers; returns whether all have ended."""
        ...

    def close(self) -> None:
        """Free what the crew itself holds."""
        ...


class _Hand:
    """The two colours of a worker's life share everything but the waiting."""

    def __init__(self, queue: SharedQueue, processor: ItemProcessor, batch: BatchView) -> None:
        self.queue = queue
        self.slot = Slot(processor, batch, restores_directory=False)
        self._smallest = processor.chunk_size or 1
        self.size = self._smallest

    def hand_in(self, worker: Worker, claim: Claim, stopped: int) -> bool:
        """Hand in a claim and choose the size of the next; False when the worker was abandoned."""
        if not self.queue.hand_in(claim, stopped):
            return False
        worker.claim = None
        worker.done += stopped - claim.stretch.first
        took = time.monotonic_ns() - claim.begun
        self.size = next_size(self.size, took=took, smallest=self._smallest)
        return True


class ThreadCrew:
    """Workers are daemon threads: an item that never ends must not keep the process from ending."""

    def __init__(self, queue: SharedQueue, processor: ItemProcessor, batch: BatchView) -> None:
        self._queue, self._processor, self._batch = queue, processor, batch

    def start(self) -> None:
        """Nothing to prepare."""

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        run_hook(hook)

    def hire(self, worker: Worker, on_break: OnBreak) -> None:
        worker.handle = threading.Thread(
            target=self._work, args=(worker, on_break), name=f"everyitem-{worker.name}", daemon=True
        )
        worker.handle.start()

    def _work(self, worker: Worker, on_break: OnBreak) -> None:
        hand = _Hand(self._queue, self._processor, self._batch)
        slot = worker.slot = hand.slot
        try:
            while (claim := self._queue.wait_and_claim(worker, hand.size)) is not None:
                worker.claim = claim
                stopped = slot.work(
                    claim.stretch,
                    claim.window,
                    claim.outcomes,
                    stop_at=claim.stop_at,
                    until_failure=claim.until_failure,
                )
                if not hand.hand_in(worker, claim, stopped):
                    return
        except BaseException as error:
            on_break(error)
        finally:
            slot.close()

    def wake(self, count: int) -> None:
        self._queue.changed.notify(count)

    def abandon(self, worker: Worker) -> None:
        """A coroutine is cancelled; a plain function cannot be, but sees `context.cancelled`."""
        if worker.slot is not None:
            worker.slot.cancel()

    def is_running(self, worker: Worker) -> bool:
        return bool(worker.handle.is_alive())

    def recover(self) -> bool:
        return False

    def end(self, workers: list[Worker]) -> bool:
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.handle.join(max(0.0, deadline - time.monotonic()))
        return not any(worker.handle.is_alive() for worker in workers)

    def close(self) -> None:
        """Nothing to free."""


class LoopCrew:
    """Workers are tasks on one event loop, which has a thread of its own.

    A coroutine that blocks (`time.sleep`, an endless loop) stops all of them. Where an item timeout is set
    such a loop is left behind, like an abandoned thread, and a new one takes over.
    """

    def __init__(self, queue: SharedQueue, processor: ItemProcessor, batch: BatchView, *, name: str) -> None:
        self._queue, self._processor, self._batch = queue, processor, batch
        self._name = name
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        #: Idle workers, each waiting for its future; touched on the loop only.
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Monotonic seconds at which the loop was asked for a sign of life it has not given yet.
        self._asked: float | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run_loop, args=(self._loop,), name=f"everyitem-{self._name}-loop", daemon=True
        )
        self._thread.start()

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        if hook is None:
            return

        async def call() -> None:
            pending = hook()
            if hasattr(pending, "__await__"):
                await pending

        self._submit(call()).result()

    def _submit(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def hire(self, worker: Worker, on_break: OnBreak) -> None:
        worker.handle = Future()
        self._loop.call_soon_threadsafe(self._begin, self._loop, worker, on_break)

    def _begin(self, loop: asyncio.AbstractEventLoop, worker: Worker, on_break: OnBreak) -> None:
        if loop is not self._loop:
            # a blocked loop woke up after another one had taken over
            return
        task = loop.create_task(self._work(worker, on_break), name=f"everyitem-{worker.name}")
        self._tasks.add(task)
        done: Future[None] = worker.handle
        worker.handle = _TaskHandle(task, done)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            done.set_result(None)

        task.add_done_callback(ended)

    async def _work(self, worker: Worker, on_break: OnBreak) -> None:
        hand = _Hand(self._queue, self._processor, self._batch)
        slot = worker.slot = hand.slot
        try:
            while (
                claim := self._queue.claim(worker, hand.size) or await self._wait_and_claim(worker, hand.size)
            ) is not None:
                worker.claim = claim
                stopped = await slot.work_async(
                    claim.stretch,
                    claim.window,
                    claim.outcomes,
                    stop_at=claim.stop_at,
                    until_failure=claim.until_failure,
                )
                if not hand.hand_in(worker, claim, stopped):
                    return
        except asyncio.CancelledError:
            # the loop ends while this worker is idle
            return
        except BaseException as error:
            on_break(error)

    async def _wait_and_claim(self, worker: Worker, size: int) -> Claim | None:
        while (claim := self._queue.claim(worker, size)) is None and not self._queue.is_closed:
            # No wake-up can be missed: work that came after the look calls `_wake_idle` through the loop,
            # hence after this future is in line.
            future = self._loop.create_future()
            self._idle.append(future)
            await future
        return claim

    def wake(self, count: int) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_idle, count)

    def _wake_idle(self, count: int) -> None:
        while count and self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def abandon(self, worker: Worker) -> None:
        """Cancel the item; one that swallows its cancellation goes on unheard."""
        handle = worker.handle
        if isinstance(handle, _TaskHandle) and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(handle.task.cancel)

    def is_running(self, worker: Worker) -> bool:
        return not _ended(worker).done()

    def recover(self) -> bool:
        timeout = self._batch.assignment.item_timeout
        if timeout is None:
            return False
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            self._loop.call_soon_threadsafe(self._answer, self._loop)
        elif now - self._asked > timeout + BLOCKED_AFTER:
            # should it ever wake up it ends: what ran on it has been given up meanwhile
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._asked = None
            self._idle = deque()
            self.start()
            return True
        return False

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            self._asked = None

    def end(self, workers: list[Worker]) -> bool:
        deadline = time.monotonic() + GRACE
        for worker in workers:
            try:
                _ended(worker).result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    end_loop(loop)


class _TaskHandle:
    """A worker's task, and the future that tells other threads when it has ended."""

    def __init__(self, task: asyncio.Task[None], done: "Future[None]") -> None:
        self.task = task
        self.done = done


def _ended(worker: Worker) -> "Future[None]":
    handle = worker.handle
    ended: Future[None] = handle.done if isinstance(handle, _TaskHandle) else handle
    return ended
