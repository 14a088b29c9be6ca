"""Dealing work: which holder gets which items next, how many, and who has to give some back.

Pure: it is told what happened and when, and answers with leases. Sizes follow the measured rate: a slice
should last about `BUDGET`; the first is as small as it can be, each next one at most twice as large as
what the holder has proved (slow start). Where several holders compete, a slice is never more than a fair
half of what is left, so the tail shrinks geometrically and nobody waits for one last long slice.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from everyitem.engine.census import Census
from everyitem.engine.holders import HeldLease, Holder
from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.messages import RevokeSlice, RunSlice
from everyitem.engine.queues import NodeQueues
from everyitem.engine.ranking import Ranking
from everyitem.engine.recalls import Recalls
from everyitem.engine.retries import Retry, RetryHeap
from everyitem.ports.node import Lease

#: Seconds' worth of items a holder is told of ahead of time where they must begin at once.
AHEAD = 0.01


@dataclass(slots=True)
class Allowance:
    """What may begin now, where that is less than what there are slots for."""

    #: Items.
    items: float = math.inf
    #: What is dealt begins at once: no holder gets more than it has idle slots for.
    at_once: bool = False
    #: Items from far away (see `NodeQueues.take`).
    far: bool = False


class Dealer:
    """All holders, their leases, the node queues and the ready retries."""

    def __init__(
        self,
        ledger: Ledger,
        retries: RetryHeap,
        *,
        until_failure: bool,
        isolating: Collection[str] = (),
        unit: int = 1,
        together: int = 1,
        intent_limit: int | None = None,
    ) -> None:
        """`isolating` nodes run each worker in a process of its own: there suspects can do no harm.

        `unit` items go into one call, so a slot gets no fewer than that at a time. Where there are no
        isolating nodes, `together` suspects run at the same time, and nothing else beside them.
        `intent_limit` (for at-most-once) is how many items may be leased at a time; then nothing is taken
        back either from a holder that could have started it unseen.
        """
        self._ledger = ledger
        self._retries = retries
        self._until_failure = until_failure
        #: Nodes whose workers are processes of their own, and those of them that may run anything.
        self._isolates = set(isolating)
        self._isolating = set(isolating)
        self._unit = unit
        self._together = together
        self._intent_limit = intent_limit
        self._given_back: list[int] = []
        self._fresh_is_next = False
        self._census = Census()
        self.queues = NodeQueues(self._census.rate)
        self._known: set[str] = set()
        self._wanting = Ranking(self._urgency)
        self._recalls = Recalls(self._census, shared_only=intent_limit is not None)
        self._lease_id = 0

    @property
    def slots(self) -> int:
        """Slots in use, of all holders present."""
        return self._census.slots

    @property
    def leased(self) -> int:
        """Items some holder may be working on."""
        return self._census.leased

    @property
    def in_flight(self) -> int:
        """Items being processed now, at most: a holder runs no more than it has slots."""
        return sum(holder.in_flight for holder in self._census.holders.values())

    @property
    def is_idle(self) -> bool:
        """No lease is in force anywhere."""
        return not self._census.leases

    @property
    def _has_work(self) -> bool:
        """Whether anything could be leased."""
        return bool(self.queues.remaining or self._retries.ready)

    @property
    def wants_more(self) -> bool:
        """Whether a holder waits for work, and there is some."""
        return bool(self._wanting) and self._has_work

    def has_node(self, node_id: str) -> bool:
        """Whether a node has a holder."""
        return self._census.has(node_id)

    def join(self, name: str, node_id: str, slots: int, *, shared: bool, round_trip: float = 0.0) -> None:
        """A holder is there and wants work; names are used once, so a late echo raises no ghost."""
        if name in self._known:
            return
        self._known.add(name)
        limit = self._census.limit_of(node_id)
        if shared and limit is not None:
            slots = limit
        holder = Holder(name, node_id, slots, shared, self._unit, round_trip)
        self._census.join(holder)
        self._changed(holder)

    def _changed(self, holder: Holder) -> None:
        """What a holder has or how fast it is has changed: perhaps it needs work now, or has some to give."""
        self._recalls.touch(holder.name)
        if holder.is_hungry and self._has_slot_for(holder):
            self._wanting.touch(holder.name)
        else:
            self._wanting.forget(holder.name)

    def _has_slot_for(self, holder: Holder) -> bool:
        """Whether its node uses a slot for it: of the workers of a node no more may be busy than it uses."""
        limit = self._census.limit_of(holder.node_id)
        if limit is None or holder.shared:
            return limit != 0
        return limit > self._census.busy(holder.node_id)

    def _urgency(self, name: str) -> float:
        """Idle slots first: who merely runs low must not take back what was revoked for an idle one."""
        return -self._census.holders[name].load()

    def resize(self, node_id: str, slots: int) -> list[RevokeSlice]:
        """A node uses so many slots from now on; what it can no longer begin soon is taken back."""
        self._census.limit(node_id, slots)
        self._count_isolating(node_id)
        revoked = []
        for holder in self._census.of(node_id):
            if holder.shared:
                if slots < holder.slots:
                    revoked += [
                        self._recalls.revoke(holder, held, drains=not slots)
                        for held in holder.leases.values()
                        if held.issued and held.outstanding and (not held.revoked or not slots)
                    ]
                self._census.resize(holder, slots)
            self._changed(holder)
        return revoked

    def isolate_on(self, node_id: str) -> None:
        """The workers of this node are processes of their own."""
        self._isolates.add(node_id)
        self._count_isolating(node_id)

    def _count_isolating(self, node_id: str) -> None:
        if node_id in self._isolates and self._census.limit_of(node_id) != 0:
            self._isolating.add(node_id)
        else:
            self._isolating.discard(node_id)

    def held(self, name: str, lease_id: int) -> HeldLease | None:
        """The lease in force under this number, None when it is over or was never that holder's."""
        holder = self._census.holders.get(name)
        return holder.leases.get(lease_id) if holder else None

    def issue(self, name: str, lease_id: int) -> None:
        """The holder is told of a lease that had to wait for its intents: from now on it can be revoked."""
        held = self.held(name, lease_id)
        if held is not None:
            held.issued = True
            self._recalls.touch(name)

    def note(self, name: str, held: HeldLease, count: int, at: float) -> None:
        """`count` answers have arrived for a lease."""
        holder = self._census.holders[name]
        self._census.answer(holder, held, count)
        self._measure(holder, count, at)

    def _measure(self, holder: Holder, count: int, at: float) -> None:
        holder.measure(count, at)
        self.queues.measured(holder.node_id)
        self._changed(holder)

    def shorten(self, name: str, lease_id: int, kept: int, at: float) -> None:
        """Positions from `kept` on were not started: they are anybody's again."""
        held = self.held(name, lease_id)
        if held is None:
            return
        holder = self._census.holders[name]
        rest = self._census.shorten(holder, held, kept)
        self._give_back(holder.node_id, held, rest, at)
        if not isinstance(rest, range):
            for index in rest:
                held.retries.pop(index, None)
        self._changed(holder)

    def finish(self, name: str, lease_id: int, at: float) -> None:
        """A lease is over; what was not answered for is given back."""
        holder = self._census.holders.get(name)
        held = self._census.end(holder, lease_id) if holder else None
        if holder is None or held is None:
            return
        if not held.revoked:
            holder.proved = max(holder.proved, held.accounted)
        self._give_back(holder.node_id, held, held.lease.indices[: held.end], at)
        self._measure(holder, 0, at)

    def drop_node(self, node_id: str) -> None:
        """A node is gone for good."""
        self._isolates.discard(node_id)
        self._count_isolating(node_id)

    def leases_of(self, name: str) -> list[int]:
        """The numbers of a holder's leases."""
        holder = self._census.holders.get(name)
        return list(holder.leases) if holder else []

    def holders_of(self, node_id: str) -> list[str]:
        """The holders of one node."""
        return [holder.name for holder in self._census.of(node_id)]

    def lose(self, name: str, at: float, *, isolate: tuple[int, ...] = ()) -> str | None:
        """A holder is gone; everything it had is given back, `isolate` to run alone.

        Returns its node, None when the holder was not known (any more).
        """
        holder = self._census.leave(name)
        if holder is None:
            return None
        self._wanting.forget(name)
        self._recalls.forget(name)
        self.queues.measured(holder.node_id)
        if self._census.limit_of(holder.node_id):
            # the slot it had, or was to have, is free for another worker that waits for one
            for other in self._census.of(holder.node_id):
                self._changed(other)
        for held in holder.leases.values():
            for index in isolate:
                if held.covers(index, index + 1) and index not in held.settled:
                    held.retries[index] = Retry(index, held.lease.attempt, at, alone=True)
            self._give_back(holder.node_id, held, held.lease.indices[: held.end], at)
        return holder.node_id

    def take_given_back(self) -> list[int]:
        """Items that were leased and not started, since the last time; empty unless at-most-once."""
        given_back, self._given_back = self._given_back, []
        return given_back

    def _give_back(self, node_id: str, held: HeldLease, indices: Sequence[int], at: float) -> None:
        """Put what is still leased of `indices` back where it came from."""
        if self._intent_limit is not None:
            indices = [index for index in indices if self._ledger.mark(index) == Mark.LEASED]
            self._given_back += indices
        if isinstance(indices, range) and not held.retries:
            for first, last in _without(sorted(held.settled), indices):
                for start, stop in self._ledger.reopen_leased(first, last):
                    self.queues.put(node_id, start, stop)
            return
        for index in indices:
            if index in held.settled or self._ledger.mark(index) != Mark.LEASED:
                continue
            retry = held.retries.get(index)
            if retry is None:
                self._ledger.reopen(index)
                self.queues.put(node_id, index, index + 1)
            else:
                self._ledger.wait(index)
                self._retries.make_ready(retry, at)

    def deal(self, at: float, allowance: Allowance | None = None) -> list[RunSlice | RevokeSlice]:
        """Leases for everybody who wants work, as far as there is any and it is allowed to begin."""
        allowance = allowance or Allowance()
        if not self._wanting or allowance.items < self._unit:
            return []
        commands: list[RunSlice | RevokeSlice] = []
        with closing(self._wanting.walk()) as waiting:
            # thousands may wait where there is nothing to be had: that is asked before they are
            while self._has_some(allowance) and (name := next(waiting, None)) is not None:
                commands += self._serve(self._census.holders[name], at, allowance)
        if self._wanting and not self._has_work:
            commands += self._revoke_for_thieves(allowance)
        return commands

    def _has_some(self, allowance: Allowance) -> bool:
        """Whether there is work, and anybody may begin it."""
        is_full = self._intent_limit is not None and self.leased >= self._intent_limit
        return self._has_work and allowance.items >= self._unit and not is_full

    def _serve(self, holder: Holder, at: float, allowance: Allowance) -> Iterator[RunSlice]:
        """Leases for one holder until it has enough, or may have no more."""
        while holder.is_hungry and self._may_begin(holder, allowance):
            held = self._next_lease(holder, at, allowance)
            if held is None:
                break
            allowance.items -= len(held.lease.indices)
            held.issued = self._intent_limit is None
            holder.wake(at)
            self._census.begin(holder, held)
            self._changed(holder)
            yield RunSlice(holder.node_id, holder.name, held.lease)
        if not self._has_slot_for(holder):
            # it is asked again when its node uses more of them, or when a worker of the node is lost
            self._wanting.forget(holder.name)

    def _may_begin(self, holder: Holder, allowance: Allowance) -> bool:
        """Whether a holder may get anything now."""
        if allowance.items < self._unit or (allowance.at_once and self._room(holder) < self._unit):
            return False
        return self._has_slot_for(holder)

    def _room(self, holder: Holder) -> int:
        """Items the holder begins at once, or next to it, if it gets them now."""
        return holder.slots * self._unit - holder.outstanding + int(holder.rate * AHEAD)

    def revoke_all(self) -> list[RevokeSlice]:
        """Take back everything unstarted (pause, drain)."""
        return self._recalls.all()

    def revoke_rest(self, name: str, lease_id: int) -> list[RevokeSlice]:
        """Take back what waits behind a slow item."""
        held = self.held(name, lease_id)
        return [] if held is None else self._recalls.rest(self._census.holders[name], held)

    def _revoke_for_thieves(self, allowance: Allowance) -> list[RevokeSlice]:
        """Nothing is queued and somebody idles: the holder with most unstarted work gives it back."""
        idle_node = None
        with closing(self._wanting.walk()) as waiting:
            for holder in map(self._census.holders.__getitem__, waiting):
                if holder.outstanding >= holder.slots:
                    # nor do those that follow have a slot that idles
                    break
                if not self._may_begin(holder, allowance):
                    continue
                if idle_node is not None and idle_node != holder.node_id:
                    return self._recalls.for_thieves()
                idle_node = holder.node_id
        return [] if idle_node is None else self._recalls.for_thieves(only_on=idle_node)

    def _next_lease(self, holder: Holder, at: float, allowance: Allowance) -> HeldLease | None:
        """The next work for a holder: suspects first, then retries and fresh items in turn.

        In turn, because items that ask for `RetryLater` again and again must not keep fresh ones waiting.
        """
        if self._intent_limit is not None and self.leased >= self._intent_limit:
            return None
        if not self._isolating:
            if self._census.alone or self._retries.has_alone:
                return self._suspect(holder) if self._has_room_for_suspect else None
        elif holder.node_id in self._isolating and self._retries.has_alone:
            return self._suspect(holder)
        size = self._size(holder, allowance)
        if self._intent_limit is not None:
            size = self._intended(holder, size)
            if not size:
                return None
        if self._fresh_is_next:
            return self._fresh(holder, size, at, allowance) or self._retry_group(holder, size, at)
        return self._retry_group(holder, size, at) or self._fresh(holder, size, at, allowance)

    @property
    def _has_room_for_suspect(self) -> bool:
        """Whether one more suspect may start in this process.

        What ends the coordinator must not leave a doubt about who it was: everything else waits.
        """
        return self._census.alone < self._together and self._census.alone == self._census.leases

    def _suspect(self, holder: Holder) -> HeldLease | None:
        suspect = self._retries.take_alone()
        if suspect is None:
            return None
        held = self._lease_retries(holder, [suspect])
        held.alone = True
        return held

    def _fresh(self, holder: Holder, size: int, at: float, allowance: Allowance) -> HeldLease | None:
        fresh = self.queues.take(holder.node_id, size, at=at, far=allowance.far)
        if not fresh:
            return None
        self._fresh_is_next = False
        self._ledger.lease(fresh.start, fresh.stop)
        return HeldLease(self._lease(holder, fresh, 1), len(fresh), {})

    def _retry_group(self, holder: Holder, size: int, at: float) -> HeldLease | None:
        group = self._retries.take_group(size, at, patient=self.queues.remaining > 0)
        if not group:
            return None
        self._fresh_is_next = True
        return self._lease_retries(holder, group)

    def _lease_retries(self, holder: Holder, group: list[Retry]) -> HeldLease:
        for retry in group:
            self._ledger.lease_one(retry.index)
        indices = tuple(retry.index for retry in group)
        lease = self._lease(holder, indices, group[0].attempt)
        return HeldLease(lease, len(indices), {retry.index: retry for retry in group})

    def _lease(self, holder: Holder, indices: range | tuple[int, ...], attempt: int) -> Lease:
        self._lease_id += 1
        # a shared queue needs no time budget: whatever it has not started can be revoked at any moment
        budget = math.inf if holder.shared else holder.budget
        return Lease(self._lease_id, indices, attempt, budget, self._until_failure)

    def _size(self, holder: Holder, allowance: Allowance) -> int:
        """How many items the holder gets next (see the module's docstring)."""
        size = holder.allowance
        if allowance.at_once:
            size = min(size, int(allowance.items), self._room(holder)) // self._unit * self._unit
        if len(self._census.holders) > 1:
            left = self.queues.remaining + self._retries.ready
            fair = math.ceil(left * holder.slots / (2 * self.slots))
            size = min(size, max(fair, holder.worth_sending))
        # whole calls only
        return max(1, -(-size // self._unit)) * self._unit

    def _intended(self, holder: Holder, size: int) -> int:
        """At-most-once: how many of `size` items may have an intent now.

        Half of the holder's share, so that one half runs while the other one's intents go to disk. No more
        than are left, or the last one would go to a busy holder with a smaller share, and back, for ever.
        """
        limit = self._intent_limit or 1
        left = self.queues.remaining + self._retries.ready
        size = min(size, max(1, limit * holder.slots // self.slots // 2), left)
        return size if self.leased + size <= limit else 0


def _without(some: Iterable[int], indices: range) -> Iterator[tuple[int, int]]:
    """What remains of contiguous indices without some of them (in ascending order), as (start, stop)."""
    start = indices.start
    for index in some:
        if index in indices:
            if start < index:
                yield start, index
            start = index + 1
    if start < indices.stop:
        yield start, indices.stop
