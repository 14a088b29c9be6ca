"""Workers that are tasks on one event loop."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from everyitem.adapters.nodes.claims import Claim
from everyitem.adapters.nodes.crew import GRACE, OnBreak, Worker
from everyitem.adapters.nodes.shared_queue import SharedQueue
from everyitem.work import inside
from everyitem.work.context import BatchView
from everyitem.work.event_loop import run_until, take_back_cancellation
from everyitem.work.processors import ItemProcessor

#: Seconds beyond the item timeout after which an event loop that does not answer counts as blocked.
BLOCKED_AFTER: Final = 1.0


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(
            target=run_until, args=(self.loop, self._is_stopped.is_set), name=name, daemon=True
        )

    def start(self) -> None:
        """Let the loop run."""
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the loop, from any thread, unless the loop has ended."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed
            return

    def stop(self) -> None:
        """Let the loop end; what runs on it is cancelled."""
        self._is_stopped.set()
        self.call(self.loop.stop)

    def close(self) -> None:
        """Stop the loop and wait for it, within reason."""
        self.stop()
        if self._thread.ident is None:
            self.loop.close()
        else:
            self._thread.join(GRACE)


class LoopWorker(Worker):
    """A worker that is a task."""

    def __init__(self, name: str, processor: ItemProcessor, batch: BatchView, home: LoopThread) -> None:
        super().__init__(name, processor, batch)
        self.home = home
        #: Once it has begun.
        self.task: asyncio.Task[None] | None = None
        #: Done when it has ended, for other threads.
        self.ended: Future[None] = Future()


class LoopCrew:
    """Workers are tasks on one event loop, which has a thread of its own.

    A coroutine that blocks (`time.sleep`, an endless loop) stops all of them. Where an item timeout is set
    such a loop is left behind, like an abandoned thread, and a new one takes over.
    """

    def __init__(self, queue: SharedQueue, processor: ItemProcessor, batch: BatchView, *, name: str) -> None:
        self._queue, self._processor, self._batch = queue, processor, batch
        self._name = name
        self._home = self._new_home()
        #: Idle workers, each waiting for its future; touched on the loop only.
        self._idle: deque[asyncio.Future[None]] = deque()
        #: Monotonic seconds at which the loop was asked for a sign of life it has not given yet.
        self._asked: float | None = None

    def _new_home(self) -> LoopThread:
        return LoopThread(f"everyitem-{self._name}-loop")

    def start(self) -> None:
        self._home.start()

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        if hook is None:
            return

        async def call() -> None:
            pending = hook()
            if hasattr(pending, "__await__"):
                await pending

        asyncio.run_coroutine_threadsafe(call(), self._home.loop).result()

    def hire(self, name: str, on_break: OnBreak) -> LoopWorker:
        worker = LoopWorker(name, self._processor, self._batch, self._home)
        self._home.call(self._begin, worker, on_break)
        return worker

    def _begin(self, worker: LoopWorker, on_break: OnBreak) -> None:
        if worker.home is not self._home:
            # a blocked loop woke up after another one had taken over
            return
        worker.task = worker.home.loop.create_task(
            self._work(worker, on_break), name=f"everyitem-{worker.name}"
        )
        worker.task.add_done_callback(lambda _: worker.ended.set_result(None))

    async def _work(self, worker: LoopWorker, on_break: OnBreak) -> None:
        inside.enter()
        try:
            while (claim := await self._next_claim(worker)) is not None:
                worker.claim = claim
                stopped = await worker.slot.work_async(
                    claim.stretch,
                    claim.window,
                    claim.outcomes,
                    stop_at=claim.stop_at,
                    until_failure=claim.until_failure,
                )
                if not worker.hand_in(self._queue, claim, stopped):
                    break
        except GeneratorExit:
            # thrown away with a loop that was left behind
            raise
        except BaseException as error:
            on_break(error)
        self._queue.retire(worker)

    async def _next_claim(self, worker: LoopWorker) -> Claim | None:
        """Claim, waiting for work; None when the worker is to end."""
        while self._is_wanted(worker):
            if (claim := self._queue.claim(worker, worker.size)) is not None:
                return claim
            # No wake-up can be missed: work that came after the look calls `_wake_idle` through the loop,
            # hence after this future is in line.
            future = worker.home.loop.create_future()
            self._idle.append(future)
            try:
                await future
            except asyncio.CancelledError:
                # by something an item left behind, unless the worker is not wanted any more
                if worker.task is not None:
                    await take_back_cancellation(worker.task)
        return None

    def _is_wanted(self, worker: LoopWorker) -> bool:
        return not (worker.is_abandoned or self._queue.is_closed) and worker.home is self._home

    def wake(self, count: int) -> None:
        self._home.call(self._wake_idle, count)

    def _wake_idle(self, count: int) -> None:
        while count and self._idle:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def abandon(self, worker: LoopWorker) -> None:
        """Cancel the item; one that swallows its cancellation goes on unheard."""
        worker.is_abandoned = True
        if worker.task is not None:
            worker.home.call(worker.task.cancel)

    def is_running(self, worker: LoopWorker) -> bool:
        return not worker.ended.done()

    def recover(self) -> bool:
        timeout = self._batch.assignment.item_timeout
        if timeout is None:
            return False
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            self._home.call(self._answer, self._home)
        elif now - self._asked > timeout + BLOCKED_AFTER:
            # should it ever wake up it ends: what ran on it has been given up meanwhile
            self._home.stop()
            self._asked = None
            self._idle = deque()
            self._home = self._new_home()
            self._home.start()
            return True
        return False

    def _answer(self, home: LoopThread) -> None:
        if home is self._home:
            self._asked = None

    def end(self, workers: list[LoopWorker]) -> bool:
        deadline = time.monotonic() + GRACE
        for worker in workers:
            try:
                worker.ended.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        self._home.close()
