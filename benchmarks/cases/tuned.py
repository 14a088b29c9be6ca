"""The number of slots the engine finds by itself, against the best fixed one there is.

The best fixed number is searched for exhaustively: each one runs a short batch, the five fastest run two
more, and the median decides. Then the engine's own search and that number run against each other, as
interleaved pairs of long batches. What counts is the throughput from a tenth of the items on, until when
the engine may search; and after which part of the items it was at its level for the first time.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import everyitem
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch, setting
from benchmarks.workloads import Workload, workloads

#: The part of the items after which the engine should have found its level.
SEARCH = 0.1
#: The part of the best throughput that is the level.
LEVEL = 0.95
#: Throughput at one moment is that over so many of the items: few are in step with each other.
_SPAN = 0.1
#: The fastest numbers, and how often they run again.
_FINALISTS, _AGAIN = 5, 2


def measure(options: Options) -> Iterator[Figure]:
    """Per cent of the best fixed number's throughput, after the search and over all, and how long it took."""
    for workload in workloads():
        if options.only in workload.name:
            yield from _one(workload, options)


@dataclass(frozen=True)
class Course:
    """When the items of a batch began: nanoseconds, the earliest first."""

    began: Sequence[int]

    def rate(self, first: int = 0, last: int = -1) -> float:
        """Items a second from the `first` to begin until the `last`."""
        last %= len(self.began)
        return (last - first) / max(1e-9, (self.began[last] - self.began[first]) / 1e9)

    @property
    def late(self) -> float:
        """Items a second after the search."""
        return self.rate(int(SEARCH * len(self.began)))

    def reached_after(self, rate: float) -> float:
        """The part of the items that had begun before they came at this rate; 1 where they never did."""
        count = len(self.began)
        span = max(1, int(_SPAN * count))
        step = max(1, count // 200)
        starts = range(0, count - span, step)
        return next((first / count for first in starts if self.rate(first, first + span) >= rate), 1.0)


def _one(workload: Workload, options: Options) -> Iterator[Figure]:
    store = options.directory / "tuned.sqlite"
    best = _best_fixed(workload, store, options)
    count = options.items(workload.count, workload.count // 10)
    pairs = interleaved(
        lambda: _course(workload, count, None, store),
        lambda: _course(workload, count, best, store),
        pairs=options.pairs,
    )
    what = f"{workload.name}: found by itself, over the best of 1 to {workload.slots} slots, which is {best}"
    yield Figure(
        case="tuned",
        what=what,
        unit="%",
        values=[100 * ours.late / fixed.late for ours, fixed in pairs],
        at_least=None if options.quick else 100 * LEVEL,
    )
    yield Figure(
        case="tuned",
        what=f"the same: part of the items that had begun before {LEVEL:.0%} of that were reached",
        unit="%",
        values=[100 * ours.reached_after(LEVEL * fixed.late) for ours, fixed in pairs],
        at_most=None if options.quick else 100 * SEARCH,
    )
    yield Figure(
        case="tuned",
        what="the same, the search included",
        unit="%",
        values=[100 * ours.rate() / fixed.rate() for ours, fixed in pairs],
    )


def _best_fixed(workload: Workload, store: Path, options: Options) -> int:
    def short(slots: int) -> float:
        return _course(workload, min(workload.most, workload.share * slots), slots, store).late

    numbers = range(1, workload.slots + 1, workload.slots // 4 if options.quick else 1)
    found = {slots: [short(slots)] for slots in numbers}
    finalists = 1 if options.quick else _FINALISTS
    for slots in sorted(found, key=lambda slots: found[slots][0])[-finalists:]:
        found[slots] += [short(slots) for _ in range(_AGAIN)]
    settled = {slots: statistics.median(rates) for slots, rates in found.items() if len(rates) > 1}
    return max(settled, key=lambda slots: settled[slots])


def _course(workload: Workload, count: int, slots: int | None, store: Path) -> Course:
    """Run a batch; `slots` None: found by itself."""
    batch: dict[str, Any] = document(
        workload.batch_items(count),
        workload.processor,
        kind=workload.kind,
        slots=workload.slots,
        **workload.configuration,
    )
    if slots is None:
        del batch["parallelismLevel"]
    else:
        batch["parallelismLevel"] = slots
    if workload.memory_mb is not None:
        batch["allocatedResources"]["nodes"][0]["memoryMb"] = workload.memory_mb
    with setting("MAX_BATCH_SIZE", str(max(count, 1))):
        run_batch(batch, store)
    with everyitem.open(f"sqlite:///{store}") as session:
        return Course(sorted(outcome.result for outcome in session.results(batch["batchId"])))
