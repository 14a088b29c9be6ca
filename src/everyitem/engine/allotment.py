"""How many slots each node uses now: a number for all of them, spread evenly over what there is.

Pure. The number is fixed, or it is what the controller finds between `minParallelism` and what is there.
Nodes are lost, memory runs short, a person asks for another number: each of them ends here.
"""

from collections.abc import Sequence

from everyitem.engine.parallelism import Decision, ParallelismController
from everyitem.engine.tuning import Tuning
from everyitem.model.resources import spread_over


class Allotment:
    """The slots in use, by node."""

    def __init__(
        self,
        in_use: Sequence[tuple[str, int]],
        allocated: Sequence[tuple[str, int]],
        *,
        least: int,
        adapts: bool,
        at: float,
    ) -> None:
        """`in_use` are the slots nodes begin with, `allocated` what they may grow to."""
        self._there = dict(in_use) | dict(allocated)
        self._in_use = dict.fromkeys(self._there, 0) | dict(in_use)
        #: Slots memory leaves to nodes; absent: all of them.
        self._left: dict[str, int] = {}
        self._asked = sum(self._in_use.values())
        self._tuning = self._tune(least, at) if adapts else None

    def _tune(self, least: int, at: float) -> Tuning:
        slots = max(1, self._asked)
        return Tuning(ParallelismController(slots=slots, least=least, most=max(slots, self.most)), at=at)

    @property
    def most(self) -> int:
        """Slots that could be used, over all nodes."""
        return sum(min(slots, self._left.get(node_id, slots)) for node_id, slots in self._there.items())

    @property
    def total(self) -> int:
        """Slots in use over all nodes."""
        return sum(self._in_use.values())

    @property
    def changes(self) -> tuple[Decision, ...]:
        """The latest changes and their reasons, oldest first."""
        return tuple(self._tuning.changes) if self._tuning else ()

    @property
    def adapts(self) -> bool:
        """Whether the number is found, not fixed."""
        return self._tuning is not None

    def of(self, node_id: str) -> int:
        """Slots one node uses."""
        return self._in_use.get(node_id, 0)

    def note(self, at: float, *, succeeded: int, failed: int, busy: float) -> None:
        """Outcomes have arrived (`busy`: seconds they took in all)."""
        if self._tuning is not None:
            self._tuning.note(at, succeeded=succeeded, failed=failed, busy=busy)

    def stand_still(self, at: float) -> None:
        """What happens now says nothing about how many slots are good."""
        if self._tuning is not None:
            self._tuning.stand_still(at)

    def ask(self, slots: int) -> dict[str, int]:
        """Somebody fixes the number; returns the nodes that use another number of slots now."""
        self._tuning = None
        self._asked = slots
        return self._spread()

    def lose(self, node_id: str, at: float) -> dict[str, int]:
        """A node is gone; the others take over its part as far as they have slots to spare."""
        self._there.pop(node_id, None)
        self._in_use.pop(node_id, None)
        self._left.pop(node_id, None)
        return self._limit(at, f"node {node_id} was lost")

    def leave(self, node_id: str, slots: int | None, at: float) -> dict[str, int]:
        """Memory leaves a node so many of its slots; None: all of them."""
        if slots is None:
            self._left.pop(node_id, None)
        else:
            self._left[node_id] = slots
        return self._limit(at, f"memory leaves {self.most} slots")

    def look(self, at: float) -> dict[str, int]:
        """What the controller decides, if it is time to; returns the nodes that change."""
        decision = self._tuning.look(at) if self._tuning is not None else None
        return self._follow(decision) if decision is not None else {}

    def _limit(self, at: float, reason: str) -> dict[str, int]:
        if self._tuning is None or not self._there:
            return self._spread()
        return self._follow(self._tuning.limit(max(1, self.most), at, reason))

    def _follow(self, decision: Decision) -> dict[str, int]:
        self._asked = decision.slots
        return self._spread()

    def _spread(self) -> dict[str, int]:
        wanted = spread_over(self._asked, self._there)
        changed = {node_id: slots for node_id, slots in wanted.items() if slots != self._in_use[node_id]}
        self._in_use.update(changed)
        return changed
