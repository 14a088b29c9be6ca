"""How long a service takes to say where a large batch stands, while it runs and when it is done."""

import http.client
import json
import statistics
import time
from collections.abc import Iterator

import everyitem
from benchmarks.measure import Figure, Options
from benchmarks.ours import document
from benchmarks.service import serving

#: Milliseconds an answer may take.
_AT_MOST = 10.0
#: Answers of one value.
_ASKED = 100


def measure(options: Options) -> Iterator[Figure]:
    """The 95th percentile of rounds of requests over one connection."""
    count = options.items(1_000_000, 50_000)
    batch = document([{"n": number} for number in range(count)], "bench-no-op", kind="thread", slots=2)
    batch["processingConfiguration"]["rateLimit"] = {"perSecond": count / (20 if options.quick else 60)}
    size = {"MAX_BATCH_SIZE": str(count)}
    with serving(options.directory, **size) as url, everyitem.connect(url) as client:
        client.submit(batch)
        batch_id = batch["batchId"]
        while client.status(batch_id).succeeded < count // 10:
            time.sleep(0.2)
        running = [_round(url, batch_id) for _ in range(5)]
        if client.status(batch_id).finished_at is not None:
            raise RuntimeError("the batch was done before it was asked for often enough")
        while client.status(batch_id).finished_at is None:
            time.sleep(1.0)
        done = [_round(url, batch_id) for _ in range(5)]
    for state, rounds in (("running", running), ("done", done)):
        yield Figure(
            case="status",
            what=f"GET /v1/batches/ID of {count:,} items, {state}: 95 % of {_ASKED} answers within",
            unit="ms",
            values=rounds,
            at_most=None if options.quick else _AT_MOST,
        )


def _round(url: str, batch_id: str) -> float:
    link = http.client.HTTPConnection(url.removeprefix("http://"))
    taken = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        link.request("GET", f"/v1/batches/{batch_id}")
        answer = json.loads(link.getresponse().read())
        taken.append(1000 * (time.perf_counter() - began))
        if answer["batchId"] != batch_id:
            raise RuntimeError(f"this is no status: {answer}")
        time.sleep(0.005)
    link.close()
    return statistics.quantiles(taken, n=20)[-1]
