"""Sleeping items on a Dask cluster: four workers of one thread each, started for the batch."""

from collections.abc import Iterator

from benchmarks import bare
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import Timing, document, run_timed_batch, setting

WORKERS = 4
_CLUSTER = '{"four": {"kind": "local", "workers": 4}}'


def measure(options: Options) -> Iterator[Figure]:
    """Four bare threads over ours, from workers up to the last recorded outcome."""
    items = [{"seconds": 0.02}] * options.items(4_000, 800)
    store = options.directory / "dask.sqlite"

    def ours() -> Timing:
        batch = document(items, "bench-sleep", kind="dask", slots=WORKERS, node={"address": "cluster:four"})
        with setting("CLUSTERS", _CLUSTER):
            return run_timed_batch(batch, store, processes=WORKERS)

    def ideal() -> float:
        return bare.shared_counter_over_threads(items, threads=WORKERS)

    pairs = interleaved(ours, ideal, pairs=options.pairs)
    yield Figure(
        case="dask",
        what=f"{len(items):,} sleeps of 20 ms on four one-thread Dask workers, four bare threads over ours",
        unit="%",
        values=[100 * bare_loop / (timing.work or timing.call) for timing, bare_loop in pairs],
        at_least=90.0,
    )
    yield Figure(
        case="dask",
        what="the same, whole call: starting and ending the cluster included",
        unit="s",
        values=[timing.call for timing, _ in pairs],
    )
