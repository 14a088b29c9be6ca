"""Several process nodes under one ceiling: who has to act when the execution takes too much."""

from types import SimpleNamespace

import pytest

from everyitem.adapters.nodes.memory_budget import MemoryBudget
from everyitem.adapters.nodes.memory_policy import Measure
from everyitem.adapters.nodes.worker_memory import WorkerMemory
from everyitem.adapters.nodes.worker_process import Phase

GB = 1 << 30


@pytest.fixture
def budget() -> MemoryBudget:
    """16 GB for the execution."""
    budget = MemoryBudget()
    budget.ceiling = 16 * GB
    return budget


def node(name: str, budget: MemoryBudget) -> WorkerMemory:
    return WorkerMemory(name, slots=4, memory_mb=None, budget=budget)


def worker(size: int, *, busy: bool, fresh: int = GB) -> SimpleNamespace:
    """A worker that takes so many bytes."""
    return SimpleNamespace(
        verdict=None,
        lease=object() if busy else None,
        phase=Phase.BUSY if busy else Phase.IDLE,
        fresh_bytes=fresh,
        memory=SimpleNamespace(bytes=size, read=lambda: size),
    )


def test_an_idle_worker_is_never_the_heaviest_while_another_has_items(budget: MemoryBudget) -> None:
    """An idle node ends nothing, so that its large worker must not keep others from ending an item."""
    assert node("idle", budget).look(0.0, [worker(6 * GB, busy=False, fresh=6 * GB)]) is Measure.HOLD
    assert node("busy", budget).look(0.0, [worker(5 * GB, busy=True)] * 4) is Measure.END


def test_of_two_busy_nodes_the_one_with_the_larger_worker_acts(budget: MemoryBudget) -> None:
    """Who explodes pays, never a neighbour."""
    small, large = node("small", budget), node("large", budget)
    small.look(0.0, [worker(4 * GB, busy=True)])
    assert large.look(0.0, [worker(14 * GB, busy=True)]) is Measure.END
    assert small.look(1.0, [worker(4 * GB, busy=True)]) is Measure.PAUSE


def test_a_node_looks_on_until_it_has_said_that_it_is_idle(budget: MemoryBudget) -> None:
    """What it said when it had items would count for ever."""
    first, second = node("first", budget), node("second", budget)
    first.look(0.0, [worker(6 * GB, busy=True, fresh=6 * GB)])
    assert first.is_active
    first.look(1.0, [worker(6 * GB, busy=False, fresh=6 * GB)])
    assert not first.is_active
    assert second.look(1.0, [worker(5 * GB, busy=True)] * 4) is Measure.END


def test_an_idle_node_whose_worker_has_grown_replaces_it_when_others_need_the_memory(
    budget: MemoryBudget,
) -> None:
    """It looks on as long as it has something to give."""
    idle, busy = node("idle", budget), node("busy", budget)
    grown = [worker(6 * GB, busy=False)]
    idle.look(0.0, grown)
    assert idle.is_active
    busy.look(0.0, [worker(2 * GB, busy=True)] * 4)
    assert [idle.look(at, grown) for at in (1.0, 2.0)] == [Measure.PAUSE, Measure.RECYCLE]
