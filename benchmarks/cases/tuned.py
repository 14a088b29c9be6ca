"""The number of slots the engine finds by itself, against the best fixed one there is.

The best fixed number is searched for exhaustively: each one runs a short batch, the five fastest run two
more, and the median decides. Then the engine's own search and that number run against each other, as
interleaved pairs of long batches. What counts is the throughput from a tenth of the items on: until then
the engine may search.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import everyitem
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch, setting
from benchmarks.workloads import Workload, workloads

#: The part of the items after which the engine should have found its level.
SEARCH = 0.1
#: The fastest numbers, and how often they run again.
_FINALISTS, _AGAIN = 5, 2


def measure(options: Options) -> Iterator[Figure]:
    """Per cent of the best fixed number's throughput, after the search and over the whole batch."""
    for workload in workloads():
        yield from _one(workload, options)


def _one(workload: Workload, options: Options) -> Iterator[Figure]:
    store = options.directory / "tuned.sqlite"
    best = _best_fixed(workload, store, options)
    count = options.items(workload.count, workload.count // 10)
    pairs = interleaved(
        lambda: _throughput(workload, count, None, store),
        lambda: _throughput(workload, count, best, store),
        pairs=options.pairs,
    )
    what = f"{workload.name}: found by itself, over the best of 1 to {workload.slots} slots, which is {best}"
    yield Figure(
        case="tuned",
        what=what,
        unit="%",
        values=[100 * ours[0] / fixed[0] for ours, fixed in pairs],
        at_least=None if options.quick else 95.0,
    )
    yield Figure(
        case="tuned",
        what="the same, the search included",
        unit="%",
        values=[100 * ours[1] / fixed[1] for ours, fixed in pairs],
    )


def _best_fixed(workload: Workload, store: Path, options: Options) -> int:
    def short(slots: int) -> float:
        return _throughput(workload, min(workload.most, workload.share * slots), slots, store)[0]

    numbers = range(1, workload.slots + 1, workload.slots // 4 if options.quick else 1)
    found = {slots: [short(slots)] for slots in numbers}
    finalists = 1 if options.quick else _FINALISTS
    for slots in sorted(found, key=lambda slots: found[slots][0])[-finalists:]:
        found[slots] += [short(slots) for _ in range(_AGAIN)]
    settled = {slots: statistics.median(rates) for slots, rates in found.items() if len(rates) > 1}
    return max(settled, key=lambda slots: settled[slots])


def _throughput(workload: Workload, count: int, slots: int | None, store: Path) -> tuple[float, float]:
    """Items a second that began after the search, and over the whole batch; `slots` None: found by itself."""
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
        began = sorted(outcome.result for outcome in session.results(batch["batchId"]))
    skipped = int(SEARCH * len(began))
    return (
        (len(began) - skipped) / max(1e-9, (began[-1] - began[skipped]) / 1e9),
        len(began) / max(1e-9, (began[-1] - began[0]) / 1e9),
    )
