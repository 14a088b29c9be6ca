"""Items that do nothing: all that is left is what an item costs in everyitem itself."""

from collections.abc import Iterator
from typing import Any

from benchmarks import bare
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch

#: What both start from.
Item = dict[str, Any]


def measure(options: Options) -> Iterator[Figure]:
    """The whole call of `everyitem.run`, as a multiple of a bare durable loop."""
    items: list[Item] = [
        {"id": number, "amount": f"{number % 997}.25"} for number in range(options.items(100_000, 20_000))
    ]
    yield _no_op(items, options)
    yield _flaky(items, options)


def _no_op(items: list[Item], options: Options) -> Figure:
    store, database = options.directory / "durable.sqlite", options.directory / "bare.sqlite"
    pairs = interleaved(
        lambda: run_batch(document(items, "bench-no-op", kind="thread", slots=5), store).call,
        lambda: bare.durable_loop(items, lambda item: {"ok": True}, database),
        pairs=options.pairs,
    )
    return Figure(
        case="durable",
        what=f"{len(items):,} no-ops on 5 thread slots, recorded, over a bare durable loop",
        unit="×",
        values=[ours / bare_loop for ours, bare_loop in pairs],
        at_most=3.0,
    )


def _flaky(items: list[Item], options: Options) -> Figure:
    store, database = options.directory / "flaky.sqlite", options.directory / "bare-retry.sqlite"
    retry = {"initialDelayMs": 0}
    pairs = interleaved(
        lambda: run_batch(document(items, "bench-flaky", kind="thread", slots=5, retry=retry), store).call,
        lambda: bare.durable_loop_with_retry(items, _fail_at_first, database),
        pairs=options.pairs,
    )
    return Figure(
        case="flaky",
        what="the same with 5 % failing once, retried at once, over a bare durable loop with try and retry",
        unit="×",
        values=[ours / bare_loop for ours, bare_loop in pairs],
        at_most=3.5,
    )


def _fail_at_first(item: Item, attempt: int) -> Any:
    if item["id"] % 20 == 0 and attempt == 1:
        raise ConnectionError("not yet")
    return {"ok": True}
