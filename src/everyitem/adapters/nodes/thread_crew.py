"""Workers that are threads."""

import threading
import time
from collections.abc import Callable
from typing import Any

from everyitem.adapters.nodes.crew import GRACE, OnBreak, Worker
from everyitem.adapters.nodes.shared_queue import SharedQueue
from everyitem.failpoints import Failpoint, passing
from everyitem.work import inside
from everyitem.work.context import BatchView
from everyitem.work.loop import Slot
from everyitem.work.processors import ItemProcessor


class ThreadWorker(Worker):
    """A worker with a thread of its own."""

    thread: threading.Thread


class ThreadCrew:
    """Workers are daemon threads: an item that never ends must not keep the process from ending.

    For `async def` processors each of them has an event loop of its own. `setup` and `teardown`, which run
    once for all of them, have one too, the same for both.
    """

    def __init__(self, queue: SharedQueue, processor: ItemProcessor, batch: BatchView) -> None:
        self._queue, self._processor, self._batch = queue, processor, batch
        self._hooks = Slot(processor, batch, restores_directory=False)

    def start(self) -> None:
        """Nothing to prepare."""

    def run_hook(self, hook: Callable[[], Any] | None) -> None:
        self._hooks.run_hook(hook)

    def hire(self, name: str, on_break: OnBreak) -> ThreadWorker:
        worker = ThreadWorker(name, self._processor, self._batch)
        worker.thread = threading.Thread(
            target=self._work, args=(worker, on_break), name=f"everyitem-{name}", daemon=True
        )
        worker.thread.start()
        return worker

    def _work(self, worker: ThreadWorker, on_break: OnBreak) -> None:
        inside.enter()
        slot = worker.slot
        try:
            while (claim := self._queue.wait_and_claim(worker, worker.size)) is not None:
                worker.claim = claim
                passing(Failpoint.ITEMS_CLAIMED)
                stopped = slot.work(
                    claim.stretch,
                    claim.window,
                    claim.outcomes,
                    stop_at=claim.stop_at,
                    until_failure=claim.until_failure,
                )
                passing(Failpoint.ITEMS_WORKED)
                if not worker.hand_in(self._queue, claim, stopped):
                    return
        except BaseException as error:
            on_break(error)
        finally:
            self._queue.retire(worker)
            slot.close()

    def wake(self, count: int) -> None:
        self._queue.changed.notify(count)

    def abandon(self, worker: ThreadWorker) -> None:
        """A coroutine is cancelled; a plain function cannot be, but sees `context.cancelled`."""
        worker.is_abandoned = True
        worker.slot.cancel()

    def is_running(self, worker: ThreadWorker) -> bool:
        return worker.thread.is_alive()

    def recover(self) -> bool:
        return False

    def end(self, workers: list[ThreadWorker]) -> bool:
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(worker.thread.is_alive() for worker in workers)

    def close(self) -> None:
        self._hooks.close()
