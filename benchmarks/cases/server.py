"""What it costs to keep the record on a PostgreSQL server instead of in an SQLite file."""

import os
import sys
from collections.abc import Iterator

from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch

#: URL of an empty store on the server to measure with; without it there is nothing to measure.
SERVER = "EVERYITEM_BENCHMARK_SERVER"


def measure(options: Options) -> Iterator[Figure]:
    """The whole call of `everyitem.run` on a server, as a multiple of the same in a file."""
    server = os.environ.pop(SERVER, None)
    if server is None:
        print(f"server   not measured: {SERVER} names no PostgreSQL store", file=sys.stderr)
        return
    items = [
        {"id": number, "amount": f"{number % 997}.25"} for number in range(options.items(100_000, 20_000))
    ]
    file = f"sqlite:///{options.directory / 'server.sqlite'}"
    pairs = interleaved(
        lambda: run_batch(document(items, "bench-no-op", kind="thread", slots=5), server).call,
        lambda: run_batch(document(items, "bench-no-op", kind="thread", slots=5), file).call,
        pairs=options.pairs,
    )
    yield Figure(
        case="server",
        what=f"{len(items):,} no-ops on 5 thread slots, recorded in PostgreSQL, over the same in SQLite",
        unit="×",
        values=[there / here for there, here in pairs],
    )
