"""How many slots each node uses now: a number for all of them, spread evenly over what there is.

Pure. The number is fixed, or it is what the controller finds between `minParallelism` and what is there.
Nodes are lost, memory runs short, a person asks for another number: each of them ends here.
"""

from collections.abc import Mapping, Sequence

from everyitem.engine.parallelism import Decision, ParallelismController
from everyitem.engine.tuning import Tuning
from everyitem.model.resources import spread_over
from everyitem.model.wording import many


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
        level: int | None = None,
        granted: int | None = None,
    ) -> None:
        """`in_use` are the slots nodes begin with, `allocated` what they may grow to.

        `level` is the number asked for where it is fixed, which may be more than is there; `granted` is the
        most that may be used, however many are allocated.
        """
        self._there = dict(in_use) | dict(allocated)
        self._in_use = dict.fromkeys(self._there, 0) | dict(in_use)
        #: Slots memory leaves to nodes; absent: all of them.
        self._left: dict[str, int] = {}
        self._asked = sum(self._in_use.values())
        self._least = least
        self._level = level or 0
        self._granted = granted
        self._tuning = self._tune(at) if adapts else None

    def _tune(self, at: float) -> Tuning:
        slots = max(1, self._asked)
        most = max(slots, self.most)
        return Tuning(ParallelismController(slots=slots, least=min(self._least, most), most=most), at=at)

    @property
    def most(self) -> int:
        """Slots that could be used, over all nodes."""
        there = sum(min(slots, self._left.get(node_id, slots)) for node_id, slots in self._there.items())
        return there if self._granted is None else min(there, self._granted)

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

    def awaits_slots(self, at: float) -> bool:
        """Whether the number was changed so lately that workers may still be starting."""
        return self._tuning is not None and self._tuning.awaits_slots(at)

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

    def grant(self, slots: int, at: float) -> dict[str, int]:
        """So many slots may be used; returns the nodes that use another number of slots now.

        Where the number is fixed it is this one now; where it is found, the search goes on within it.
        """
        before, self._granted = self.most, slots
        if self._tuning is None:
            self._asked = self._level = slots
            return self._spread()
        most, reason = max(1, self.most), f"{many(slots, 'slot')} granted"
        if most <= before:
            return self._follow(self._tuning.limit(most, at, reason))
        return self._follow(self._tuning.allow(self._least, most, at, reason))

    def lose(self, node_id: str, at: float) -> dict[str, int]:
        """A node is gone; the others take over its part as far as they have slots to spare."""
        self._there.pop(node_id, None)
        self._in_use.pop(node_id, None)
        self._left.pop(node_id, None)
        return self._limit(at, f"node {node_id} was lost")

    def allocate(self, slots: Mapping[str, int], *, least: int, reason: str, at: float) -> dict[str, int]:
        """These nodes are allocated from now on, and no others; returns those that change.

        What is not allocated any more uses no slot: items in flight end there, and none begins.
        """
        gone = {node_id: 0 for node_id, used in self._in_use.items() if used and node_id not in slots}
        self._there = dict(slots)
        self._in_use = {node_id: self._in_use.get(node_id, 0) for node_id in slots}
        self._least = least
        if self._tuning is None:
            self._asked = max(self._asked, self._level)
            return gone | self._spread()
        return gone | self._follow(self._tuning.allow(least, max(1, self.most), at, reason))

    def leave(self, node_id: str, slots: int | None, at: float) -> dict[str, int]:
        """Memory leaves a node so many of its slots; None: all of them."""
        if slots is None:
            self._left.pop(node_id, None)
        else:
            self._left[node_id] = slots
        return self._limit(at, f"memory leaves {many(self.most, 'slot')}")

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
        asked = self._asked if self._granted is None else min(self._asked, self._granted)
        wanted = spread_over(asked, self._there)
        changed = {node_id: slots for node_id, slots in wanted.items() if slots != self._in_use[node_id]}
        self._in_use.update(changed)
        return changed
