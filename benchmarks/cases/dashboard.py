"""What an open dashboard costs the run it shows, and how often it has something new to show.

The run is a service's, as with everything a dashboard shows. In the place of browsers, which have a machine
of their own, a process asks what the modules of both pages ask, as often as they do.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import everyitem
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document
from benchmarks.service import serving

#: Asks as a page of one batch and the list do; at its end says of which moments it was told, and when.
_PAGES = """
import http.client, json, signal, sys, time
port, batch = int(sys.argv[1]), "/v1/batches/" + sys.argv[2]
link = http.client.HTTPConnection("127.0.0.1", port)
def get(path):
    link.request("GET", path, headers={"Accept": "application/json"})
    answer = link.getresponse()
    text = answer.read()
    return json.loads(text) if answer.status == 200 else {}
going, moments, failed, checkpoints, after, turn = [True], [], None, None, 0, 0
period, quiet = 0.9, "&without=ItemFailed&without=BatchProgressed&without=CheckpointCreated"
signal.signal(signal.SIGTERM, lambda *_: going.clear())
while going:
    began = time.monotonic()
    state, live = get(batch), get(batch + "/live")
    if state.get("state") == "RUNNING" and live.get("at"):
        moments.append((live["at"], state["succeeded"] + state["failed"], began))
    if state.get("failed") != failed and turn % 3 == 0:
        failed = state.get("failed")
        get(batch + "/failures?limit=10")
    if turn % 2 == 0:
        events = get(f"{batch}/events?after={after}{quiet}")
        after = max([after, *(one["sequence"] for one in events.get("events", ()))])
        get(batch + "/history")
    if state.get("checkpoints") != checkpoints:
        checkpoints = state.get("checkpoints")
        get(batch + "/checkpoints")
    for path in ("/v1/batches?limit=50", "/v1/service", "/v1/alerts?standing=true"):
        get(path)
    turn += 1
    time.sleep(max(0.2, period - (time.monotonic() - began)))
print(json.dumps(moments))
"""


def measure(options: Options) -> Iterator[Figure]:
    """Active time of a run with both pages open, as a multiple of the same with none."""
    count = options.items(10_000, 2_000)
    seen: list[float] = []
    with serving(options.directory) as url:
        waiting = partial(_run, url, "bench-sleep", [{"seconds": 0.01} for _ in range(count)], "thread", 10)
        work = [{"loops": 12_000} for _ in range(2 * count)]
        busy = partial(_run, url, "bench-work", work, "process", 2)
        yield Figure(
            case="page",
            what=f"{count:,} sleeps of 10 ms on 10 thread slots, both pages open, over no page open",
            unit="×",
            values=_ratios(waiting, url, seen, options.pairs),
            at_most=None if options.quick else 1.02,
        )
        yield Figure(
            case="page",
            what="the same: updates a second of the page",
            unit="/s",
            values=seen,
            at_least=None if options.quick else 1.0,
        )
        yield Figure(
            case="page",
            what=f"{2 * count:,} items of pure Python on two processes, both pages open, over no page open",
            unit="×",
            values=_ratios(busy, url, [], options.pairs),
            at_most=None if options.quick else 1.02,
        )


def _ratios(
    run: Callable[[Callable[[str], None]], float], url: str, seen: list[float], pairs: int
) -> list[float]:
    def watched() -> float:
        pages: list[subprocess.Popen[bytes]] = []

        def open_pages(batch_id: str) -> None:
            command = [sys.executable, "-c", _PAGES, url.rpartition(":")[2], batch_id]
            pages.append(subprocess.Popen(command, stdout=subprocess.PIPE))

        seconds = run(open_pages)
        pages[0].terminate()
        told = json.loads(pages[0].communicate()[0])
        if len(told) > 1:
            seen.append((len({moment for moment, *_ in told}) - 1) / (told[-1][2] - told[0][2]))
        return seconds

    results = interleaved(watched, lambda: run(lambda _: None), pairs=pairs)
    return [ours / bare for ours, bare in results]


def _run(
    url: str, processor: str, items: list[dict[str, Any]], kind: str, slots: int, begun: Callable[[str], None]
) -> float:
    """Active seconds of one batch in the service; `begun` hears of it as soon as it is handed in."""
    batch: Mapping[str, Any] = document(items, processor, kind=kind, slots=slots)
    with everyitem.connect(url) as client:
        client.submit(dict(batch))
        begun(batch["batchId"])
        while client.status(batch["batchId"]).finished_at is None:
            time.sleep(0.5)
        response = client.response(batch["batchId"])
    assert response is not None
    answer = response.to_dict()
    if answer["status"] != "SUCCESS":
        raise RuntimeError(f"the measured batch did not succeed: {answer}")
    return float(answer["result"]["executionMetadata"]["executionDuration"]) / 1000
