"""Metrics and logs of the real command, seen from outside while it runs."""

import gzip
import http.server
import json
import re
import socket
import threading
import urllib.request

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.acceptance.conftest import PATIENCE


def listed(workspace, *arguments):
    return json.loads(workspace.do(*arguments, "--json").stdout)


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


def test_alerts_that_come_at_the_end_are_objects_as_well(workspace):
    """The log is a channel, and the last one who is told something."""
    document = workspace.document([{"fail": "no"}], errorHandlingStrategy="FAIL_FAST")
    done = workspace.do("run", document, "--log-format", "json")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any("run-failed" in line["message"] for line in lines)


def test_the_response_and_status_say_how_available_store_and_nodes_were(workspace):
    """Measured over all runs; nothing was away here."""
    done = workspace.do("run", workspace.document([1, 2]))
    metadata = json.loads(done.stdout)["result"]["executionMetadata"]
    assert metadata["availability"] == {"store": 1, "nodes": 1}
    status = json.loads(workspace.do("status", "b", "--json").stdout)
    assert status["availability"] == {"store": 1, "nodes": 1}


def serving(server):
    """Answer until the test is over."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def alerting(workspace, *, seconds=20.0, **tables):
    """A configuration file: these channels, in this order of escalation, each with `seconds` to deliver."""
    lines = ["[alerts]", f"escalation = {json.dumps(list(tables))}", f"delivery_seconds = {seconds}"]
    for name, url in tables.items():
        lines += [f"[alerts.channels.{name}]", 'kind = "webhook"', f'url = "{url}"']
    path = workspace.folder / "alerts.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_leads_from_the_caller_through_the_batch_to_processors_and_events(workspace, collector):
    """One trace: spans at the collector, the context of the items, the events, and the log of failures."""
    module = workspace.folder / "traced.py"
    module.write_text(
        "from everyitem import PermanentItemError, item_processor\n"
        "@item_processor('traced')\n"
        "def traced(item, context):\n"
        "    if item == 3:\n"
        "        raise PermanentItemError('no')\n"
        "    return context.traceparent\n"
    )
    document = workspace.document([1, 2, 3], configuration={"processor": "traced"})
    workspace._environment |= {"EVERYITEM_TRACES_ENDPOINT": collector.url, "EVERYITEM_TRACE_ITEMS": "1"}
    workspace._environment["TRACEPARENT"] = GIVEN
    done = workspace.do("run", document, "--processors", module, "--log-format", "json")
    assert done.returncode == 0, done.stderr
    spans = [span for body in collector.bodies for span in spans_in(body)]
    assert {span.trace_id.hex() for span in spans} == {GIVEN[3:35]}
    (batch,) = [span for span in spans if span.name == "batch"]
    assert batch.parent_span_id.hex() == GIVEN[36:52]
    assert {span.parent_span_id for span in spans if span.name in ("slice", "checkpoint")} == {batch.span_id}
    assert len([span for span in spans if span.name == "item"]) == 3
    traceparent = f"{GIVEN[:36]}{batch.span_id.hex()}-01"
    results = [json.loads(line) for line in workspace.do("results", "b", "--json").stdout.splitlines()]
    assert [one["result"] for one in results if one["status"] == "SUCCEEDED"] == [traceparent] * 2
    events = [json.loads(line) for line in workspace.do("events", "b").stdout.splitlines()]
    assert {event["traceparent"] for event in events} == {traceparent}
    (failed,) = [one for one in map(json.loads, done.stderr.splitlines()) if "itemId" in one]
    assert failed["traceId"] == GIVEN[3:35]


def test_a_collector_that_is_away_costs_the_spans_and_nothing_else(workspace):
    """What the exporter has to say is a log line like all others."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/traces"
        workspace._environment["EVERYITEM_TRACES_ENDPOINT"] = where
        done = workspace.do("run", workspace.document([1, 2]), "--log-format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "SUCCESS"
    assert all(json.loads(line)["level"] for line in done.stderr.splitlines())


def spans_in(body):
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


class Spans(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.bodies.append(gzip.decompress(body) if packed else body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Spans)
    server.bodies = []
    server.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    yield from serving(server)


class Hooks(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hooks():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hooks)
    server.got = []
    server.url = f"http://127.0.0.1:{server.server_port}/"
    yield from serving(server)


def test_a_batch_out_of_time_alerts_by_the_second_channel_while_the_first_one_hangs(workspace, hooks):
    """F41, F42: TIMEOUT_ERROR, the checkpoint kept; the hanging channel delays no response; one page."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes connections, and never answers
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        config = alerting(workspace, seconds=4.0, dead=dead, ops=hooks.url)
        document = workspace.document(
            [{"n": number} for number in range(6)],
            parameters={"gate": str(workspace.gate), "holdAfter": 2},
            configuration={"timeoutHours": 4 / 3600},
            parallelismLevel=2,
        )
        done = workspace.do("run", document, "--config", config)
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorCode"] == "TIMEOUT_ERROR"
    assert workspace.json("status", "b")["succeeded"] == 2
    (page,) = [page for page in hooks.got if page["kind"] == "critical-error"]
    assert "TIMEOUT_ERROR" in page["text"]
    (alert,) = [one for one in listed(workspace, "alerts", "b") if one["kind"] == "critical-error"]
    assert (alert["state"], alert["channel"], alert["pages"]) == ("standing", "ops", 1)
    workspace.open_gate()
    again = workspace.do("resume", "b", "--config", config)
    assert again.returncode == 0
    reasons = [page["reason"] for page in hooks.got if page["kind"] == "critical-error"]
    assert reasons == ["raised", "resolved"]
    assert {one["state"] for one in listed(workspace, "alerts", "b")} == {"resolved"}


def test_an_acknowledged_alert_says_by_whom(workspace):
    """From any process on the same store; ids nobody knows are usage errors."""
    workspace.do("run", workspace.document([{"fail": "no"}], errorHandlingStrategy="FAIL_FAST"))
    (alert,) = listed(workspace, "alerts")
    assert (alert["kind"], alert["level"], alert["state"]) == ("run-failed", "warning", "standing")
    assert workspace.do("alerts", "acknowledge", alert["alertId"]).returncode == 0
    (alert,) = listed(workspace, "alerts")
    assert alert["state"] == "acknowledged"
    assert "@" in alert["acknowledgedBy"]
    assert workspace.do("alerts", "acknowledge", "nosuch").returncode == 2


def test_a_silenced_alert_is_recorded_and_told_nobody(workspace, hooks):
    """And told when there is no silence any more; the resumed run, which ends well, resolves it."""
    config = alerting(workspace, ops=hooks.url)
    workspace.do("run", workspace.document([1], batch_id="first"))
    assert workspace.do("alerts", "silence", "b*", "--for", 5).returncode == 0
    document = workspace.document([{"fail": "no"}], errorHandlingStrategy="FAIL_FAST")
    workspace.do("run", document, "--config", config)
    assert hooks.got == []
    (alert,) = listed(workspace, "alerts", "b")
    assert alert["pages"] == 0
    assert "ended: 1" in workspace.do("alerts", "silence", "--for", 0).stderr
    workspace.do("resume", "b", "--config", config)
    assert [page["reason"] for page in hooks.got] == ["raised", "resolved"]


def test_a_wrong_alert_configuration_is_said_before_anything_runs(workspace):
    """With the file and the setting."""
    path = workspace.folder / "wrong.toml"
    path.write_text('[alerts]\nescalation = ["nosuch"]\n', encoding="utf-8")
    done = workspace.do("run", workspace.document([1]), "--config", path)
    assert done.returncode == 2
    assert "wrong.toml" in done.stderr
    assert "nosuch" in done.stderr
    assert not workspace.ledger.exists()
