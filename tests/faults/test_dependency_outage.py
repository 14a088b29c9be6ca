"""A server that items ask is away for a minute in the middle of a batch: what it costs in real time.

The short form is `tests/unit/engine/test_outage.py`, in virtual time.
"""

import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.faults.rigs.pace import in_time
from tests.faults.rigs.proxy import Proxy

import everyitem
from everyitem import item_processor

#: Seconds: of an answer, of the batch without an outage, of the outage, and how much longer it may take.
ANSWER, LENGTH, OUTAGE, LONGER = 0.1, 100.0, 60.0, 75.0
SLOTS = 5


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(ANSWER)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@item_processor("outage of a dependency")
def ask(item: Any, context: Any) -> Any:
    """Ask the server; raises what `http.client` raises where it is away."""
    link = http.client.HTTPConnection("127.0.0.1", context.parameters["port"], timeout=5)
    try:
        link.request("GET", f"/{item}")
        return link.getresponse().status
    finally:
        link.close()


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server that takes its time."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made.server_port
        made.shutdown()


def run(folder: Path, name: str, port: int) -> tuple[everyitem.Response, float]:
    """The batch and how long it took."""
    document = {
        "batchId": name,
        "batchItems": list(range(int(LENGTH / ANSWER * SLOTS))),
        "processingConfiguration": {"processor": "outage of a dependency", "parameters": {"port": port}},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "thread", "slots": SLOTS}]},
        "executionPlan": {},
        "parallelismLevel": SLOTS,
    }
    began = time.monotonic()
    response = everyitem.run(document, store=f"sqlite:///{folder / name}.sqlite")
    return response, time.monotonic() - began


def test_an_outage_that_never_ends_is_waited_for_as_long_as_asked_for(server: int, tmp_path: Path) -> None:
    """The run ends with the cause within that time, fails nothing, and goes on when it is run again."""
    patience = 1.0
    with Proxy(server) as proxy:
        document = {
            "batchId": "never ends",
            "batchItems": list(range(20)),
            "processingConfiguration": {
                "processor": "outage of a dependency",
                "parameters": {"port": proxy.port},
                "outagePatienceSeconds": patience,
            },
            "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "thread", "slots": SLOTS}]},
            "executionPlan": {},
            "parallelismLevel": SLOTS,
        }
        proxy.cut()
        began = time.monotonic()
        response = everyitem.run(document, store=f"sqlite:///{tmp_path}/s.sqlite").to_dict()
        # the bound, and 2 s to notice the outage and to end
        assert in_time(time.monotonic() - began, 3 * (patience + 2.0))
        assert response["errorCode"] == "RESOURCE_ERROR"
        assert "outagePatienceSeconds" in response["details"]["resourceErrors"][0]
        assert response["executionResults"]["itemsFailed"] == 0
        proxy.mend()
        again = everyitem.run(document, store=f"sqlite:///{tmp_path}/s.sqlite")
    assert again.ok, again.to_json()
    assert (again.items_successful, again.items_failed) == (20, 0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["cut", "stall"])
def test_a_minute_without_a_dependency_fails_nothing_and_costs_little_more(
    way: str, server: int, tmp_path: Path
) -> None:
    """0 items failed by it, at most 75 s longer than the same batch beside it, which has no outage."""
    with Proxy(server) as proxy, ThreadPoolExecutor(2) as pool:
        disturbed = pool.submit(run, tmp_path, "disturbed", proxy.port)
        undisturbed = pool.submit(run, tmp_path, "undisturbed", server)
        never = threading.Event()
        never.wait(LENGTH / 3)
        (proxy.cut if way == "cut" else proxy.stall)()
        never.wait(OUTAGE)
        proxy.mend()
        response, took = disturbed.result()
        _, without = undisturbed.result()
    assert response.ok, response.to_json()
    assert response.items_failed == 0
    print(f"{way}: {took:.1f} s with the outage, {without:.1f} s without: {took - without:.1f} s longer")
    assert took - without <= LONGER
