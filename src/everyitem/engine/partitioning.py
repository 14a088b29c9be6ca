"""Who starts with which partition."""

import math
from collections.abc import Sequence

from everyitem.model.plan import Partition


def assign_partitions(
    partitions: Sequence[Partition], nodes: Sequence[tuple[str, int]]
) -> list[tuple[str, Partition]]:
    """Which node starts with which partition: contiguous shares in proportion to the nodes' slots."""
    slots = sum(count for _, count in nodes)
    assigned = []
    items = sum(map(len, partitions))
    done = 0
    node, room = 0, items * nodes[0][1] / slots if nodes and slots else math.inf
    for partition in partitions:
        # the middle of the partition decides whose it is
        while done + len(partition) / 2 > room and node < len(nodes) - 1:
            node += 1
            room += items * nodes[node][1] / slots
        assigned.append((nodes[node][0], partition))
        done += len(partition)
    return assigned
