"""The workers of a cluster as a node sees them: which of them can run its batch, and which are silent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from everyitem.adapters.nodes.dask.frames import Welcome


@dataclass(slots=True)
class Place:
    """One Dask worker."""

    address: str
    threads: int
    #: When it last gave a sign of life (monotonic seconds).
    heard_at: float
    #: Name of the run's station on it; empty before that is open.
    station: str = ""
    #: Why it cannot run the batch; empty while it may.
    problem: str = ""
    #: It has not answered for too long: stopped, or cut off.
    is_frozen: bool = False
    #: A question is under way.
    is_asked: bool = False

    @property
    def is_fit(self) -> bool:
        """Whether items can be sent there."""
        return bool(self.station) and not self.problem and not self.is_frozen


class ClusterView:
    """All workers known, by address. Pure bookkeeping."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}

    def update(self, threads: Mapping[str, int], at: float) -> tuple[list[str], list[str]]:
        """Take note of who is there now; returns the addresses that are new, and those that are gone."""
        new = [address for address in threads if address not in self.places]
        gone = [address for address in self.places if address not in threads]
        for address in new:
            self.places[address] = Place(address, threads[address], at)
        for address in gone:
            del self.places[address]
        return new, gone

    def welcomed(self, answers: Mapping[str, Welcome], at: float) -> None:
        """Workers have opened a station, or said why they do not."""
        for address, welcome in answers.items():
            if (place := self.places.get(address)) is not None:
                place.station, place.problem, place.heard_at = welcome.station, welcome.problem, at

    @property
    def fit(self) -> list[Place]:
        """Workers items can be sent to."""
        return [place for place in self.places.values() if place.is_fit]

    @property
    def allowed(self) -> Collection[str] | None:
        """Where Dask may place tasks: None for wherever it likes, which is how it does best."""
        if all(place.is_fit for place in self.places.values()):
            return None
        return [place.address for place in self.fit]

    @property
    def problems(self) -> str:
        """What keeps workers from running the batch, each reason once with a worker that gave it."""
        seen: dict[str, str] = {}
        for place in self.places.values():
            if place.problem:
                seen.setdefault(place.problem, place.address)
        return "; ".join(f"Dask worker {address}: {problem}" for problem, address in seen.items())
