"""A few slow items among many fast ones: does anything wait behind them?"""

from collections.abc import Iterator

from benchmarks import bare
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_timed_batch

SLOW, FAST = 0.2, 0.001


def measure(options: Options) -> Iterator[Figure]:
    """Ours over a bare shared counter, for a block of slow items at the start, in the middle, at the end."""
    for kind in ("thread", "process"):
        for workers in (2, 8):
            for place in ("start", "middle", "end"):
                yield from _one(place, kind, workers, options)


def skewed_items(count: int, place: str) -> list[dict[str, float]]:
    """`count` sleeping items, the slowest 1 % of them in one block."""
    slow = count // 100
    before = {"start": 0, "middle": (count - slow) // 2, "end": count - slow}[place]
    seconds = [FAST] * before + [SLOW] * slow + [FAST] * (count - slow - before)
    return [{"seconds": one} for one in seconds]


def _one(place: str, kind: str, workers: int, options: Options) -> Iterator[Figure]:
    items = skewed_items(options.items(10_000, 2_000), place)
    store = options.directory / "skewed.sqlite"
    pairs = interleaved(
        lambda: run_timed_batch(
            document(items, "bench-sleep", kind=kind, slots=workers),
            store,
            processes=workers if kind == "process" else 0,
        ),
        lambda: bare.shared_counter_over_threads(items, threads=workers),
        # sleeps vary by a percent, not by tens: half the pairs tell as much
        pairs=max(1, options.pairs // 2),
    )
    yield Figure(
        case="skewed",
        what=f"{len(items):,} sleeps, slow ones at the {place}, {workers} {kind} workers, over one counter",
        unit="×",
        values=[timing.work / seconds for timing, seconds in pairs if timing.work],
        at_most=1.05,
    )
    yield Figure(
        case="skewed",
        what="the same, whole call",
        unit="×",
        values=[timing.call / seconds for timing, seconds in pairs],
    )
