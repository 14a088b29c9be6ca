"""What a batch may use from now on, told while it runs (the event `ResourcesAllocated`)."""

from dataclasses import replace

import msgspec

from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec


class AllocatedNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node as it is allocated anew."""

    node_id: str
    slots: int
    #: None: the kind the node has, or that of the batch's first node.
    kind: NodeKind | None = None
    memory_mb: int | None = None
    #: Of the Dask scheduler, for nodes of that kind.
    address: str | None = None


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes of an execution, in place of those it had; the highest version counts."""

    version: int
    nodes: tuple[AllocatedNode, ...]
    #: Items at once, at least; None: as before.
    least: int | None = None

    @property
    def slots(self) -> int:
        """Slots over all nodes."""
        return sum(node.slots for node in self.nodes)

    def applied_to(self, resources: AllocatedResources) -> AllocatedResources:
        """These resources with the nodes of the allocation.

        A node that is there already changes its slots only: what runs cannot become of another kind, nor
        move.
        """
        there = {node.node_id: node for node in resources.nodes}
        nodes = tuple(
            replace(there[node.node_id], slots=node.slots)
            if node.node_id in there
            else NodeSpec(
                node_id=node.node_id,
                kind=node.kind or resources.nodes[0].kind,
                slots=node.slots,
                memory_mb=node.memory_mb,
                address=node.address,
            )
            for node in self.nodes
        )
        least = resources.min_parallelism if self.least is None else self.least
        return replace(resources, nodes=nodes, min_parallelism=min(least, self.slots))

    def changed_beyond_slots(self, resources: AllocatedResources) -> list[str]:
        """Nodes the allocation wants of another kind or elsewhere than they are, which they stay."""
        there = {node.node_id: node for node in resources.nodes}
        return [
            node.node_id
            for node in self.nodes
            if (now := there.get(node.node_id)) is not None
            and (
                node.kind not in (None, now.kind)
                or node.memory_mb not in (None, now.memory_mb)
                or node.address not in (None, now.address)
            )
        ]
