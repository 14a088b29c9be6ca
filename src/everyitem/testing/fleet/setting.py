"""What a fleet is asked to do, and what its machines are like."""

from dataclasses import dataclass

from everyitem.model.errors import UsageError

#: The part of the items that is slow where any are: one block, in the middle.
SLOW_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A batch of items that merely take time, and the nodes it is dealt to. Times in seconds."""

    items: int
    nodes: int
    #: Workers of each node; each is a holder of its own, as the workers of process and Dask nodes are.
    slots: int = 1
    #: What an item takes on a node of ordinary speed.
    item_seconds: float = 0.001
    #: How many times longer the slowest hundredth of the items take.
    slow: float = 10.0
    #: How much faster or slower than the ordinary one a node may be, as a part of its speed.
    spread: float = 0.2
    #: The way to a worker and back.
    round_trip: float = 0.01
    #: Nodes that are lost while the batch runs, one after the other.
    lost: int = 0
    #: What the coordinator takes for one message on virtual time; 0: it is never in anybody's way.
    decision: float = 0.0
    checkpoint_interval: int = 1000
    #: What one transaction of the store takes.
    commit: float = 0.005
    #: Decides which node is how fast, and which are lost.
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `UsageError` where no batch could end."""
        if self.items < 0 or self.nodes < 1 or self.slots < 1:
            raise UsageError("a fleet needs at least one node with one slot, and no fewer than 0 items")
        if not self.lost < self.nodes:
            raise UsageError(
                f"of {self.nodes:,} nodes {self.lost:,} cannot be lost: somebody has to do the work"
            )
        if self.item_seconds <= 0 or self.slow < 1 or not 0 <= self.spread < 1:
            raise UsageError(
                "items take some time, slow ones no less than others, and speeds differ by less than 1"
            )

    @property
    def workers(self) -> int:
        """Workers over all nodes."""
        return self.nodes * self.slots
