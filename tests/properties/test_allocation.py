"""Sharing a machine out: what holds for every queue, every capacity and every moment."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from everyitem.engine.allocation import (
    AGING,
    PATIENCE,
    Capacity,
    Running,
    Waiting,
    allocate,
    forecast,
    impossibility,
    rank,
)
from everyitem.model.configuration import Priority
from everyitem.ports.queue import Demand

NOW = 1_000_000.0

demands = st.builds(
    lambda least, more, millicores, memory_mb: Demand(
        least=least, most=least + more, millicores=millicores, memory_mb=memory_mb
    ),
    st.integers(1, 8),
    st.integers(0, 30),
    st.sampled_from([1, 50, 100, 500, 1000]),
    st.integers(50, 4000),
)
capacities = st.builds(
    Capacity,
    millicores=st.integers(500, 64_000),
    memory_mb=st.integers(200, 64_000),
    batches=st.integers(1, 8),
)


@st.composite
def queues(draw: st.DrawFn) -> list[Waiting]:
    """Some executions in a queue."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(Priority), st.integers(0, 5000), demands, st.none() | st.integers(1, 20)
            ),
            max_size=12,
        )
    )
    return [
        Waiting(
            key=number, number=number, priority=priority, since=NOW - age, demand=demand, parallelism=limit
        )
        for number, (priority, age, demand, limit) in enumerate(drawn, start=1)
    ]


def running_after(allocation, queue: list[Waiting], before: list[Running] = ()) -> list[Running]:
    """Who runs once an allocation is carried out."""
    by_key = {one.key: one for one in queue}
    changed = [replace(one, slots=allocation.changes.get(one.key, one.slots)) for one in before]
    started = [
        Running(
            key=start.key,
            number=one.number,
            priority=one.priority,
            since=one.since,
            demand=one.demand,
            parallelism=one.parallelism,
            slots=start.slots,
            memory_mb=start.memory_mb,
        )
        for start in allocation.starts
        for one in [by_key[start.key]]
    ]
    return [*changed, *started]


@given(capacities, queues())
def test_no_more_is_given_than_there_is(capacity, queue):
    """Places, memory and cores hold; everybody has at least what he needs, and no more than he can use."""
    running = running_after(allocate(capacity, [], queue, at=NOW), queue)
    assert len(running) <= capacity.batches
    assert sum(one.memory_mb for one in running) <= capacity.memory_mb
    assert sum(one.slots * one.demand.millicores for one in running) <= capacity.millicores
    for one in running:
        assert one.least <= one.slots <= one.most
        assert one.memory_mb >= one.demand.memory_mb


@given(capacities, queues())
def test_everybody_runs_waits_or_cannot_ever(capacity, queue):
    """Nobody is forgotten, and whoever waits is told why."""
    allocation = allocate(capacity, [], queue, at=NOW)
    started = {start.key for start in allocation.starts}
    assert sorted([*started, *allocation.obstacles, *allocation.impossible]) == [one.key for one in queue]
    assert all({**allocation.obstacles, **allocation.impossible}.values())
    assert set(allocation.impossible) == {
        one.key for one in queue if impossibility(capacity, one.demand) is not None
    }
    assert started or len(allocation.impossible) == len(queue)


@given(capacities, queues())
def test_an_allocation_that_was_carried_out_changes_nothing(capacity, queue):
    """Asked again at once, nothing flaps: nobody shrinks only to grow again."""
    running = running_after(allocate(capacity, [], queue, at=NOW), queue)
    rest = [one for one in queue if one.key not in {other.key for other in running}]
    again = allocate(capacity, running, rest, at=NOW)
    assert not again.changes
    assert not again.starts


@given(capacities, queues())
def test_what_is_free_is_used(capacity, queue):
    """No core is left idle that one of those who run could use."""
    running = running_after(allocate(capacity, [], queue, at=NOW), queue)
    free = capacity.millicores - sum(one.slots * one.demand.millicores for one in running)
    assert all(one.slots == one.most or one.demand.millicores > free for one in running)


@given(capacities, queues(), demands)
def test_of_two_that_are_alike_the_more_urgent_one_gets_more(capacity, queue, demand):
    """Priority decides who shrinks."""
    low, high = (
        Running(
            key=key,
            number=key,
            priority=priority,
            since=NOW,
            demand=demand,
            slots=demand.least,
            memory_mb=demand.memory_mb,
        )
        for key, priority in ((1001, Priority.LOW), (1002, Priority.CRITICAL))
    )
    changes = allocate(capacity, [low, high], queue, at=NOW).changes
    assert changes.get(high.key, high.slots) >= changes.get(low.key, low.slots)


