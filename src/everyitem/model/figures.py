"""What is measured of an execution beside its counts: response times, checkpoints, availability.

Part of the progress a running owner publishes, so that whoever has the store can show it, and that the next
run goes on from it. Every number is a total over all runs unless it says otherwise; times are seconds.
"""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

#: Upper bounds (seconds, inclusive) of the classes in which attempts are counted; one more holds the rest.
LATENCY_BOUNDS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)

_BOUNDS_US = tuple(round(bound * 1_000_000) for bound in LATENCY_BOUNDS)
#: Durations of one run of successes that are looked at; of longer ones evenly spread ones stand for the rest.
_LOOKED_AT = 32


class Availability(msgspec.Struct, frozen=True, array_like=True):
    """How long something was there, of the time it was needed. Slots count each for itself."""

    up: float = 0.0
    down: float = 0.0

    def after(self, before: "Availability") -> "Availability":
        """Both times together."""
        return Availability(before.up + self.up, before.down + self.down)

    @property
    def share(self) -> float:
        """Between 0 and 1; 1 where nothing was needed yet."""
        return self.up / (self.up + self.down) if self.down > 0 else 1.0


class Timings(msgspec.Struct, frozen=True, array_like=True):
    """How long something took: how often, altogether, the longest, the latest."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0
    latest: float = 0.0

    def after(self, before: "Timings") -> "Timings":
        """Both together; the latest is the own one, where there is one."""
        latest = self.latest if self.count else before.latest
        return Timings(
            before.count + self.count, before.total + self.total, max(before.longest, self.longest), latest
        )

    def and_one(self, seconds: float) -> "Timings":
        """With one more."""
        return Timings(self.count + 1, self.total + seconds, max(self.longest, seconds), seconds)


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The measurements of one execution as of a moment."""

    #: Attempts by duration, in the classes of `LATENCY_BOUNDS`, and their time altogether.
    latency: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS) + 1)
    latency_total: float = 0.0
    #: Attempts that failed and were, or will be, followed by another one.
    retries: int = 0
    steals: int = 0
    #: Slots of this run: at an item now, and in use.
    busy: int = 0
    slots: int = 0
    #: Workers that died, ran out of time or were ended, and nodes that failed.
    workers_lost: int = 0
    nodes_failed: int = 0
    #: Transactions that hold a checkpoint.
    checkpoint: Timings = Timings()
    #: Questions to the store that were answered, and those that were not.
    store: Timings = Timings()
    store_errors: int = 0
    store_availability: Availability = Availability()
    node_availability: Availability = Availability()
    #: Active seconds of the present window of the batch timeout, and how many it has.
    window_used: float = 0.0
    window: float = 0.0


def add_latencies(counts: list[int], durations_us: Sequence[int]) -> None:
    """Count attempts into the classes of `LATENCY_BOUNDS`.

    Of more than a few, evenly spread ones stand for their neighbours: a worker hands over many only where
    each takes next to nothing, and looking at every one would cost more than they do.
    """
    count = len(durations_us)
    if count <= _LOOKED_AT:
        for duration in durations_us:
            counts[bisect_left(_BOUNDS_US, duration)] += 1
        return
    before = 0
    for number in range(1, _LOOKED_AT + 1):
        after = number * count // _LOOKED_AT
        counts[bisect_left(_BOUNDS_US, durations_us[before])] += after - before
        before = after
