"""What it costs to be watched: the durable no-op with metrics, logs or traces, over the same without.

Processor time of the process with all its threads: a few percent would drown in what the disk takes.
"""

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, run_batch, setting
from everyitem.compose import json_log_handler

#: The goals are percents: fewer pairs could not tell.
_PAIRS = 15

#: Scrapes once a second, where Prometheus does so every fifteen.
_SCRAPER = """
import sys, time, urllib.request
while True:
    try:
        urllib.request.urlopen(sys.argv[1]).read()
    except OSError:
        pass
    time.sleep(1)
"""

#: Takes every request, and says on which port.
_COLLECTOR = """
import http.server
class Taking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
print(server.server_port, flush=True)
server.serve_forever()
"""


def measure(options: Options) -> Iterator[Figure]:
    """The whole call, watched, as a multiple of the same call that nobody watches."""
    count = options.items(500_000, 20_000)
    items = [{"id": number, "amount": f"{number % 997}.25"} for number in range(count)]
    yield Figure(
        case="watched",
        what=f"{count:,} no-ops, recorded, with scraped metrics and a JSON log, over the same without",
        unit="×",
        values=_ratios(items, options, partial(_metrics_and_log, options.directory / "observed.jsonl")),
        at_most=_goal(1.02, options),
    )
    yield Figure(
        case="traced",
        what="the same with spans for batch, checkpoints and slices sent to a collector, over none",
        unit="×",
        values=_ratios(items, options, _traces),
        at_most=_goal(1.05, options),
    )


def _goal(ratio: float, options: Options) -> float | None:
    """None where a run is so short that starting and ending to watch is most of what is measured."""
    return None if options.quick else ratio


def _ratios(
    items: list[dict[str, Any]], options: Options, watched: Callable[[], AbstractContextManager[None]]
) -> list[float]:
    store = options.directory / "observed.sqlite"

    def alone() -> float:
        began = time.process_time()
        run_batch(document(items, "bench-no-op", kind="thread", slots=5), store)
        return time.process_time() - began

    def watched_by_somebody() -> float:
        with watched():
            return alone()

    with setting("MAX_BATCH_SIZE", str(len(items))):
        pairs = interleaved(watched_by_somebody, alone, pairs=options.pairs if options.quick else _PAIRS)
    return [ours / bare for ours, bare in pairs]


@contextmanager
def _metrics_and_log(path: Path) -> Iterator[None]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logger = logging.getLogger("everyitem")
    with path.open("a", encoding="utf-8") as file:
        handler = json_log_handler(lambda line: print(line, file=file))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            with (
                _helper(_SCRAPER, f"http://127.0.0.1:{port}/metrics"),
                setting("METRICS_PORT", str(port)),
            ):
                yield
        finally:
            logger.setLevel(logging.NOTSET)
            logger.removeHandler(handler)
            handler.close()


@contextmanager
def _traces() -> Iterator[None]:
    with _helper(_COLLECTOR) as collector:
        assert collector.stdout is not None
        port = int(collector.stdout.readline())
        with setting("TRACES_ENDPOINT", f"http://127.0.0.1:{port}/v1/traces"):
            yield


@contextmanager
def _helper(program: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process beside the one that is measured."""
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()
