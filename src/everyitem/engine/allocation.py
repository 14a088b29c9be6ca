"""Who runs next, and how much of the machine each execution gets.

Pure: what there is, who runs and who waits come in, the allocation goes out. The service carries it out and
asks again whenever something has changed.

- *Who goes first.* A level of priority is worth `AGING` seconds of waiting. All who wait grow older at the
  same pace, so the order never changes by itself, and only so many that come later can ever go before one.
- *Who starts.* Whoever finds a place, memory, and cores for as few items at once as it may be given. A later
  one may pass one that does not fit yet, until that has waited for `PATIENCE`; then it is next, whatever
  becomes free.
- *Who gets how much.* Everybody gets the least; what is left is shared by weights of priority, and nobody
  gets more than it can use. A newcomer makes those shrink that have most for their weight.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from everyitem.model.configuration import Priority
from everyitem.ports.queue import Demand

#: Seconds of waiting one level of priority is worth.
AGING: Final = 600.0
#: Seconds after which nobody passes an execution any more that fits the machine, but not yet.
PATIENCE: Final = 60.0

_LEVEL: Final = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2, Priority.CRITICAL: 3}
#: Shares of what is left when everybody has the least.
_WEIGHT: Final = {Priority.LOW: 1, Priority.NORMAL: 2, Priority.HIGH: 4, Priority.CRITICAL: 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a service has to give."""

    #: Thousandths of a core.
    millicores: int
    memory_mb: int
    #: Executions carried out at once.
    batches: int


class InLine(Protocol):
    """What the order depends on."""

    @property
    def priority(self) -> Priority: ...

    @property
    def since(self) -> float: ...

    @property
    def number(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An execution that waits for a place."""

    key: int
    #: Order of submission.
    number: int
    priority: Priority
    #: Epoch seconds.
    since: float
    demand: Demand
    #: Never more items at once than this, where a person said so.
    parallelism: int | None = None

    @property
    def most(self) -> int:
        """Items at once it can use at most."""
        wished = self.demand.most if self.parallelism is None else min(self.demand.most, self.parallelism)
        return max(self.least, wished)

    @property
    def least(self) -> int:
        """Items at once it needs at least."""
        return min(self.demand.least, self.demand.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Waiting):
    """An execution that has a place."""

    slots: int
    #: The memory it may take.
    memory_mb: int
    #: A paused one needs no place and no cores, but what it keeps in memory.
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An execution that gets a place."""

    key: int
    slots: int
    #: The memory it may take: its part of the machine, or more where it needs more.
    memory_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What is to be done now."""

    starts: Sequence[Start] = ()
    #: Items at once for those that have a place, where that is to change.
    changes: Mapping[int, int] = field(default_factory=dict)
    #: Why each of the others waits.
    obstacles: Mapping[int, str] = field(default_factory=dict)
    #: Those that would not fit if they were alone, and why.
    impossible: Mapping[int, str] = field(default_factory=dict)


def rank(one: InLine) -> tuple[float, int]:
    """Who goes first: the lower one."""
    return one.since - _LEVEL[one.priority] * AGING, one.number


def allocate(
    capacity: Capacity, running: Sequence[Running], waiting: Iterable[Waiting], *, at: float
) -> Allocation:
    """Share the machine out; `at` are epoch seconds."""
    active = [one for one in running if not one.paused]
    places = capacity.batches - len(active)
    cores = capacity.millicores - sum(one.least * one.demand.millicores for one in active)
    memory = capacity.memory_mb - sum(
        one.demand.memory_mb if one.paused else one.memory_mb for one in running
    )
    share = capacity.memory_mb // max(1, capacity.batches)
    admitted: dict[int, int] = {}
    newcomers: list[Waiting] = []
    obstacles: dict[int, str] = {}
    impossible: dict[int, str] = {}
    held_up = False
    for one in sorted(waiting, key=rank):
        cost = one.least * one.demand.millicores
        if (reason := impossibility(capacity, one.demand)) is not None:
            impossible[one.key] = reason
        elif held_up:
            obstacles[one.key] = "a batch before it has waited long and is next"
        elif places < 1:
            obstacles[one.key] = "all places are taken"
        elif one.demand.memory_mb > memory or cost > cores:
            what = "memory" if one.demand.memory_mb > memory else "cores"
            obstacles[one.key] = f"it needs more {what} than is free"
            held_up = at - one.since >= PATIENCE
        else:
            admitted[one.key] = min(max(share, one.demand.memory_mb), memory)
            newcomers.append(one)
            places, cores, memory = places - 1, cores - cost, memory - admitted[one.key]
    slots = _share_slots(capacity, [*active, *newcomers])
    return Allocation(
        starts=[Start(key=one.key, slots=slots[one.key], memory_mb=admitted[one.key]) for one in newcomers],
        changes={one.key: slots[one.key] for one in active if slots[one.key] != one.slots},
        obstacles=obstacles,
        impossible=impossible,
    )


def impossibility(capacity: Capacity, demand: Demand) -> str | None:
    """Why an execution would not fit if it were alone; None when it would."""
    needed = min(demand.least, demand.most) * demand.millicores
    if needed > capacity.millicores:
        return (
            f"it needs {needed / 1000:g} cores for {demand.least} items at once (minParallelism), "
            f"and there are {capacity.millicores / 1000:g}"
        )
    if demand.memory_mb > capacity.memory_mb:
        return f"it needs {demand.memory_mb:,} MB of memory, and there are {capacity.memory_mb:,} MB"
    return None


def forecast(
    places: int, endings: Sequence[float | None], waiting: int, *, typical: float | None
) -> list[float | None]:
    """In how many seconds each of those that wait will start, in order; None where nobody can say.

    `endings` are the seconds the running ones have left, `typical` is how long one takes.
    """
    free = [0.0] * max(0, places - len(endings))
    free += [left for left in endings if left is not None]
    heapq.heapify(free)
    starts: list[float | None] = []
    for _ in range(waiting):
        if not free:
            starts.append(None)
            continue
        start = heapq.heappop(free)
        starts.append(start)
        if typical is not None:
            heapq.heappush(free, start + typical)
    return starts


def _share_slots(capacity: Capacity, active: Sequence[Waiting]) -> dict[int, int]:
    """Items at once of each: the least, and its part of what is left by weight, as far as it can use it."""
    slots = {one.key: one.least for one in active}
    left = capacity.millicores - sum(one.least * one.demand.millicores for one in active)
    hungry = [(_fullness(one, one.least), rank(one), one) for one in active]
    heapq.heapify(hungry)
    while hungry:
        _, place, one = heapq.heappop(hungry)
        if slots[one.key] < one.most and one.demand.millicores <= left:
            slots[one.key] += 1
            left -= one.demand.millicores
            heapq.heappush(hungry, (_fullness(one, slots[one.key]), place, one))
    return slots


def _fullness(one: Waiting, slots: int) -> float:
    return slots * one.demand.millicores / _WEIGHT[one.priority]
