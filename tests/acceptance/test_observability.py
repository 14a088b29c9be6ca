"""Metrics and logs of the real command, seen from outside while it runs."""

import json
import re
import urllib.request

from tests.acceptance.conftest import PATIENCE


def scrape(address):
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return answer.read().decode()


def test_metrics_are_served_while_a_batch_runs_on_loopback_only(workspace):
    """Five items are through, the gate holds the others: the scrape says exactly that."""
    document = workspace.document(
        [{"n": number} for number in range(8)],
        parameters={"gate": str(workspace.gate), "holdAfter": 5},
        parallelismLevel=2,
    )
    running = workspace.start("run", document, "--metrics-port", 0, "--no-progress")
    said = running.read_error_until("metrics: ")
    address = re.search(r"metrics: (http://127\.0\.0\.1:\d+/metrics)", said).group(1)
    shown = ""
    while 'outcome="succeeded"} 5.0' not in shown:
        shown = scrape(address)
    assert 'everyitem_workers_allocated{batch="b",execution="1"} 2.0' in shown
    assert 'everyitem_items{batch="b",execution="1",outcome="open"} 3.0' in shown
    workspace.gate.touch()
    assert running.end().returncode == 0


def test_a_port_that_is_taken_is_said_before_anything_runs(workspace):
    """Usage, with a hint; no item is called."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = workspace.do("run", workspace.document([1]), "--metrics-port", taken.getsockname()[1])
    assert done.returncode == 2
    assert "--metrics-port" in done.stderr
    assert not workspace.ledger.exists()


def test_as_json_every_line_on_standard_error_is_an_object(workspace):
    """Progress, summary and item failures; the secret of the document's parameters is nowhere."""
    items = [{"fail": f"refused with canary-secret, row {number}"} for number in range(40)]
    document = workspace.document(items, parameters={"apiKey": "canary-secret"})
    done = workspace.do("run", document, "--log-format", "json")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "canary-secret" not in done.stderr
    failures = [line for line in lines if line["logger"] == "everyitem.items" and "itemId" in line]
    sums = [line["count"] for line in lines if line["logger"] == "everyitem.items" and "count" in line]
    assert len(failures) + sum(sums) == 40
    assert failures[0]["batchId"] == "b"
    assert failures[0]["error"]["type"] == "PermanentItemError"
    recorded = workspace.do("failures", "b", "--json").stdout.splitlines()
    assert len(recorded) == 40


def test_the_response_and_status_say_how_available_store_and_nodes_were(workspace):
    """Measured over all runs; nothing was away here."""
    done = workspace.do("run", workspace.document([1, 2]))
    metadata = json.loads(done.stdout)["result"]["executionMetadata"]
    assert metadata["availability"] == {"store": 1, "nodes": 1}
    status = json.loads(workspace.do("status", "b", "--json").stdout)
    assert status["availability"] == {"store": 1, "nodes": 1}
