"""A node of worker processes: each slot is a process of its own, which may crash, hang or be killed."""

import threading
import time
from collections.abc import Callable
from functools import partial

from everyitem.adapters.nodes.memory_budget import MemoryBudget
from everyitem.adapters.nodes.supervision import Supervision
from everyitem.adapters.nodes.worker_memory import WorkerMemory
from everyitem.model.items import Items
from everyitem.model.resources import NodeSpec
from everyitem.ports.node import Lease, NodeFailed, Post, WorkerView
from everyitem.work.assignment import Assignment
from everyitem.work.processors import refuse_local


class ProcessNode:
    """Runs items in `slots` worker processes, every one of them a holder (`local/1`, `local/2`, ...).

    Whatever an item does to its process costs that item one attempt and nobody else anything: outcomes
    finished before are recovered, the process is replaced (`local/1.2`), and its whole process group ends
    with it. Raises `EveryitemError` for an item processor that other processes cannot import.
    """

    def __init__(
        self,
        spec: NodeSpec,
        *,
        slots: int,
        assignment: Assignment,
        items: Items,
        budget: MemoryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        refuse_local(assignment.processor, assignment.origin)
        self.node_id = spec.node_id
        self._budget = budget or MemoryBudget()
        self._memory_mb = spec.memory_mb
        self._slots, self._assignment, self._items, self._clock = slots, assignment, items, clock
        self._supervision: Supervision | None = None
        self._thread: threading.Thread | None = None

    def start(self, post: Post) -> None:
        """Start the worker processes; each announces itself once its item processor is set up."""
        supervision = None
        try:
            supervision = Supervision(
                node_id=self.node_id,
                slots=self._slots,
                assignment=self._assignment,
                items=self._items,
                memory=WorkerMemory(
                    self.node_id, slots=self._slots, memory_mb=self._memory_mb, budget=self._budget
                ),
                post=post,
                clock=self._clock,
            )
            # daemon: a coordinator that ends without closing its nodes must not hang; the guard cleans up
            thread = threading.Thread(target=supervision.run, name=f"everyitem-{self.node_id}", daemon=True)
            thread.start()
        except (OSError, RuntimeError) as error:  # no descriptor or no thread left
            if supervision is not None:
                supervision.discard()
            post(NodeFailed(self._clock(), self.node_id, f"the node cannot start: {error}"))
            return
        self._supervision, self._thread = supervision, thread

    def run_slice(self, holder: str, lease: Lease) -> None:
        """Give a worker a lease."""
        if self._supervision is not None:
            self._supervision.call(partial(self._supervision.run_slice, holder, lease))

    def revoke(self, holder: str, lease_id: int, *, drains: bool = False) -> None:
        """Take back what is unstarted of a lease: one worker leaves no gaps."""
        if self._supervision is not None:
            self._supervision.call(partial(self._supervision.revoke, holder, lease_id))

    def resize(self, slots: int) -> None:
        """Start more workers where there are too few; those that are too many are left idle."""
        if self._supervision is None:
            self._slots = slots
        else:
            self._supervision.call(partial(self._supervision.resize, slots))

    def interrupt(self) -> None:
        """Kill the worker processes; what they had finished is recovered, nobody is charged."""
        if self._supervision is not None:
            self._supervision.call(self._supervision.interrupt)

    def close(self) -> None:
        """Let the workers run `teardown`, end them, and wait until they are gone (about 2 s at most)."""
        if self._supervision is not None and self._thread is not None:
            self._supervision.call(self._supervision.close)
            self._thread.join()
            self._budget.close(self.node_id)

    def views(self) -> list[WorkerView]:
        """What each worker does now."""
        return [] if self._supervision is None else self._supervision.views()
