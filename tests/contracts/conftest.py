"""What the node contract needs: nodes of every kind, and a driver that leases items and checks the rules."""

import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.services.dask import shared_cluster

from everyitem.adapters.nodes.async_node import AsyncNode
from everyitem.adapters.nodes.dask.node import DaskNode
from everyitem.adapters.nodes.process_node import ProcessNode
from everyitem.adapters.nodes.thread_node import ThreadNode
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Failure
from everyitem.model.resources import NodeKind, NodeSpec
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    ItemRunsLong,
    Lease,
    Node,
    NodeFailed,
    NodeMessage,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.work.assignment import Assignment
from everyitem.work.processors import ItemProcessor, find_processor, load_processors

PROCESSORS = Path(__file__).with_name("node_processors.py")
#: Seconds any single message may take; only a broken node needs them.
PATIENCE = 120

#: Builds a node: (spec, assignment, processor, items) -> node.
Build = Callable[[NodeSpec, Assignment, ItemProcessor, InMemoryItems], Node]


def build_thread(
    spec: NodeSpec, assignment: Assignment, processor: ItemProcessor, items: InMemoryItems
) -> Node:
    return ThreadNode(spec, slots=spec.slots, assignment=assignment, processor=processor, items=items)


def build_async(
    spec: NodeSpec, assignment: Assignment, processor: ItemProcessor, items: InMemoryItems
) -> Node:
    return AsyncNode(spec, slots=spec.slots, assignment=assignment, processor=processor, items=items)


def build_process(
    spec: NodeSpec, assignment: Assignment, processor: ItemProcessor, items: InMemoryItems
) -> Node:
    return ProcessNode(spec, slots=spec.slots, assignment=assignment, items=items)


def build_dask(
    spec: NodeSpec, assignment: Assignment, processor: ItemProcessor, items: InMemoryItems
) -> Node:
    spec = replace(spec, address=shared_cluster().address)
    return DaskNode(spec, slots=spec.slots, assignment=assignment, processor=processor, items=items)


BUILDERS: dict[NodeKind, Build] = {
    NodeKind.THREAD: build_thread,
    NodeKind.ASYNC: build_async,
    NodeKind.PROCESS: build_process,
    NodeKind.DASK: build_dask,
}


class Driver:
    """A minimal engine: leases items, takes them back, retries; asserts the port's rules on every message."""

    def __init__(self, node: Node, count: int, max_attempts: int) -> None:
        self.node, self.count, self.max_attempts = node, count, max_attempts
        self.inbox: queue.SimpleQueue[NodeMessage] = queue.SimpleQueue()
        self.holders: dict[str, int] = {}
        #: Open leases: id -> (holder, lease, positions kept, indices with an outcome).
        self.open: dict[int, tuple[str, Lease, int, set[int]]] = {}
        self.results: dict[int, Any] = {}
        self.attempts: dict[int, int] = {}
        self.failures: list[Failure] = []
        self.logs: list[tuple[int, int, str, str]] = []
        self.lost: list[HolderLost] = []
        self.messages: list[NodeMessage] = []
        #: What `run_all` still has to lease: (indices, attempt).
        self.waiting: deque[tuple[Sequence[int], int]] = deque()
        self._lease_id = 0
        node.start(self.inbox.put)

    def lease(
        self, indices: Sequence[int], attempt: int = 1, *, holder: str | None = None, **options: Any
    ) -> int:
        """Give a lease to a holder (the first one by default); returns its id."""
        while not self.holders:
            self.step()
        holder = holder or next(iter(self.holders))
        self._lease_id += 1
        lease = Lease(self._lease_id, indices, attempt, **{"budget": 60.0, **options})
        self.open[lease.lease_id] = (holder, lease, len(indices), set())
        self.node.run_slice(holder, lease)
        return self._lease_id

    def step(self) -> NodeMessage:
        """Take one message and keep the books."""
        message = self.inbox.get(timeout=PATIENCE)
        self.messages.append(message)
        match message:
            case HolderJoined():
                self.holders[message.holder] = message.slots
            case OutcomesArrived():
                self._record(message.lease_id, message)
            case SliceFinished():
                self._record(message.lease_id, message)
                self._give_back(message.lease_id)
            case SliceShortened():
                holder, lease, kept, seen = self.open[message.lease_id]
                assert message.kept <= kept
                assert seen <= set(lease.indices[: message.kept])
                self.open[message.lease_id] = (holder, lease, message.kept, seen)
                self.waiting.append((lease.indices[message.kept : kept], lease.attempt))
            case HolderLost():
                self._lose(message)
            case NodeFailed():
                raise NodeBroke(message)
            case ItemRunsLong():
                pass
        return message

    def until(self, kind: type[Any]) -> Any:
        """Step until a message of this kind has come; returns it."""
        while not isinstance(message := self.step(), kind):
            pass
        return message

    def finish(self) -> None:
        """Step until no lease is open."""
        while self.open:
            self.step()

    def run_all(self) -> None:
        """Run every item to its final outcome, retrying what fails, as the engine would."""
        self.waiting.append((range(self.count), 1))
        while self.waiting or self.open:
            if not self.lease_waiting():
                self.step()

    def lease_waiting(self) -> bool:
        """Give what waits next to an idle holder, if there is one."""
        busy = {holder for holder, *_ in self.open.values()}
        idle = [holder for holder in self.holders if holder not in busy]
        if self.waiting and idle:
            indices, attempt = self.waiting.popleft()
            self.lease(indices, attempt, holder=idle[0])
            return True
        return False

    def _record(self, lease_id: int, message: OutcomesArrived | SliceFinished) -> None:
        _, lease, kept, seen = self.open[lease_id]
        allowed = Counter(lease.indices[:kept])
        for index in self._take(message):
            assert index in allowed, f"an outcome for item {index}, which the lease does not hold any more"
            assert index not in seen, f"a second outcome for item {index}"
            seen.add(index)

    def _take(self, message: OutcomesArrived | SliceFinished | HolderLost) -> list[int]:
        block = message.block
        indices = [failure.index for failure in block.failures]
        for run in block.successes:
            assert len(run.indices()) == len(run.durations_us) == len(run.result_texts())
            for index, text in zip(run.indices(), run.result_texts(), strict=True):
                self.results[index] = msgspec.json.decode(text)
                self.attempts[index] = run.attempt
                indices.append(index)
        self.failures += block.failures
        self.logs += block.logs
        for failure in block.failures:
            if not failure.permanent and failure.attempt < self.max_attempts:
                self.waiting.append(((failure.index,), failure.attempt + 1))
        return indices

    def _lose(self, message: HolderLost) -> None:
        self.lost.append(message)
        self.holders.pop(message.holder, None)
        done = set(self._take(message))
        for index in message.isolate:
            self.waiting.appendleft(((index,), 1))
        for lease_id, (holder, lease, kept, seen) in list(self.open.items()):
            if holder == message.holder:
                accounted = seen | done & set(lease.indices) | set(message.isolate)
                self.open[lease_id] = (holder, lease, kept, accounted)
                self._give_back(lease_id)

    def _give_back(self, lease_id: int) -> None:
        _, lease, kept, seen = self.open.pop(lease_id)
        if absent := [index for index in lease.indices[:kept] if index not in seen]:
            self.waiting.appendleft((absent, lease.attempt))


