"""Holders as the dealer knows them: what they hold, how fast they are, when they need more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from everyitem.engine.retries import Retry
from everyitem.model.outcome import Successes
from everyitem.ports.node import Lease

#: Seconds a slice should last.
BUDGET = 0.1
#: ... and at most, where the way to the holder is long: it should idle for no more than a fortieth of that.
LONGEST_BUDGET = 2.0
_ROUND_TRIPS = 40
#: A rate is measured over at least this many seconds.
RATE_WINDOW = 0.02


@dataclass(slots=True)
class HeldLease:
    """A lease in force and what has come of it so far."""

    lease: Lease
    #: Positions from here on were given back.
    end: int
    #: The retries the lease was made of, by index; empty for fresh items.
    retries: dict[int, Retry]
    #: Outcomes and failed attempts that have arrived.
    accounted: int = 0
    #: Items of the lease whose failure has arrived: they may wait or run elsewhere by now.
    settled: set[int] = field(default_factory=set)
    #: It is the lease of a suspect.
    alone: bool = False
    #: A revocation was asked for. There is never a second: what the first leaves is being run.
    revoked: bool = False
    #: Its holder was told of it; under at-most-once that waits for the disk.
    issued: bool = True
    _last_settled: int = -1

    @property
    def outstanding(self) -> int:
        """Items without an answer yet."""
        return max(0, self.end - self.accounted)

    def covers(self, start: int, stop: int) -> bool:
        """Whether all items of the range belong to the part of the lease that is in force."""
        indices = self.lease.indices
        if isinstance(indices, range):
            return indices.start <= start and stop <= indices.start + self.end
        return all(index in self.retries for index in range(start, stop))

    def settle(self, index: int) -> None:
        """An item's failure has arrived; what else this lease says of it is an echo."""
        self.settled.add(index)
        self._last_settled = max(self._last_settled, index)

    def expects(self, run: Successes) -> bool:
        """Whether every item of the run belongs to what is in force, and none is settled."""
        indices = self.lease.indices
        if not isinstance(indices, range):
            known = self.retries.keys() - self.settled
            return known.issuperset(run.indices())
        lowest, end = indices.start, indices.start + self.end
        for first, count in run.ranges:
            if first < lowest or first + count > end:
                return False
            # work mostly goes upwards: a look at each item is for what comes out of order
            if first <= self._last_settled and not self.settled.isdisjoint(range(first, first + count)):
                return False
        return True

    def shorten(self, kept: int) -> Sequence[int]:
        """Keep the first `kept` positions; returns the items that are no longer part of the lease."""
        rest = self.lease.indices[kept : self.end]
        self.end = min(self.end, kept)
        return rest


@dataclass(slots=True)
class Holder:
    """One holder as the dealer knows it."""

    name: str
    node_id: str
    slots: int
    shared: bool
    #: Items one call takes.
    unit: int = 1
    #: Seconds it idles between two leases.
    round_trip: float = 0.0
    leases: dict[int, HeldLease] = field(default_factory=dict)
    #: Items leased to it without an answer yet; the census counts them.
    outstanding: int = 0
    #: Items per second, 0.0 before anything was measured.
    rate: float = 0.0
    #: Largest number of items it got at a time and finished.
    proved: int = 0
    #: Slots that may still be busy: more than are used, after there were more.
    widest: int = 0
    _since: float = 0.0
    _seen: int = 0

    @property
    def in_flight(self) -> int:
        """Items it works on now, at most."""
        return min(self.outstanding, max(self.slots, self.widest))

    def resize(self, slots: int) -> None:
        """Use so many slots from now on; what was begun in others goes on."""
        self.widest = max(self.slots, self.widest) if self.outstanding > slots else 0
        self.slots = slots

    @property
    def unstarted(self) -> int:
        """Items it was told of that it cannot have begun, at least."""
        return sum(held.outstanding for held in self.leases.values() if held.issued) - self.slots

    def load(self) -> float:
        """Items leased per slot: the lower, the more urgently it needs work; below 1 a slot idles."""
        return self.outstanding / max(1, self.slots)

    @property
    def budget(self) -> float:
        """Seconds a slice of its should last."""
        return max(BUDGET, min(LONGEST_BUDGET, _ROUND_TRIPS * self.round_trip))

    @property
    def target(self) -> int:
        """Items it does in one budget; at least one call per slot."""
        return max(self.slots * self.unit, int(self.rate * self.budget))

    @property
    def allowance(self) -> int:
        """Items it may get at a time: what it does in one budget, but at most twice what it has proved."""
        proved = max(self.slots * self.unit, 2 * self.proved)
        # before a rate is known, doubling alone says how many
        return min(self.target, proved) if self.rate else proved

    @property
    def worth_sending(self) -> int:
        """Items that take no longer than the way there: handing out fewer at a time gains nothing."""
        return math.ceil(self.rate * self.round_trip)

    @property
    def is_hungry(self) -> bool:
        """It needs work now: a single worker when idle, a shared queue when it runs low."""
        if not self.shared:
            return not self.leases
        return self.outstanding - self.slots < self.allowance / 2

    def measure(self, count: int, at: float) -> None:
        """Take note that `count` items were done by now."""
        self._seen += count
        if self.widest and self.outstanding <= self.slots:
            self.widest = 0
        elapsed = at - self._since
        if elapsed < RATE_WINDOW and self.outstanding:
            return
        if self._seen and elapsed > 0:
            rate = self._seen / elapsed
            self.rate = rate if not self.rate else (self.rate + rate) / 2
        self._since, self._seen = at, 0

    def wake(self, at: float) -> None:
        """Measuring begins anew when work begins after idling."""
        if not self.leases:
            self._since, self._seen = at, 0
