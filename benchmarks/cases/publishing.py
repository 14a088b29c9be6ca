"""Events on their way: how fast a backlog goes out, and what it costs a run when nobody takes them."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import everyitem
from benchmarks.measure import Figure, Options, interleaved
from benchmarks.ours import document, setting
from everyitem import compose
from everyitem.model.items import InMemoryItems
from everyitem.ports.checkpoint import Commit
from everyitem.ports.execution import NewExecution
from everyitem.ports.outbox import OutboxEvent

#: The longest a backlog of 100,000 events may take to be published.
_SECONDS = 60.0

#: Takes every request, and says on which port.
_RECEIVER = """
import http.server
class Taking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(204)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
print(server.server_port, flush=True)
server.serve_forever()
"""


def measure(options: Options) -> Iterator[Figure]:
    """Over loopback, to a receiver in a process of its own; then runs with nobody there."""
    count = options.items(100_000, 5_000)
    with _receiver() as url:
        for at_once in (1, 100):
            yield Figure(
                case="backlog",
                what=f"{count:,} events that wait, published over HTTP, {at_once} in a request",
                unit="s",
                values=[_drain(options.directory, url, count, at_once) for _ in range(min(3, options.pairs))],
                at_most=None if options.quick else _SECONDS,
            )
    items = options.items(500_000, 20_000)
    config = _config(options.directory / "away.toml", "http://127.0.0.1:9/", 1)
    with setting("MAX_BATCH_SIZE", str(items)):
        pairs = interleaved(
            lambda: _run(items, options.directory / "away.sqlite", config),
            lambda: _run(items, options.directory / "none.sqlite", None),
            pairs=max(options.pairs, 3 if options.quick else 15),
        )
    yield Figure(
        case="away",
        what=f"{items:,} no-ops, recorded, while nobody takes their events, over none to be published",
        unit="×",
        values=[ours / bare for ours, bare in pairs],
        at_most=None if options.quick else 1.05,
    )


@contextmanager
def _receiver() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _config(path: Path, url: str, at_once: int) -> Path:
    path.write_text(
        f'[events]\npublisher = "webhook"\nurl = "{url}"\nallowPrivate = true\n'
        f"batchSize = {at_once}\nflushSeconds = 0\n"
    )
    return path


def _run(items: int, store: Path, config: Path | None) -> float:
    batch = document([{}] * items, "bench-no-op", kind="thread", slots=2)
    began = time.perf_counter()
    response = everyitem.run(batch, store=store, config=config)
    seconds = time.perf_counter() - began
    if response.items_successful != items:
        raise RuntimeError(f"the measured batch did not succeed: {response.to_json()}")
    return seconds


def _drain(directory: Path, url: str, count: int, at_once: int) -> float:
    """Seconds from the relay's start until nothing is left to be published."""
    store = f"sqlite:///{directory / f'backlog-{time.monotonic_ns()}.sqlite'}"
    _fill(store, count)
    from everyitem.settings import load_settings

    care = compose.look_after(load_settings(str(_config(directory / "there.toml", url, at_once))), store)
    began = time.perf_counter()
    care.publish()
    pause = threading.Event()
    with closing(compose.open_outlet(store)) as outlet:
        while outlet.backlog().count:
            pause.wait(0.05)
    seconds = time.perf_counter() - began
    care.close()
    return seconds


def _fill(store: str, count: int) -> None:
    items = InMemoryItems(b"[0]", named=False)
    new = NewExecution(
        batch_id="b", execution=1, content="c", items_digest=items.digest, item_count=1, named=False,
        processor="p", processor_code="", envelope=b"{}", settings=b"{}",
    )  # fmt: skip
    data = b'{"batchId":"b","execution":1,"round":1,"sequence":1,"itemsSuccessful":1000,"itemsFailed":0}'
    with closing(compose.open_store(store)) as opened:
        created = opened.create(new, items)
        assert created is not None
        for first in range(0, count, 5_000):
            events = [
                OutboxEvent(f"b@1/checkpoint/{n}", "CheckpointCreated", "b", 0.0, data)
                for n in range(first, first + 5_000)
            ]
            created[1].commit(Commit(events=events))