@given(queues(), st.integers(0, 10_000))
def test_the_order_never_changes_by_itself(queue, passed):
    """All who wait grow older alike."""
    older = [replace(one, since=one.since - passed) for one in queue]
    assert [one.key for one in sorted(queue, key=rank)] == [one.key for one in sorted(older, key=rank)]


@given(queues())
def test_waiting_makes_up_for_any_priority(queue):
    """Whoever comes later than three levels are worth comes after, however urgent."""
    for one in queue:
        urgent = replace(one, priority=Priority.CRITICAL, since=one.since + 3 * AGING + 1)
        assert rank(one) < rank(urgent)


@given(capacities, queues(), demands)
def test_nobody_starves_among_ever_more_that_are_urgent(capacity, queue, demand):
    """However many come later, one that fits the machine starts when those before it are done."""
    modest = replace_demand(demand, capacity)
    poor = Waiting(key=999, number=999, priority=Priority.LOW, since=NOW, demand=modest)
    if impossibility(capacity, modest) is not None:
        return
    waiting, at, number = [*queue, poor], NOW, 1000
    for _ in range(200):
        # each takes a minute, and two urgent ones come meanwhile
        allocation = allocate(capacity, [], waiting, at=at)
        started = {start.key for start in allocation.starts}
        if poor.key in started:
            return
        waiting = [one for one in waiting if one.key not in started]
        at += 60
        for _ in range(2):
            number += 1
            waiting.append(
                Waiting(key=number, number=number, priority=Priority.CRITICAL, since=at, demand=modest)
            )
    raise AssertionError("it waited for more than three hours")


def replace_demand(demand: Demand, capacity: Capacity) -> Demand:
    """The same, within the machine."""
    return Demand(
        least=1,
        most=demand.most,
        millicores=min(demand.millicores, capacity.millicores),
        memory_mb=min(demand.memory_mb, capacity.memory_mb),
    )


def test_one_that_needs_much_is_not_passed_for_ever():
    """Smaller ones may go first for a minute; then what becomes free is kept for it."""
    capacity = Capacity(millicores=8000, memory_mb=1000, batches=4)
    small = Demand(least=1, most=1, millicores=100, memory_mb=100)
    large = Demand(least=1, most=1, millicores=100, memory_mb=950)
    busy = Running(key=1, number=1, priority=Priority.NORMAL, since=NOW, demand=small, slots=1, memory_mb=250)
    queue = [
        Waiting(key=2, number=2, priority=Priority.NORMAL, since=NOW, demand=large),
        Waiting(key=3, number=3, priority=Priority.NORMAL, since=NOW + 1, demand=small),
    ]
    assert [start.key for start in allocate(capacity, [busy], queue, at=NOW + 2).starts] == [3]
    assert not allocate(capacity, [busy], queue, at=NOW + PATIENCE).starts
    assert [start.key for start in allocate(capacity, [], queue, at=NOW + PATIENCE).starts] == [2]


def test_a_paused_one_keeps_its_memory_and_nothing_else():
    """Its place and its cores are for others."""
    capacity = Capacity(millicores=1000, memory_mb=1000, batches=1)
    demand = Demand(least=1, most=5, millicores=200, memory_mb=300)
    paused = Running(
        key=1,
        number=1,
        priority=Priority.HIGH,
        since=NOW,
        demand=demand,
        slots=5,
        memory_mb=1000,
        paused=True,
    )
    queue = [Waiting(key=2, number=2, priority=Priority.LOW, since=NOW, demand=demand)]
    allocation = allocate(capacity, [paused], queue, at=NOW)
    assert [(start.slots, start.memory_mb) for start in allocation.starts] == [(5, 700)]
    assert not allocation.changes


def test_the_forecast_fills_places_as_they_become_free():
    """One that is free now, one in 10 s; each batch takes 30 s; an ending nobody knows helps nobody."""
    assert forecast(3, [10.0, None], 4, typical=30.0) == [0.0, 10.0, 30.0, 40.0]
    assert forecast(1, [None], 2, typical=30.0) == [None, None]
    assert forecast(1, [], 2, typical=None) == [0.0, None]
