"""Items that do nothing: all that is left is what an item costs in everyitem itself.

Two bare loops are beside it. The goals speak of one that stores an outcome for each item and did 1.2 million
items a second when they were set; the other stores what the items returned and nothing else, and is for the
record: the least there is to keep, of which nobody can tell what became of an item.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks import bare
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch

#: What all start from.
Item = dict[str, Any]


def measure(options: Options) -> Iterator[Figure]:
    """The whole call of `everyitem.run`, as a multiple of a bare durable loop."""
    items: list[Item] = [
        {"id": number, "amount": f"{number % 997}.25"} for number in range(options.items(100_000, 20_000))
    ]
    yield from _no_op(items, options)
    yield from _flaky(items, options)


def _no_op(items: list[Item], options: Options) -> Iterator[Figure]:
    store = options.directory / "durable.sqlite"
    outcomes, results = options.directory / "bare.sqlite", options.directory / "bare-results.sqlite"
    runs = interleaved(
        lambda: run_batch(document(items, "bench-no-op", kind="thread", slots=5), store).call,
        lambda: (
            bare.durable_loop(items, _no_operation, outcomes),
            bare.durable_loop_of_results(items, _no_operation, results),
        ),
        pairs=options.pairs,
    )
    yield Figure(
        case="durable",
        what=f"{len(items):,} no-ops on 5 thread slots, recorded, over a bare durable loop",
        unit="×",
        values=[ours / of_outcomes for ours, (of_outcomes, _) in runs],
        at_most=3.0,
    )
    yield Figure(
        case="durable",
        what="the bare loop itself, which did 1.2 million where the goals come from",
        unit="million items/s",
        values=[len(items) / of_outcomes / 1e6 for _, (of_outcomes, _) in runs],
    )
    yield Figure(
        case="durable",
        what="the same no-ops over a bare loop that stores results and not whose they are",
        unit="×",
        values=[ours / of_results for ours, (_, of_results) in runs],
    )


def _flaky(items: list[Item], options: Options) -> Iterator[Figure]:
    store = options.directory / "flaky.sqlite"
    outcomes, results = options.directory / "retry.sqlite", options.directory / "retry-results.sqlite"
    retry = {"initialDelayMs": 0}
    runs = interleaved(
        lambda: run_batch(document(items, "bench-flaky", kind="thread", slots=5, retry=retry), store).call,
        lambda: (
            bare.durable_loop_with_retry(items, _fail_at_first, outcomes),
            bare.retrying_loop_of_results(items, _fail_at_first, results),
        ),
        pairs=options.pairs,
    )
    yield Figure(
        case="flaky",
        what="5 % failing once, retried at once, over a bare durable loop with try and retry",
        unit="×",
        values=[ours / of_outcomes for ours, (of_outcomes, _) in runs],
        at_most=3.5,
    )
    yield Figure(
        case="flaky",
        what="the same over a bare loop that stores results and not whose they are",
        unit="×",
        values=[ours / of_results for ours, (_, of_results) in runs],
    )


def _no_operation(item: Item) -> Any:
    return {"ok": True}


def _fail_at_first(item: Item, attempt: int) -> Any:
    if item["id"] % 20 == 0 and attempt == 1:
        raise ConnectionError("not yet")
    return {"ok": True}
