"""Items that work or wait, all alike: how much of the machine is left for them."""

from collections.abc import Callable, Iterator

from benchmarks import bare
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import Timing, document, run_timed_batch
from benchmarks.processors import loops_per_millisecond


def measure(options: Options) -> Iterator[Figure]:
    """Bare time over ours, from workers up to the last recorded outcome; then the whole call."""
    yield from _cpu_bound(options)
    yield from _threads(options)
    yield from _event_loop(options)


def _cpu_bound(options: Options) -> Iterator[Figure]:
    loops = loops_per_millisecond()
    items = [{"loops": loops}] * options.items(6_000, 1_000)
    store = options.directory / "cpu.sqlite"
    yield from _efficiency(
        "cpu",
        f"{len(items):,} items of 1 ms pure Python on two processes, bare two-process split over ours",
        lambda: run_timed_batch(document(items, "bench-work", kind="process", slots=2), store, processes=2),
        lambda: bare.split_over_processes(items, processes=2),
        options,
        at_least=0.97,
    )


def _threads(options: Options) -> Iterator[Figure]:
    items = [{"seconds": 0.01}] * options.items(2_000, 500)
    store = options.directory / "waiting.sqlite"
    yield from _efficiency(
        "waiting",
        f"{len(items):,} sleeps of 10 ms, bare loop on 10 threads over ours",
        lambda: run_timed_batch(document(items, "bench-sleep", kind="thread", slots=10), store),
        lambda: bare.shared_counter_over_threads(items, threads=10),
        options,
        at_least=0.98,
    )


def _event_loop(options: Options) -> Iterator[Figure]:
    items = [{"seconds": 0.01}] * options.items(20_000, 5_000)
    store = options.directory / "async.sqlite"
    yield from _efficiency(
        "async",
        f"{len(items):,} sleeps of 10 ms, 100 bare asyncio tasks over ours",
        lambda: run_timed_batch(document(items, "bench-sleep-async", kind="async", slots=100), store),
        lambda: bare.tasks_in_one_loop(items, tasks=100),
        options,
        at_least=0.95,
    )


def _efficiency(
    case: str,
    what: str,
    ours: Callable[[], Timing],
    bare_loop: Callable[[], float],
    options: Options,
    *,
    at_least: float,
) -> Iterator[Figure]:
    pairs = interleaved(ours, bare_loop, pairs=options.pairs)
    yield Figure(
        case=case,
        what=what,
        unit="%",
        values=[100 * seconds / timing.work for timing, seconds in pairs if timing.work],
        at_least=100 * at_least,
    )
    yield Figure(
        case=case,
        what="the same, whole call",
        unit="%",
        values=[100 * seconds / timing.call for timing, seconds in pairs],
    )
