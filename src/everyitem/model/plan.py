"""The execution plan: which contiguous share of the items belongs to which partition."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Partition:
    """A planned share: items `first` to `last`, both included."""

    partition_id: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """What the document asks for; `partitions` wins over `partition_count`."""

    partition_count: int | None = None
    partitions: tuple[Partition, ...] = ()


def partition_items(count: int, parts: int) -> tuple[Partition, ...]:
    """Cut `count` items into at most `parts` contiguous partitions whose sizes differ by at most one."""
    parts = min(parts, count)
    return tuple(
        Partition(f"p-{number:04d}", number_start, number_stop - 1)
        for number, (number_start, number_stop) in enumerate(
            ((count * k // parts, count * (k + 1) // parts) for k in range(parts)), start=1
        )
    )


def plan_partitions(plan: ExecutionPlan, *, count: int, workers: int) -> tuple[Partition, ...]:
    """The partitions in force: those given, else `partition_count` of them, else one per worker."""
    return plan.partitions or partition_items(count, plan.partition_count or workers)


def coverage_faults(partitions: Iterable[Partition], count: int) -> list[str]:
    """Why the partitions do not cover items 0 to `count` - 1 exactly once; empty when they do."""
    faults = []
    expected = 0
    for partition in sorted(partitions, key=lambda one: one.first):
        name = partition.partition_id
        if partition.last < partition.first:
            faults.append(f"partition {name} ends (lastIndex {partition.last}) before it begins")
            continue
        if partition.first > expected:
            faults.append(f"items {expected} to {partition.first - 1} belong to no partition")
        elif partition.first < expected:
            faults.append(f"partition {name} begins at {partition.first}, inside the one before it")
        expected = max(expected, partition.last + 1)
    if expected < count:
        faults.append(f"items {expected} to {count - 1} belong to no partition")
    elif expected > count:
        faults.append(f"the partitions reach to item {expected - 1}, but the last item is {count - 1}")
    return faults
