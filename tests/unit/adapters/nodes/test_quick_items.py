"""Items of microseconds are for one thread at a time, until they are not."""

import math
import queue
import sys
import threading

import msgspec
import pytest

from everyitem.adapters.nodes.claims import Claim
from everyitem.adapters.nodes.shared_queue import QUICK_ITEMS, SharedQueue
from everyitem.model.items import InMemoryItems
from everyitem.ports.node import Lease

COUNT = 1000
ITEMS = InMemoryItems(msgspec.json.encode(list(range(COUNT))), named=False)


@pytest.fixture(autouse=True)
def _trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may stop this process for longer than a thread is trusted."""
    monkeypatch.setattr("everyitem.adapters.nodes.shared_queue.QUICK_TRUST", 1 << 62)


def opened() -> SharedQueue:
    """A queue with one lease, whose waiting threads are woken as a node does it."""
    shared = SharedQueue(
        "h",
        items=ITEMS,
        clock=lambda: 0.0,
        max_attempts=1,
        on_work=lambda count: shared.changed.notify(min(count, sys.maxsize)),
    )
    shared.open(lambda message: None)
    shared.add(Lease(1, range(COUNT), budget=math.inf))
    return shared


def claim_beside(shared: SharedQueue, most: int) -> "queue.SimpleQueue[Claim | None]":
    """Another thread asks for work; what it gets comes into the queue returned."""
    got: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: got.put(shared.wait_and_claim("b", most)), daemon=True).start()
    return got


def test_a_second_thread_gets_work_once_the_first_is_slow() -> None:
    """A slow item among quick ones sends the others to work, on what its slot had not started too."""
    shared = opened()
    first = shared.wait_and_claim("a", QUICK_ITEMS)
    assert first is not None
    beside = claim_beside(shared, QUICK_ITEMS)
    shared.trim(first)
    shared.flush_if_due()
    second = beside.get(timeout=30)
    assert second is not None and not set(second.stretch.indices) & {0}


def test_slow_items_are_for_everybody_at_once() -> None:
    """Who claims few items finds them slow: nobody waits for anybody."""
    shared = opened()
    assert shared.wait_and_claim("a", 1) is not None
    assert claim_beside(shared, 1).get(timeout=30) is not None


def test_nobody_waits_for_ever_when_the_queue_closes() -> None:
    """Threads that stand aside end with the node."""
    shared = opened()
    assert shared.wait_and_claim("a", QUICK_ITEMS) is not None
    beside = claim_beside(shared, QUICK_ITEMS)
    shared.close()
    assert beside.get(timeout=30) is None


def test_slots_that_are_not_in_use_claim_nothing_until_they_are() -> None:
    """A node that uses fewer slots than it has threads lets the others wait."""
    shared = opened()
    shared.use_slots(1)
    assert shared.wait_and_claim("a", 1) is not None
    assert shared.claim("b", 1) is None
    beside = claim_beside(shared, 1)
    shared.use_slots(2)
    assert beside.get(timeout=30) is not None


def test_memory_and_slots_in_use_limit_claims_together() -> None:
    """The smaller number holds, whichever came last."""
    shared = opened()
    shared.limit_claims(1)
    shared.use_slots(2)
    assert shared.wait_and_claim("a", 1) is not None
    assert shared.claim("b", 1) is None
    beside = claim_beside(shared, 1)
    shared.limit_claims(2)
    assert beside.get(timeout=30) is not None
