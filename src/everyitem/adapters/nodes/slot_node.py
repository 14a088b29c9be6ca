"""A node whose slots share one queue: what thread and async nodes have in common.

The node has a thread of its own: it runs `setup`, announces the holder, watches the slots while there is
work, and at the end runs `teardown`.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from everyitem.adapters.nodes.claims import Claim
from everyitem.adapters.nodes.crew import GRACE, Crew, Worker
from everyitem.adapters.nodes.memory_budget import MemoryBudget
from everyitem.adapters.nodes.shared_queue import SharedQueue
from everyitem.adapters.nodes.slot_memory import SlotMemory
from everyitem.adapters.nodes.watcher import Watcher
from everyitem.model.errors import ErrorCode, StoreError
from everyitem.model.items import Items
from everyitem.model.outcome import Failure
from everyitem.model.resources import NodeSpec
from everyitem.ports.node import HolderJoined, IntakeLimited, Lease, NodeFailed, Post, WorkerView
from everyitem.ports.started import StartedCells
from everyitem.work.assignment import Assignment
from everyitem.work.context import BatchView
from everyitem.work.failures import in_short, timeout_failure
from everyitem.work.processors import ItemProcessor
from everyitem.work.window import SINCE

logger = logging.getLogger(__name__)

#: Abandoned workers still running at the same time, per slot, that a node bears (contract section 1).
MAX_ABANDONED_PER_SLOT = 4

#: Workers of a node that may be at an item at the same time, per slot.
WORKERS_PER_SLOT = 1 + MAX_ABANDONED_PER_SLOT

#: Makes the crew of a node from its queue and what its workers need.
BuildCrew = Callable[[SharedQueue, ItemProcessor, BatchView], Crew[Any]]


class SlotNode:
    """One holder, named like the node, with `slots` workers on one shared queue."""

    def __init__(
        self,
        spec: NodeSpec,
        *,
        slots: int,
        assignment: Assignment,
        processor: ItemProcessor,
        items: Items,
        budget: MemoryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        started: StartedCells | None = None,
        build_crew: BuildCrew,
    ) -> None:
        """`clock` (monotonic seconds) stamps the messages; timeouts and budgets always run on real time.

        `started` is where the node notes what its workers start, should this process die.
        """
        self.node_id = spec.node_id
        self._slots, self._assignment, self._processor, self._clock = slots, assignment, processor, clock
        #: What `resize` asked for and the node's thread has not done yet.
        self._asked: int | None = None
        self._queue = SharedQueue(
            spec.node_id,
            items=items,
            clock=clock,
            max_attempts=assignment.max_attempts,
            at_most_once=assignment.at_most_once,
            on_work=self._wake,
            started=started,
        )
        self._crew = build_crew(self._queue, processor, BatchView(assignment))
        self._watcher = Watcher(
            self._queue,
            item_timeout=assignment.item_timeout,
            on_timeout=self._time_out,
            on_look=self._recover,
        )
        self._memory = SlotMemory(
            spec.node_id,
            self._queue,
            slots=slots,
            memory_mb=spec.memory_mb,
            budget=budget or MemoryBudget(),
            on_limit=self._memory_leaves,
            on_end=self._fail,
        )
        #: One per slot; replaced, not changed, when abandoned. Written by the node's thread only.
        self._workers: list[Worker] = []
        self._abandoned: list[Worker] = []
        self._hired = 0
        self._has_failed = False
        self._thread = threading.Thread(target=self._live, name=f"everyitem-{self.node_id}", daemon=True)
        self._post: Post

    @property
    def dropped(self) -> int:
        """Outcomes that came after their item was given up, and were dropped."""
        return self._queue.dropped

    def start(self, post: Post) -> None:
        self._post = post
        self._queue.open(post)
        try:
            self._thread.start()
        except RuntimeError as error:  # the machine has no thread left
            self._fail(f"the node cannot start: {error}")

    def run_slice(self, holder: str, lease: Lease) -> None:
        self._queue.add(lease)
        self._watcher.wake()

    def revoke(self, holder: str, lease_id: int, *, drains: bool = False) -> None:
        self._queue.revoke(lease_id, drains=drains)

    def resize(self, slots: int) -> None:
        self._asked = slots
        self._watcher.wake()

    def interrupt(self) -> None:
        self._lose("interrupted")

    def close(self) -> None:
        self._queue.close()
        self._watcher.stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            # `teardown` should be heard out, but a hanging one must not keep the caller
            self._thread.join(2 * GRACE)
        elif self._thread.ident is None:
            self._crew.close()

    def views(self) -> list[WorkerView]:
        return [_view_of(worker) for worker in list(self._workers)]

    def _wake(self, count: int) -> None:
        self._crew.wake(count)

    def _live(self) -> None:
        """The life of the node's own thread; whatever goes wrong in it is said, never silent."""
        try:
            self._crew.start()
            if self._set_up():
                self._memory.start()
                self._take_size()
                self._workers += [self._hire() for _ in range(self._slots)]
                self._post(HolderJoined(self._clock(), self.node_id, self.node_id, self._slots, shared=True))
                self._watcher.watch()
                self._tear_down()
        except BaseException as error:
            self._break(error)
        finally:
            self._crew.close()

    def _set_up(self) -> bool:
        try:
            self._crew.run_hook(self._processor.setup)
        except BaseException as error:
            self._fail(f"setup of item processor {self._processor.name!r} failed: {in_short(error)}")
            return False
        return True

    def _tear_down(self) -> None:
        if self._crew.end(self._workers):
            try:
                self._crew.run_hook(self._processor.teardown)
            except BaseException:
                # every item is done; there is nobody left to fail
                logger.exception("teardown of item processor %r failed", self._processor.name)

    def _hire(self) -> Worker:
        self._hired += 1
        worker: Worker = self._crew.hire(f"{self.node_id}/{self._hired}", self._break)
        return worker

    def _time_out(self, claim: Claim, seen: tuple[int, int]) -> None:
        """Give up the item a claim is on, abandon its worker and put a new one in its place."""
        if not self._queue.give_up(claim, self._timeout_failure, seen=seen):
            return
        for number, worker in enumerate(self._workers):
            if worker is claim.owner:
                self._crew.abandon(worker)
                self._abandoned.append(worker)
                self._workers[number] = self._hire()
        self._abandoned = [worker for worker in self._abandoned if self._crew.is_running(worker)]
        if len(self._abandoned) >= MAX_ABANDONED_PER_SLOT * self._slots:
            self._fail(
                f"{len(self._abandoned)} items ran out of time and still occupy their workers, "
                f"{MAX_ABANDONED_PER_SLOT} for each of {self._slots} slots; "
                "run items that can hang on process nodes, where they are killed"
            )

    def _take_size(self) -> bool:
        """Take over the number of slots asked for, if it has changed."""
        asked, self._asked = self._asked, None
        if asked is None:
            return False
        self._slots = asked
        self._memory.resize(asked)
        return True

    def _grow(self) -> None:
        """Hire the workers the slots in use need; where the machine has no room, those there are must do."""
        try:
            while len(self._workers) < self._slots:
                self._workers.append(self._hire())
        except (RuntimeError, OSError) as error:
            logger.warning("node %s stays at %d workers: %s", self.node_id, len(self._workers), error)
            self._post(IntakeLimited(self._clock(), self.node_id, len(self._workers)))

    def _memory_leaves(self, slots: int | None) -> None:
        self._post(IntakeLimited(self._clock(), self.node_id, slots))

    def _recover(self) -> None:
        if self._take_size():
            self._grow()
        self._memory.look()
        if self._crew.recover():
            self._workers = [self._hire() for _ in self._workers]

    def _timeout_failure(self, claim: Claim, index: int) -> Failure:
        return timeout_failure(
            index,
            attempt=claim.stretch.attempt,
            duration_us=(time.monotonic_ns() - claim.window[SINCE]) // 1000,
            timeout=self._assignment.item_timeout or 0.0,
        )

    def _break(self, error: BaseException) -> None:
        """Something broke outside of any item: said loudly instead of hanging."""
        if isinstance(error, StoreError):
            self._fail(f"the items cannot be read: {error}", ErrorCode.SYSTEM_ERROR)
        else:
            self._fail(f"the node broke: {in_short(error)}")

    def _fail(self, reason: str, code: ErrorCode = ErrorCode.RESOURCE_ERROR) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        try:
            self._lose(reason)
        finally:
            self._post(NodeFailed(self._clock(), self.node_id, reason, code))

    def _lose(self, reason: str) -> None:
        # the queue first: what an item answers to its cancellation must not count as its outcome
        self._queue.lose(reason)
        self._watcher.stop()
        for worker in list(self._workers):
            self._crew.abandon(worker)


def _view_of(worker: Worker) -> WorkerView:
    claim = worker.claim
    if claim is None:
        return WorkerView(worker.name, None, 0.0, worker.done)
    since = (claim.window[SINCE] or claim.begun) / 1e9
    return WorkerView(worker.name, claim.index, since, worker.done + claim.outcomes.finished)