class NodeBroke(Exception):
    """The node posted `NodeFailed`."""

    def __init__(self, message: NodeFailed) -> None:
        super().__init__(message.reason)
        self.code = message.code


@pytest.fixture(params=list(BUILDERS), ids=str)
def kind(request: pytest.FixtureRequest) -> NodeKind:
    """Every kind of node in turn."""
    return request.param


@pytest.fixture
def notes(kind: NodeKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the hooks of item processors leave their notes."""
    if kind is NodeKind.DASK:
        # its workers are there already, with an environment of their own
        path = shared_cluster().notes
        path.unlink(missing_ok=True)
        return path
    monkeypatch.setenv("EVERYITEM_TEST_NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


@pytest.fixture
def unstarted(kind: NodeKind) -> Node:
    """A node of this kind that was made and not started."""
    load_processors(PROCESSORS)
    found = find_processor("echo-async")
    assignment = Assignment(batch_id="b-1", key_prefix="b-1", processor=found.name, origin=found.origin)
    spec = NodeSpec(node_id="n", kind=kind, slots=2)
    return BUILDERS[kind](spec, assignment, found, InMemoryItems(b"[1]", named=False))


@pytest.fixture
def drive(kind: NodeKind) -> Iterator[Callable[..., Driver]]:
    """Start a node of this kind over some items; closed at the end of the test."""
    nodes: list[Node] = []
    load_processors(PROCESSORS)

    def build(
        processor: str,
        items: Sequence[Any],
        *,
        slots: int = 2,
        begins_with: int | None = None,
        parameters: Any = None,
        named: bool = False,
        **options: Any,
    ) -> Driver:
        found = find_processor(processor)
        assignment = Assignment(
            batch_id="b-1",
            key_prefix="b-1",
            processor=processor,
            origin=found.origin,
            parameters=msgspec.json.encode(parameters or {}),
            named=named,
            **{"max_attempts": 1, **options},
        )
        spec = NodeSpec(node_id="n", kind=kind, slots=slots)
        held = InMemoryItems(msgspec.json.encode(list(items)), named=named)
        node = BUILDERS[kind](spec, assignment, found, held)
        nodes.append(node)
        if begins_with is not None:
            node.resize(begins_with)
        return Driver(node, len(items), assignment.max_attempts)

    yield build
    for node in nodes:
        node.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Poll for something that announces itself in no other way."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    return wait


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A Dask node runs items as a process node does: of each rule one variant is not long."""
    seen: set[str] = set()
    for item in items:
        if isinstance(item, pytest.Function) and "dask" in item.name.partition("[")[2]:
            if item.originalname in seen:
                item.add_marker(pytest.mark.long)
            seen.add(item.originalname)
