"""What stealing costs where there is nothing to gain: uniform work on nodes that are all alike."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import Timing, document, run_timed_batch
from benchmarks.processors import loops_per_millisecond
from everyitem.engine.queues import NodeQueues


def measure(options: Options) -> Iterator[Figure]:
    """The time with stealing as a multiple of that without."""
    waiting = [{"seconds": 0.005}] * options.items(6_000, 1_500)
    yield _one("sleeps of 5 ms", waiting, "bench-sleep", "thread", options, nodes=4, slots=2)
    yield _one("sleeps of 5 ms", waiting, "bench-sleep", "process", options, nodes=4, slots=1)
    work = [{"loops": loops_per_millisecond()}] * options.items(6_000, 1_000)
    yield _one("items of 1 ms pure Python", work, "bench-work", "process", options, nodes=2, slots=1)


def _one(
    what: str,
    items: list[dict[str, Any]],
    processor: str,
    kind: str,
    options: Options,
    *,
    nodes: int,
    slots: int,
) -> Figure:
    store = options.directory / "stealing.sqlite"

    def run() -> Timing:
        batch = document(items, processor, kind=kind, slots=nodes * slots)
        batch["allocatedResources"] = {
            "nodes": [{"nodeId": f"n{number}", "kind": kind, "slots": slots} for number in range(nodes)]
        }
        return run_timed_batch(batch, store, processes=nodes * slots if kind == "process" else 0)

    def without() -> Timing:
        with mock.patch.object(NodeQueues, "_steal", return_value=False):
            return run()

    pairs = interleaved(run, without, pairs=options.pairs)
    return Figure(
        case="stealing",
        what=f"{len(items):,} {what} on {nodes} {kind} nodes of {slots}, over the same without stealing",
        unit="×",
        values=[ours.work / bare.work for ours, bare in pairs if ours.work and bare.work],
        at_most=1.02,
    )
