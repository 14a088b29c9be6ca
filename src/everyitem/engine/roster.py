"""The nodes an execution has: they come, grow, shrink, are lost or taken away, and so are their holders.

Pure, as the state machine it is a part of.
"""

from collections.abc import Collection, Mapping

from everyitem.engine.accounting import Accounting
from everyitem.engine.allotment import Allotment
from everyitem.engine.dealer import Dealer
from everyitem.engine.intents import Intents
from everyitem.engine.messages import AddNode, Command, Ending, ResizeNode, Verdict
from everyitem.model.errors import ErrorCode
from everyitem.model.resources import AllocatedResources, NodeKind
from everyitem.model.wording import many
from everyitem.ports.node import HolderJoined, HolderLost, IntakeLimited, NodeFailed

#: Kinds of nodes each of whose workers is a process of its own.
ISOLATING = frozenset({NodeKind.PROCESS, NodeKind.DASK})


class Roster:
    """All nodes, with the slots they use and the leases of their holders."""

    def __init__(
        self,
        dealer: Dealer,
        allotment: Allotment,
        accounting: Accounting,
        intents: Intents,
        *,
        nodes: Collection[str],
        isolating: Collection[str],
        at_most_once: bool,
        version: int,
    ) -> None:
        """`isolating` are the nodes on which a killer item kills only a worker process.

        `version` is that of the allocation the nodes are from, 0 where they are the document's.
        """
        self._dealer, self._allotment = dealer, allotment
        self._accounting, self._intents = accounting, intents
        self._alive = set(nodes)
        #: Nodes that have been there, and those that will not come again.
        self._known = set(nodes)
        self._lost: set[str] = set()
        self._isolating = set(isolating)
        self._at_most_once = at_most_once
        self._version = version
        #: Why nothing is left that could run items; None while something is.
        self.shortage: Verdict | None = None

    def take_back(self, at: float, holders: Collection[str] | None = None) -> None:
        """Leases whose intents are not durable yet are not issued any more."""
        for command in self._intents.take_back(holders):
            self._dealer.finish(command.holder, command.lease.lease_id, at)

    def resize(self, changed: Mapping[str, int], at: float) -> list[Command]:
        """Nodes use another number of slots from now on."""
        commands: list[Command] = []
        for node_id, slots in changed.items():
            if node_id in self._isolating:
                self._dealer.isolate_on(node_id)
            if not slots:
                self.take_back(at, self._dealer.holders_of(node_id))
            commands.append(ResizeNode(node_id, slots))
            commands += self._dealer.resize(node_id, slots)
        return commands

    def allocate(self, version: int, resources: AllocatedResources, at: float) -> list[Command]:
        """Other nodes are allocated; those that are not any more are drained.

        A version that is not new changes nothing, nor does one of nothing but lost nodes: these stay lost.
        """
        if version <= self._version:
            return []
        self._version = version
        nodes = {node.node_id: node for node in resources.nodes if node.node_id not in self._lost}
        if not nodes:
            return []
        commands: list[Command] = []
        for node_id, node in nodes.items():
            if node_id not in self._known:
                commands.append(AddNode(node))
                if node.kind in ISOLATING:
                    self._isolating.add(node_id)
        self._known |= nodes.keys()
        self._alive = set(nodes)
        slots = {node_id: node.slots for node_id, node in nodes.items()}
        reason = f"{many(sum(slots.values()), 'slot')} allocated (version {version})"
        changed = self._allotment.allocate(slots, least=resources.min_parallelism, reason=reason, at=at)
        return commands + self.resize(changed, at)

    def join(self, message: HolderJoined) -> None:
        """A holder is there; one of a node that is not allocated now may be needed again."""
        if message.node_id in self._known and message.node_id not in self._lost:
            self._dealer.join(
                message.holder,
                message.node_id,
                message.slots,
                shared=message.shared,
                round_trip=message.round_trip,
            )

    def limit(self, message: IntakeLimited) -> list[Command]:
        """Memory leaves a node some of its slots."""
        if message.node_id in self._lost:
            return []
        changed = self._allotment.leave(message.node_id, message.slots, message.at)
        return self.resize(changed, message.at)

    def lose_holder(self, message: HolderLost) -> list[Command]:
        """A holder has ended; with the last one that is not replaced its node is lost."""
        self.take_back(message.at, [message.holder])
        for lease_id in self._dealer.leases_of(message.holder):
            self._accounting.account(message.holder, lease_id, message.block, message.at)
            held = self._dealer.held(message.holder, lease_id)
            if self._at_most_once and held is not None:
                self._accounting.doubt_lease(held, message.begun, message.reason)
        node_id = self._dealer.lose(message.holder, message.at, isolate=message.isolate)
        if node_id is None or message.replaced or self._dealer.has_node(node_id):
            return []
        commands = self._lose(node_id, message.at)
        self._check_capacity(message.reason, ErrorCode.RESOURCE_ERROR)
        return commands

    def lose_node(self, message: NodeFailed) -> list[Command]:
        """A node is gone with all its holders."""
        holders = self._dealer.holders_of(message.node_id)
        self.take_back(message.at, holders)
        for holder in holders:
            for lease_id in self._dealer.leases_of(holder) if self._at_most_once else ():
                if (held := self._dealer.held(holder, lease_id)) is not None:
                    self._accounting.doubt_lease(held, None, message.reason)
            self._dealer.lose(holder, message.at)
        commands = self._lose(message.node_id, message.at)
        self._check_capacity(f"node {message.node_id}: {message.reason}", message.code)
        return commands

    def _lose(self, node_id: str, at: float) -> list[Command]:
        self._lost.add(node_id)
        if node_id not in self._alive:
            return []
        self._alive.discard(node_id)
        self._dealer.drop_node(node_id)
        return self.resize(self._allotment.lose(node_id, at), at)

    def _check_capacity(self, reason: str, code: ErrorCode) -> None:
        if not self._alive and self.shortage is None:
            text = f"nothing is left that could run items ({reason})"
            self.shortage = Verdict(Ending.OUT_OF_RESOURCES, text, code)
