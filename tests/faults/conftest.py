"""Drives a process node the way the engine does, for tests: leases out, every index accounted for."""

import contextlib
import os
import queue
import select
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeVar

import pytest

from everyitem.adapters.nodes.memory_budget import MemoryBudget
from everyitem.adapters.nodes.process_node import ProcessNode
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.model.resources import NodeKind, NodeSpec
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    ItemRunsLong,
    Lease,
    NodeFailed,
    NodeMessage,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.work.assignment import Assignment, OriginKind, ProcessorOrigin

#: Seconds to wait for anything before a test is given up.
PATIENCE = 120.0


Said = TypeVar("Said", bound=NodeMessage)


class Driver:
    """Leases items to a node until each has an outcome, and keeps what was said."""

    def __init__(self, node: ProcessNode, *, size: int = 10, attempts: int = 1, budget: float = 60.0) -> None:
        self.node, self.size, self.attempts, self.budget = node, size, attempts, budget
        self.inbox: queue.SimpleQueue[NodeMessage] = queue.SimpleQueue()
        self.heard: list[NodeMessage] = []
        self.results: dict[int, bytes] = {}
        self.failures: list[Failure] = []
        self.logs: list[tuple[int, int, str, str]] = []
        self.leases: dict[str, Lease] = {}
        self._done: dict[str, set[int]] = {}
        self._todo: deque[tuple[Sequence[int], int]] = deque()
        self._number = self._failed_for_good = 0
        self._idle: deque[str] = deque()

    def __enter__(self) -> Self:
        self.node.start(self.inbox.put)
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()

    def run(self, count: int, *, watch: Callable[[NodeMessage], None] = lambda message: None) -> "Driver":
        """Process the items 0 ... count - 1 to their final outcome; `watch` sees every message."""
        for first in range(0, count, self.size):
            self._todo.append((range(first, min(count, first + self.size)), 1))
        while len(self.results) + self._failed_for_good < count:
            self._lease_out()
            message = self.next()
            assert not isinstance(message, NodeFailed), message.reason
            watch(message)
        return self

    def next(self, timeout: float = PATIENCE) -> NodeMessage:
        """The node's next message, its outcomes counted."""
        message = self.inbox.get(timeout=timeout)
        self.heard.append(message)
        match message:
            case HolderJoined(holder=holder):
                self._idle.append(holder)
            case OutcomesArrived(holder=holder, block=block):
                self._count(holder, block)
            case SliceFinished(holder=holder, block=block):
                self._count(holder, block)
                self._end(holder)
                self._idle.append(holder)
            case SliceShortened(holder=holder, kept=kept):
                self._shorten(holder, kept)
            case HolderLost(holder=holder, block=block, isolate=isolate):
                self._lose(holder, block, isolate)
        return message

    def wait_for(self, kind: type[Said], timeout: float = PATIENCE) -> Said:
        """The next message of a kind."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.next(max(0.01, deadline - time.monotonic()))
            if isinstance(message, kind):
                return message

    def wait_until_at(self, index: int) -> None:
        """Wait until a worker is on this item, which takes long (on a busy machine others may, too)."""
        self.wait_for(ItemRunsLong)
        while all(view.index != index for view in self.node.views()):
            self.wait_for(ItemRunsLong)

    def lease(self, indices: Sequence[int], *, attempt: int = 1, holder: str | None = None) -> Lease:
        """Give these items to a holder (the next idle one)."""
        while holder is None:
            if self._idle:
                holder = self._idle.popleft()
            else:
                self.next()
        if holder in self._idle:
            self._idle.remove(holder)
        self._number += 1
        lease = Lease(self._number, indices, attempt=attempt, budget=self.budget)
        self.leases[holder] = lease
        self._done[holder] = set()
        self.node.run_slice(holder, lease)
        return lease

    def of(self, kind: type[Said]) -> list[Said]:
        """All messages of a kind so far."""
        return [message for message in self.heard if isinstance(message, kind)]

    def _lease_out(self) -> None:
        while self._idle and self._todo:
            indices, attempt = self._todo.popleft()
            self.lease(indices, attempt=attempt)

    def _count(self, holder: str, block: OutcomeBlock) -> None:
        allowed = set(self.leases[holder].indices)
        for run in block.successes:
            assert run.attempt == self.leases[holder].attempt
            for index, text in zip(run.indices(), run.result_texts(), strict=True):
                assert index in allowed
                assert index not in self.results, f"item {index} was handed in twice"
                self.results[index] = text
                self._done[holder].add(index)
        for failure in block.failures:
            assert failure.index in allowed
            assert failure.index not in self._done[holder]
            self._done[holder].add(failure.index)
            self.failures.append(failure)
            if failure.permanent or failure.attempt >= self.attempts:
                self._failed_for_good += 1
            else:
                self._todo.append(((failure.index,), failure.attempt + 1))
        self.logs += block.logs

    def _end(self, holder: str) -> None:
        lease, done = self.leases.pop(holder), self._done.pop(holder)
        rest = tuple(index for index in lease.indices if index not in done)
        if rest:
            self._todo.appendleft((rest, lease.attempt))

    def _shorten(self, holder: str, kept: int) -> None:
        lease = self.leases[holder]
        if kept < len(lease.indices):
            self._todo.append((lease.indices[kept:], lease.attempt))
        self.leases[holder] = Lease(lease.lease_id, lease.indices[:kept], attempt=lease.attempt)

    def _lose(self, holder: str, block: OutcomeBlock, isolate: tuple[int, ...]) -> None:
        if holder in self._idle:
            self._idle.remove(holder)
        if holder not in self.leases:
            assert not block
            assert not isolate
            return
        attempt = self.leases[holder].attempt
        self._count(holder, block)
        self._done[holder].update(isolate)
        self._todo.extend(((index,), attempt) for index in isolate)
        self._end(holder)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    """Starts a process node for an item processor `p` given as code, over items given as JSON texts."""
    with contextlib.ExitStack() as nodes:

        def start(
            code: str,
            items: Sequence[str],
            *,
            slots: int = 1,
            size: int = 10,
            attempts: int = 1,
            budget: float = 60.0,
            **assignment: object,
        ) -> Driver:
            node = process_node(tmp_path, code, items, slots=slots, max_attempts=attempts, **assignment)
            return nodes.enter_context(Driver(node, size=size, attempts=attempts, budget=budget))

        yield start


def process_node(
    folder: Path,
    code: str,
    items: Sequence[str],
    *,
    slots: int,
    memory_mb: int | None = None,
    memory: MemoryBudget | None = None,
    **assignment: object,
) -> ProcessNode:
    """A process node; `assignment` overrides fields of its assignment."""
    file = folder / "processors.py"
    file.write_text("from everyitem import chunk_processor, item_processor\n" + textwrap.dedent(code))
    fields = {
        "batch_id": "b",
        "key_prefix": "b",
        "processor": "p",
        "origin": ProcessorOrigin(OriginKind.FILE, str(file)),
        "sys_path": sys.path,
    }
    return ProcessNode(
        NodeSpec(node_id="local", kind=NodeKind.PROCESS, slots=slots, memory_mb=memory_mb),
        slots=slots,
        assignment=Assignment(**{**fields, **assignment}),
        items=InMemoryItems(("[" + ",".join(items) + "]").encode(), named=False),
        budget=memory,
    )


@pytest.fixture
def ends_within() -> Callable[[int, float], bool]:
    """Whether a process that is not our child ends within some seconds."""

    def ends_within(pid: int, timeout: float) -> bool:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            return bool(poll.poll(timeout * 1000))
        finally:
            os.close(fd)

    return ends_within
