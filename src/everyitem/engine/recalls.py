"""Taking work back from who holds it: for somebody who idles, from behind a slow item, or all of it."""

import math

from everyitem.engine.census import Census
from everyitem.engine.holders import HeldLease, Holder
from everyitem.engine.messages import RevokeSlice
from everyitem.engine.ranking import Ranking

#: Revoking from another node is worth it when its unstarted rest would take this many seconds.
WORTH_REVOKING = 0.02


class Recalls:
    """Decides who gives something back."""

    def __init__(self, census: Census, *, shared_only: bool) -> None:
        """`shared_only`: nothing is taken back from a holder that could start it unseen (at-most-once).

        A shared queue is one with its slots; a worker process may start an item at the very moment its lease
        is shortened. Its slices end by themselves when their budget is over.
        """
        self._census = census
        self._shared_only = shared_only
        self._victims = Ranking(self._seconds_unstarted)

    def touch(self, name: str) -> None:
        """What a holder has to give may have changed."""
        self._victims.touch(name)

    def forget(self, name: str) -> None:
        """A holder is gone."""
        self._victims.forget(name)

    def all(self) -> list[RevokeSlice]:
        """Take back everything unstarted (pause, drain)."""
        return [
            self.revoke(holder, held, drains=True)
            for holder in self._census.holders.values()
            for held in holder.leases.values()
            # a shared queue may have gaps that an earlier revocation left to it
            if (holder.shared or not held.revoked) and held.outstanding and self._is_exact(holder)
        ]

    def rest(self, holder: Holder, held: HeldLease) -> list[RevokeSlice]:
        """Take back what waits behind a slow item."""
        if held.revoked or held.outstanding <= 1 or not self._is_exact(holder):
            return []
        return [self.revoke(holder, held)]

    def for_thieves(self, *, only_on: str | None = None) -> list[RevokeSlice]:
        """The holder whose unstarted work would take longest gives back what it was leased last.

        `only_on` is the node that idles, where it is a single one: its shared queue has nothing for it.
        """
        name = self._victims.best(but=lambda one: self._is_queue_of(one, only_on))
        if name is None:
            return []
        holder = self._census.holders[name]
        held = _last_revocable(holder)
        return [self.revoke(holder, held)] if held else []

    def revoke(self, holder: Holder, held: HeldLease, *, drains: bool = False) -> RevokeSlice:
        """Take back the unstarted rest of a lease."""
        held.revoked = True
        self.touch(holder.name)
        return RevokeSlice(holder.node_id, holder.name, held.lease.lease_id, drains)

    def _is_queue_of(self, name: str, node_id: str | None) -> bool:
        holder = self._census.holders[name]
        return holder.shared and holder.node_id == node_id

    def _seconds_unstarted(self, name: str) -> float | None:
        """What its unstarted work would take a holder; None where it is to be left alone."""
        holder = self._census.holders[name]
        unstarted = holder.unstarted
        if unstarted <= 0 or not self._is_exact(holder) or _last_revocable(holder) is None:
            return None
        seconds = unstarted / holder.rate if holder.rate else math.inf
        return seconds if seconds > WORTH_REVOKING else None

    def _is_exact(self, holder: Holder) -> bool:
        return holder.shared or not self._shared_only


def _last_revocable(holder: Holder) -> HeldLease | None:
    """What was leased last is what it will come to last."""
    for held in reversed(holder.leases.values()):
        if held.issued and held.outstanding and not held.revoked:
            return held
    return None
