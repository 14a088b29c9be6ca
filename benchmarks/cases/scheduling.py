"""What a slice costs in decisions: the state machine alone, with workers that exist in virtual time.

However many items there are, and however many nodes. For the first, eight workers do 400 items a second
each, so a slice is some forty items whatever the size of the batch: few enough that slow start and the
shrinking tail of a small batch do not make its slices smaller ones.
"""

import heapq
import statistics
import time
from collections.abc import Iterator

from benchmarks.measure import Figure, Options, interleaved
from everyitem.engine.messages import CheckpointSaved, Finish, Message, RunSlice, SaveCheckpoint, TimePassed
from everyitem.engine.state import ExecutionState
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.outcome import OutcomeBlock, Successes
from everyitem.model.plan import partition_items
from everyitem.ports.node import HolderJoined, Lease, SliceFinished
from everyitem.testing.fleet import Fleet, Setting

WORKERS = 8
RATE = 400.0
#: Items of a millisecond for each node of a fleet: some ten slices.
SHARE = 2000


def measure(options: Options) -> Iterator[Figure]:
    """Microseconds per slice of a large batch, as a multiple of those of a small one."""
    large, small = options.items(10_000_000, 1_000_000), 10_000
    pairs = interleaved(
        lambda: _cost_of_slice(large),
        # the mean of many: a large batch is a mean of many slices, too
        lambda: statistics.mean(_cost_of_slice(small) for _ in range(50)),
        pairs=options.pairs,
    )
    yield Figure(
        case="schedule",
        what=f"decisions per slice for {large:,} items, over those for {small:,}",
        unit="×",
        values=[ours / bare for ours, bare in pairs],
        at_most=1.1,
    )
    many, few = options.items(3000, 1000), 30
    pairs = interleaved(
        lambda: _cost_of_message(many),
        lambda: statistics.mean(_cost_of_message(few) for _ in range(10)),
        pairs=options.pairs,
    )
    yield Figure(
        case="schedule",
        what=f"decisions per message with {many:,} nodes, over those with {few:,}",
        unit="×",
        values=[ours / bare for ours, bare in pairs],
        at_most=2.0,
    )


def _cost_of_message(nodes: int) -> float:
    """Microseconds the state machine takes per message of a fleet."""
    return Fleet(Setting(nodes=nodes, items=nodes * SHARE)).run().microseconds_per_message


def _cost_of_slice(items: int) -> float:
    """Seconds the state machine takes per slice; what workers and store would do is not counted."""
    state = ExecutionState(
        ProcessingConfiguration(processor="virtual", parallelism=WORKERS),
        recorded=bytearray(items),
        nodes=[("n", WORKERS)],
        partitions=partition_items(items, WORKERS),
        at=0.0,
        chance=lambda: 1.0,
    )
    coming: list[tuple[float, int, Message]] = []
    spent, slices, number = 0.0, 0, 0
    for worker in range(WORKERS):
        heapq.heappush(coming, (0.0, worker, HolderJoined(0.0, f"n/{worker}", "n", 1)))
    number = WORKERS
    while coming:
        message = heapq.heappop(coming)[2]
        started = time.thread_time()
        commands = state.handle(message)
        spent += time.thread_time() - started
        for command in commands:
            number += 1
            match command:
                case RunSlice(holder=holder, lease=lease):
                    slices += 1
                    done = message.at + len(lease.indices) / RATE
                    finished = SliceFinished(done, holder, lease.lease_id, _outcomes(lease))
                    heapq.heappush(coming, (done, number, finished))
                case SaveCheckpoint(ticket=ticket):
                    heapq.heappush(coming, (message.at, number, CheckpointSaved(message.at, ticket)))
                case Finish():
                    return spent / slices
        if not coming:
            heapq.heappush(coming, (message.at, number, TimePassed(message.at)))
    raise AssertionError("the batch did not end")


def _outcomes(lease: Lease) -> OutcomeBlock:
    count = len(lease.indices)
    results = b"[" + b",".join([b"1"] * count) + b"]"
    return OutcomeBlock([Successes([(lease.indices[0], count)], 1, [500] * count, results)], [])
