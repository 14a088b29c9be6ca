"""Micro-benchmark of the item loop and its nodes: what everyitem adds to a call, without engine and store.

    python -m benchmarks.item_loop [--pairs 7]

Each case is timed against its bare counterpart in interleaved pairs of one run; printed are the median of
both and of their ratio. Cases: a processor that does nothing through one slot and through a thread node of
five; 5 % of the items failing once (against a bare loop with try and retry); 10 ms waits on an async node
of 100 (against 100 bare asyncio tasks).
"""

import argparse
import asyncio
import queue
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from everyitem.adapters.nodes.async_node import AsyncNode
from everyitem.adapters.nodes.thread_node import ThreadNode
from everyitem.model.items import InMemoryItems
from everyitem.model.resources import NodeKind, NodeSpec
from everyitem.ports.node import Lease, NodeMessage, OutcomesArrived, SliceFinished
from everyitem.work.assignment import Assignment
from everyitem.work.context import BatchView
from everyitem.work.loop import Slot
from everyitem.work.outcomes import StretchOutcomes
from everyitem.work.processors import find_processor, item_processor
from everyitem.work.stretch import MAX_ITEMS, Stretch
from everyitem.work.window import new_window

COUNT = 100_000
WAITS = 10_000
TASKS = 100
#: Items per lease: about what the engine hands a shared queue at this speed.
LEASE = 5_000


@item_processor("bench-no-op")
def no_op(item: Any, context: Any) -> Any:
    return {"ok": True}


@item_processor("bench-flaky")
def flaky(item: Any, context: Any) -> Any:
    if context.attempt == 1 and item["id"] % 20 == 0:
        raise ValueError("fails once")
    return {"ok": True}


@item_processor("bench-wait")
async def wait(item: Any, context: Any) -> Any:
    await asyncio.sleep(0.01)
    return {"ok": True}


def make_items(count: int) -> InMemoryItems:
    text = msgspec.json.encode([{"id": number, "amount": "12.50"} for number in range(count)])
    return InMemoryItems(text, named=False)


def bare_calls(items: list[Any], function: Callable[[Any, Any], Any]) -> None:
    """The loop one would write by hand, results kept."""
    results: list[Any] = []
    keep = results.append
    for item in items:
        keep(function(item, None))


def bare_retries(items: list[Any]) -> None:
    """A hand-written loop that retries and records each failed attempt."""
    results: list[Any] = []
    failed: list[tuple[int, int, str]] = []
    for number, item in enumerate(items):
        attempt = 1
        while True:
            try:
                if attempt == 1 and item["id"] % 20 == 0:
                    raise ValueError("fails once")
                results.append({"ok": True})
                break
            except ValueError as error:
                failed.append((number, attempt, str(error)))
                attempt += 1


async def bare_tasks(count: int) -> None:
    """100 tasks taking waits from one list."""
    left = iter(range(count))

    async def task() -> None:
        for _ in left:
            await asyncio.sleep(0.01)

    await asyncio.gather(*(task() for _ in range(TASKS)))


def through_slot(items: InMemoryItems, name: str) -> None:
    """One slot, stretch by stretch, up to encoded blocks."""
    slot = Slot(find_processor(name), BatchView(assignment_of(name)))
    for first in range(0, len(items), MAX_ITEMS):
        indices = range(first, min(first + MAX_ITEMS, len(items)))
        stretch = Stretch(items.text(indices), indices, first=first, attempt=1)
        outcomes = StretchOutcomes()
        slot.work(stretch, new_window(first, indices.stop), outcomes)
        outcomes.block()


def through_node(kind: NodeKind, items: InMemoryItems, name: str, slots: int) -> float:
    """A whole node, two leases ahead, failed items once more; seconds from first lease to last block."""
    build = ThreadNode if kind is NodeKind.THREAD else AsyncNode
    messages: queue.SimpleQueue[NodeMessage] = queue.SimpleQueue()
    node = build(
        NodeSpec(node_id="bench", kind=kind, slots=slots),
        slots=slots,
        assignment=assignment_of(name),
        processor=find_processor(name),
        items=items,
    )
    node.start(messages.put)
    holder = messages.get(timeout=10).holder  # type: ignore[union-attr]
    begun = time.perf_counter()
    leases: list[tuple[Sequence[int], int]] = [
        (range(first, min(first + LEASE, len(items))), 1) for first in range(0, len(items), LEASE)
    ]
    open_leases = done = number = 0
    while done < len(items):
        while leases and open_leases < 2:
            indices, attempt = leases.pop()
            node.run_slice(holder, Lease(number, indices, attempt, budget=float("inf")))
            number += 1
            open_leases += 1
        message = messages.get(timeout=60)
        assert isinstance(message, OutcomesArrived | SliceFinished), message
        done += sum(map(len, message.block.successes))
        if message.block.failures:
            leases.append((tuple(failure.index for failure in message.block.failures), 2))
        open_leases -= isinstance(message, SliceFinished)
    took = time.perf_counter() - begun
    node.close()
    return took


def assignment_of(name: str) -> Assignment:
    return Assignment(batch_id="b", key_prefix="b", processor=name, origin=find_processor(name).origin)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def compare(
    title: str, bare: Callable[[], float], ours: Callable[[], float], *, count: int, pairs: int
) -> None:
    """Time interleaved pairs and print the medians."""
    runs = [(bare(), ours()) for _ in range(pairs)]
    bare_us = statistics.median(one for one, _ in runs) / count * 1e6
    ours_us = statistics.median(one for _, one in runs) / count * 1e6
    ratio = statistics.median(ours_time / bare_time for bare_time, ours_time in runs)
    print(f"{title:<42} bare {bare_us:8.3f} us/item   ours {ours_us:8.3f} us/item   ratio {ratio:6.3f}")


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    items, waits = make_items(COUNT), make_items(WAITS)
    decoded = msgspec.json.decode(items.text(range(COUNT)))

    def node(kind: NodeKind, work: InMemoryItems, name: str, slots: int) -> Callable[[], float]:
        return lambda: through_node(kind, work, name, slots)

    def bare() -> float:
        return seconds(lambda: bare_calls(decoded, no_op))

    compare(
        "no-op, one slot",
        bare,
        lambda: seconds(lambda: through_slot(items, "bench-no-op")),
        count=COUNT,
        pairs=pairs,
    )
    compare(
        "no-op, thread node, 5 slots",
        bare,
        node(NodeKind.THREAD, items, "bench-no-op", 5),
        count=COUNT,
        pairs=pairs,
    )
    compare(
        "5 % fail once, thread node, 5 slots",
        lambda: seconds(lambda: bare_retries(decoded)),
        node(NodeKind.THREAD, items, "bench-flaky", 5),
        count=COUNT,
        pairs=pairs,
    )
    compare(
        "10 ms waits, async node, 100 slots",
        lambda: seconds(lambda: asyncio.run(bare_tasks(WAITS))),
        node(NodeKind.ASYNC, waits, "bench-wait", TASKS),
        count=WAITS,
        pairs=pairs,
    )


if __name__ == "__main__":
    main()
