"""Workers that do nothing but take time: one lease at a time, known beforehand to the end."""

from dataclasses import dataclass

from everyitem.model.outcome import OutcomeBlock, Successes
from everyitem.ports.node import ItemRunsLong, Lease, SliceFinished, SliceShortened
from everyitem.testing.fleet.terrain import Terrain

#: An item runs long (`ports.node.ItemRunsLong`) after so many seconds, or so many round trips where that is
#: more, as on workers of Dask: sooner it would be more trouble than it saves.
LONG = 0.1
LONG_ROUND_TRIPS = 10


@dataclass(slots=True, kw_only=True)
class VirtualWorker:
    """A worker of a node; what it would say and when follows from its lease at once."""

    name: str
    node_id: str
    terrain: Terrain
    #: 1.0 for an ordinary one.
    speed: float
    #: Seconds a message travels, either way.
    way: float
    #: When the coordinator hears that the lease is over; None without one.
    ends_at: float | None = None
    _lease: Lease | None = None
    _first: int = 0
    _count: int = 0
    _begun_at: float = 0.0

    def take(self, lease: Lease, at: float) -> ItemRunsLong | None:
        """A lease was sent at that moment; returns the complaint about its first long item, if any."""
        self._lease, self._begun_at = lease, at + self.way
        # nothing here fails, so every lease is a range of fresh items
        self._first = lease.indices[0]
        reach = self.terrain.reach(self._first, lease.budget * self.speed)
        self._count = min(len(lease.indices), reach - self._first)
        self._plan()
        patience = max(LONG, LONG_ROUND_TRIPS * 2 * self.way)
        long = self.terrain.first_longer(self._first, self._first + self._count, patience * self.speed)
        if long is None:
            return None
        said_at = self._begun_at + self._takes(self._first, long) + patience + self.way
        return ItemRunsLong(said_at, self.name, lease.lease_id)

    def give_back(self, lease_id: int, at: float) -> SliceShortened | None:
        """Its lease was revoked at that moment; None where it is over by the time this is known to it."""
        known_at = at + self.way
        if self._lease is None or self._lease.lease_id != lease_id or self.ends_at is None:
            return None
        if known_at >= self.ends_at - self.way:
            return None
        begun = (
            self.terrain.reach(self._first, max(0.0, known_at - self._begun_at) * self.speed) - self._first
        )
        kept = min(self._count, begun) if known_at > self._begun_at else 0
        self._count = kept
        self._plan(not_before=known_at)
        return SliceShortened(known_at + self.way, self.name, lease_id, kept)

    def finish(self) -> SliceFinished:
        """The lease is over."""
        lease, count = self._lease, self._count
        if lease is None or self.ends_at is None:
            raise AssertionError(f"{self.name} has no lease that could end")
        ended_at, self._lease, self.ends_at = self.ends_at, None, None
        return SliceFinished(ended_at, self.name, lease.lease_id, self._outcomes(lease, count))

    def _plan(self, *, not_before: float = 0.0) -> None:
        done_at = self._begun_at + self._takes(self._first, self._first + self._count)
        self.ends_at = max(done_at, not_before) + self.way

    def _takes(self, start: int, stop: int) -> float:
        return self.terrain.seconds(start, stop) / self.speed

    def _outcomes(self, lease: Lease, count: int) -> OutcomeBlock:
        if not count:
            return OutcomeBlock([], [])
        microseconds = int(self._takes(self._first, self._first + count) / count * 1e6)
        results = b"[" + b"0," * (count - 1) + b"0]"
        run = Successes([(self._first, count)], lease.attempt, [microseconds] * count, results)
        return OutcomeBlock([run], [])
