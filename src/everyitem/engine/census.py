"""The holders that are there, what they have, and how much that is: counted as it changes, never again.

Thousands of holders send a message each, so nothing that follows from a message may look at all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from everyitem.engine.holders import HeldLease, Holder


@dataclass(slots=True)
class _Node:
    """The holders of one node."""

    holders: dict[str, Holder] = field(default_factory=dict)
    #: Slots they have announced.
    slots: int = 0
    #: Slots the node uses, where that is not what its holders have announced.
    limit: int | None = None
    #: Holders with a lease.
    busy: int = 0

    @property
    def used(self) -> int:
        return self.slots if self.limit is None else min(self.slots, self.limit)


class Census:
    """Holders by name and node, and their sums."""

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {}
        #: Slots in use.
        self.slots = 0
        #: Items that are leased and have no answer.
        self.leased = 0
        #: Leases in force, and those among them that are of suspects.
        self.leases = 0
        self.alone = 0
        self._nodes: dict[str, _Node] = {}

    def has(self, node_id: str) -> bool:
        """Whether a node has a holder."""
        node = self._nodes.get(node_id)
        return node is not None and bool(node.holders)

    def of(self, node_id: str) -> Sequence[Holder]:
        """The holders of a node, in the order they came."""
        node = self._nodes.get(node_id)
        return list(node.holders.values()) if node else []

    def limit_of(self, node_id: str) -> int | None:
        """Slots a node uses; None: as many as its holders have announced."""
        node = self._nodes.get(node_id)
        return node.limit if node else None

    def busy(self, node_id: str) -> int:
        """Holders of a node that have a lease."""
        return self._nodes[node_id].busy

    def rate(self, node_id: str) -> float:
        """Items per second of a node's holders."""
        node = self._nodes.get(node_id)
        return sum([holder.rate for holder in node.holders.values()]) if node else 0.0

    def join(self, holder: Holder) -> None:
        """A holder is there."""
        node = self._nodes.setdefault(holder.node_id, _Node())
        self.holders[holder.name] = node.holders[holder.name] = holder
        self._announce(node, holder.slots)

    def leave(self, name: str) -> Holder | None:
        """A holder is gone with all it had; None when it was not here (any more)."""
        holder = self.holders.pop(name, None)
        if holder is None:
            return None
        node = self._nodes[holder.node_id]
        del node.holders[name]
        node.busy -= bool(holder.leases)
        self._announce(node, -holder.slots)
        self.leases -= len(holder.leases)
        self.alone -= sum(held.alone for held in holder.leases.values())
        self.leased -= holder.outstanding
        return holder

    def limit(self, node_id: str, slots: int) -> None:
        """A node uses so many slots from now on."""
        node = self._nodes.setdefault(node_id, _Node())
        before, node.limit = node.used, slots
        self.slots += node.used - before

    def resize(self, holder: Holder, slots: int) -> None:
        """A holder has so many slots from now on."""
        before = holder.slots
        holder.resize(slots)
        self._announce(self._nodes[holder.node_id], slots - before)

    def begin(self, holder: Holder, held: HeldLease) -> None:
        """A holder has got a lease."""
        self._nodes[holder.node_id].busy += not holder.leases
        holder.leases[held.lease.lease_id] = held
        self.leases += 1
        self.alone += held.alone
        self._count(holder, held.outstanding)

    def answer(self, holder: Holder, held: HeldLease, count: int) -> None:
        """So many answers have arrived for a lease."""
        before = held.outstanding
        held.accounted += count
        self._count(holder, held.outstanding - before)

    def shorten(self, holder: Holder, held: HeldLease, kept: int) -> Sequence[int]:
        """A lease ends before position `kept`; returns the items that are no longer part of it."""
        before = held.outstanding
        rest = held.shorten(kept)
        self._count(holder, held.outstanding - before)
        return rest

    def end(self, holder: Holder, lease_id: int) -> HeldLease | None:
        """A lease is over; None when it was so before, or was never that holder's."""
        held = holder.leases.pop(lease_id, None)
        if held is None:
            return None
        self._nodes[holder.node_id].busy -= not holder.leases
        self.leases -= 1
        self.alone -= held.alone
        self._count(holder, -held.outstanding)
        return held

    def _count(self, holder: Holder, change: int) -> None:
        holder.outstanding += change
        self.leased += change

    def _announce(self, node: _Node, change: int) -> None:
        before = node.used
        node.slots += change
        self.slots += node.used - before
